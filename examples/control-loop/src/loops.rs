//! The loops of a file: the tables of `edge_filter::control::config`, and `[fields]`.

use crate::mqtt::{CommandRules, LoopNames};
use edge_filter::control::Controller;
use edge_filter::control::config::ControlConfig;
use std::collections::BTreeMap;

/// Checked loops, ready to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loops {
    /// The controller that decides.
    pub controller: Controller,
    /// The JSON field of an input's payload, where it is not `value`.
    pub fields: BTreeMap<String, String>,
    /// Commands that are taken.
    pub commands: CommandRules,
}

impl Loops {
    /// Reads a file's text: `[control]`, `[[input]]`, `[[output]]`, `[[interlock]]`, `[[alarm]]`, `[fields]` and `[commands]`.
    ///
    /// # Errors
    /// What is wrong and where, a line each.
    pub fn parse(text: &str) -> Result<Loops, String> {
        Self::of(tables(text)?, text)
    }

    /// Warning about interlocks that nobody can reset; `None` if there are none.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let stuck: Vec<&str> = self.controller.reset_by_hand().filter(|_| !self.commands.are_on).collect();
        let names = stuck.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let why = "reset by hand, and commands are off: tripped from the start on, with nobody to reset them; \
                   [control] commands = true, or reset = \"auto\"";
        (!stuck.is_empty()).then(|| format!("[[interlock]] {names}: {why}"))
    }

    /// Returns the inputs that have an alarm, by name.
    pub fn alarm_inputs(&self) -> impl Iterator<Item = &str> {
        let inputs = self.controller.inputs();
        self.controller.alarms().filter_map(|input| inputs.name(input))
    }

    /// The tables that are left of this text.
    pub(crate) fn of(mut tables: toml::Table, text: &str) -> Result<Loops, String> {
        let fields: BTreeMap<String, String> = take(&mut tables, "fields")?.unwrap_or_default();
        let (commands, has_limits) = commands(&mut tables)?;
        let loops: ControlConfig = toml::Value::Table(tables).try_into().map_err(|e| one_line(&e))?;
        let controller = Controller::from_config(&loops).map_err(|error| error.locate(text).to_string())?;
        if let Some(name) = fields.keys().find(|name| controller.inputs().number(name).is_none()) {
            return Err(format!("[fields]: there is no input named \"{name}\""));
        }
        let names = LoopNames::of(&controller);
        names.check()?;
        if has_limits && !commands.are_on {
            return Err("[commands] has no effect without [control] commands = true".to_owned());
        }
        commands.check(&names)?;
        Ok(Loops { controller, fields, commands })
    }
}

/// `[control] commands`, and `[commands]` if it is there.
fn commands(tables: &mut toml::Table) -> Result<(CommandRules, bool), String> {
    let control = tables.get_mut("control").and_then(toml::Value::as_table_mut);
    let are_on = match control.and_then(|control| control.remove("commands")) {
        None => false,
        Some(toml::Value::Boolean(are_on)) => are_on,
        Some(_) => return Err("[control]: commands is true or false".to_owned()),
    };
    let rules: Option<CommandRules> = take(tables, "commands")?;
    let has_limits = rules.is_some();
    let mut rules = rules.unwrap_or_default();
    rules.are_on = are_on;
    Ok((rules, has_limits))
}

/// The tables of a file; a mistake of syntax has its line.
pub(crate) fn tables(text: &str) -> Result<toml::Table, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })
}

/// A table that is read by itself.
pub(crate) fn take<T: serde::de::DeserializeOwned>(
    tables: &mut toml::Table,
    name: &str,
) -> Result<Option<T>, String> {
    let Some(table) = tables.remove(name) else { return Ok(None) };
    table.try_into().map(Some).map_err(|error| format!("[{name}]: {}", one_line(&error)))
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[[input]]\nname = \"a\"\nstale_after_ms = 100\n[[output]]\nname = \"x\"\nvalue = 1.0\n";

    #[test]
    fn an_interlock_that_nobody_can_reset_is_told() {
        let interlock =
            "[[interlock]]\nname = \"stop\"\noutputs = [\"x\"]\ntrip_when = { input = \"a\", is = false }\n";
        let warning = |text: String| Loops::parse(&text).unwrap().warning();
        let told = warning(format!("{GOOD}{interlock}"));
        assert!(told.is_some_and(|told| {
            told.starts_with("[[interlock]] \"stop\": reset by hand, and commands are off")
        }));
        assert_eq!(warning(format!("[control]\ncommands = true\n{GOOD}{interlock}")), None);
        assert_eq!(warning(format!("{GOOD}{interlock}reset = \"auto\"\n")), None);
        assert_eq!(warning(GOOD.to_owned()), None);
    }

    #[test]
    fn names_that_no_topic_can_have_are_refused_with_their_place() {
        assert!(Loops::parse(GOOD).is_ok());
        for (from, to, expected) in [
            ("\"a\"", "\"a/#\"", "input \"a/#\": the name is a part of a topic"),
            ("\"x\"", "\"\"", "output \"\": the name is a part of a topic"),
            ("\"a\"", "\"out/x\"", "input \"out/x\": out/"),
            ("[[input]]", "[[input]", "line 1: "),
            ("stale_after_ms", "stale_ms", "unknown field `stale_ms`"),
            (
                "[[input]]",
                "[commands]\n[[input]]",
                "[commands] has no effect without [control] commands = true",
            ),
            ("[[input]]", "[control]\ncommands = 1\n[[input]]", "commands is true or false"),
        ] {
            let error = Loops::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
