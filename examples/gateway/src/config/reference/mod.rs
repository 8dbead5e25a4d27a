//! Reference of the configuration files as Markdown, generated from the tables of keys.

mod control;
mod rules;
mod schema;

use std::fmt::Write as _;

use super::keys::{Key, Preset, TABLES, Table, Value, range};

/// File whose keys are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Page {
    /// `gateway.toml`
    Gateway,
    /// Rules of a route's filter
    Rules,
    /// Control loops
    Control,
    /// `gateway.toml` as a JSON Schema, for editors
    Schema,
}

impl Page {
    /// Returns the page: Markdown, or JSON.
    pub(crate) fn text(self) -> String {
        let (title, intro, tables) = match self {
            Page::Gateway => ("gateway.toml", GATEWAY, TABLES),
            Page::Rules => ("Rules of a filter", rules::INTRO, rules::TABLES),
            Page::Control => ("Control files", control::INTRO, control::TABLES),
            Page::Schema => return schema::text(),
        };
        let mut page = format!("# {title}\n\n{intro}\n");
        for table in tables {
            section(&mut page, table);
        }
        page
    }
}

const GATEWAY: &str = "\
Keys of the gateway's configuration, printed by `edge-gateway reference`. `edge-gateway check FILE` reads the same table: bounds, choices and
defaults are these. Relative paths start from the folder of the file in which they stand. Durations and sizes are strings with a unit (`\"200ms\"`, `\"1.5h\"`, `\"7d\"`;
`\"64MiB\"`, `\"500kB\"`). `\"${NAME}\"` in a string is a variable of the environment, `\"${NAME:-text}\"` has a default. An unknown key is an error. For editors the same is a [JSON Schema](gateway.schema.json), printed by `edge-gateway reference schema`: with `#:schema PATH-OR-URL` as the
first line of gateway.toml those that know taplo (Even Better TOML and others) complete keys, show their meaning and mark mistakes.";

fn section(page: &mut String, table: &Table) {
    let Table { head, meaning, keys, .. } = table;
    let _ = write!(page, "\n## `{head}`\n\n{meaning}\n");
    if keys.is_empty() {
        return;
    }
    page.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
    for Key { name, value, preset, meaning } in *keys {
        let preset = match preset {
            Preset::Required => "**required**".to_owned(),
            Preset::Is(text) => format!("`{text}`"),
            Preset::Means(text) => (*text).to_owned(),
        };
        let _ = writeln!(page, "| `{name}` | {} | {preset} | {meaning} |", value_in_words(*value));
    }
}

fn value_in_words(value: Value) -> String {
    match value {
        Value::Text(kind) => kind.to_owned(),
        Value::Boolean => "`true` or `false`".to_owned(),
        Value::OneOrSeveral(kind) => format!("{kind}, or an array of them"),
        Value::Strings(kind) => format!("array: {kind}"),
        Value::Integer(low, high) => format!("{low} to {high}"),
        Value::Duration(least, most) => format!("duration, {}", range(least, most)),
        Value::Size(least, most) => format!("size, {}", range(least, most)),
        Value::Batch { readings: (low, high), bytes: (least, most) } => {
            format!("{low} to {high}, or a size, {}", range(least, most))
        }
        Value::OneOf(choices) => {
            choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests;
