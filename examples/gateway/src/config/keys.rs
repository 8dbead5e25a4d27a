//! Keys of gateway.toml: one table of their bounds, choices and defaults, from which the reader checks the file and `edge-gateway reference`
//! makes its page.

mod gateway;
mod local;
mod machine;
mod route;

pub(super) use gateway::TABLES;

use super::suggest::nearest;

/// Type of a key's value, with its bounds in the notation of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A string or a table of this kind; its reader checks the bounds.
    Text(&'static str),
    Boolean,
    /// A string of this kind, or an array of them.
    OneOrSeveral(&'static str),
    /// An array of strings of this kind.
    Strings(&'static str),
    Integer(u64, u64),
    /// Least and greatest value; an empty text is no bound.
    Duration(&'static str, &'static str),
    Size(&'static str, &'static str),
    /// A whole number of readings, or the size of a batch.
    Batch {
        readings: (u64, u64),
        bytes: (&'static str, &'static str),
    },
    OneOf(&'static [&'static str]),
}

/// Default of a key that the file does not set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    /// No default: the key is required.
    Required,
    /// A value in the notation of the file.
    Is(&'static str),
    /// A default in words, because no value in the file could express it.
    Means(&'static str),
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) preset: Preset,
    pub(super) meaning: &'static str,
}

/// One table of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Path of the table in the file; empty for keys before the first table.
    pub(super) name: &'static str,
    /// Heading of the table in the file.
    pub(super) head: &'static str,
    pub(super) meaning: &'static str,
    pub(super) keys: &'static [Key],
}

pub(super) const fn key(name: &'static str, value: Value, preset: Preset, meaning: &'static str) -> Key {
    Key { name, value, preset, meaning }
}

pub(super) const fn table(
    name: &'static str,
    head: &'static str,
    meaning: &'static str,
    keys: &'static [Key],
) -> Table {
    Table { name, head, meaning, keys }
}

/// Returns advice on a key that a table does not have: another table with a key of that name, or the most similar name in a table within this
/// one. `None`: neither exists.
pub(super) fn elsewhere(section: &str, wrong: &str) -> Option<String> {
    let here = keys_of(section);
    let others = || TABLES.iter().filter(|table| !std::ptr::eq(table.keys, here));
    let parent = section.split('[').next().unwrap_or(section);
    // A table within this one is written as a key of it.
    let inner = |table: &Table| table.name.strip_prefix(parent)?.strip_prefix('.');
    let is_there = |table: &&Table| table.keys.iter().any(|key| key.name == wrong);
    let found = others().filter(is_there).min_by_key(|table| inner(table).is_none());
    if let Some(table) = found {
        if table.name.is_empty() {
            return Some(format!("`{wrong}` stands before the first table"));
        }
        let place = inner(table).map_or_else(|| table.head.to_owned(), |name| format!("`{name}`"));
        return Some(format!("`{wrong}` is a key of {place}"));
    }
    let near = others().find_map(|table| {
        let names: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
        Some((inner(table)?, nearest(wrong, &names)?))
    });
    near.map(|(table, key)| format!("did you mean `{table}.{key}`?"))
}

/// Returns the keys that are valid in a table. `"route[2].fields"` has those of `"route.fields"`.
pub(super) fn keys_of(section: &str) -> &'static [Key] {
    let is_of = |table: &&Table| {
        let mut parts = section.split('.').map(|part| part.split('[').next().unwrap_or(part));
        table.name.split('.').all(|name| parts.next() == Some(name)) && parts.next().is_none()
    };
    TABLES.iter().find(is_of).map_or(&[], |table| table.keys)
}

/// Returns bounds in words. An empty text is no bound.
pub(super) fn range(least: &str, most: &str) -> String {
    match (least, most) {
        ("", most) => format!("at most {most}"),
        (least, "") => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    }
}

/// Returns the names of the tables at the top of the file.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name).filter(|name| !name.is_empty() && !name.contains('.'))
}
