//! `[[command]]`: which messages of the hub are commands for local clients, and the limits of their delivery.

mod allowed;
mod checks;

use std::fmt;
use std::time::Duration;

use edge_bridge::wire::{
    matches, validate_characters, validate_filter, validate_levels, validate_topic_name,
};

use super::Findings;
use super::section::{Placed, Section, World};
use super::tables::tables_of;

pub(crate) use allowed::Allowed;
pub(super) use checks::check;
pub(crate) use checks::own_topic;

/// Rule for one class of commands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandRule {
    /// MQTT topic filter at the hub.
    pub(crate) filter: String,
    /// Rule for the topic under which local clients get the command.
    pub(crate) to: LocalTopic,
    /// Longest time after its arrival at which a command is still delivered to a local client.
    pub(crate) expiry: Duration,
    /// Payloads that may be given. `None`: any.
    pub(crate) allow: Option<Vec<Allowed>>,
    /// Set if commands without a Message Expiry Interval are accepted, although it is unknown how long they waited at the hub.
    pub(crate) allows_unbounded: bool,
    /// Set if a command is delivered at most once: neither a copy nor a command whose delivery was interrupted is delivered again.
    pub(crate) at_most_once: bool,
    /// Topic at the hub for answers to commands without a Response Topic.
    pub(crate) answers: String,
}

/// Rule that makes the local topic from the topic at the hub: each wildcard is replaced by the levels that the same wildcard of `match` matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalTopic {
    filter: String,
    to: String,
}

impl LocalTopic {
    /// Creates the rule.
    ///
    /// # Errors
    ///
    /// One of the two is not a valid topic filter, or their wildcards differ.
    pub(crate) fn new(filter: &str, to: &str) -> Result<Self, String> {
        valid_filter(filter)?;
        valid_filter(to)?;
        let (wanted, found) = (wildcards(filter), wildcards(to));
        if wanted != found {
            let [wanted, found] = [wanted, found].map(|wildcards| match wildcards.len() {
                0 => "no wildcard".to_owned(),
                _ => format!("the wildcards `{}`", wildcards.join(" ")),
            });
            return Err(format!(
                "{to:?} has {found} and `match` {wanted}: each needs its own, in the same order"
            ));
        }
        Ok(Self { filter: filter.to_owned(), to: to.to_owned() })
    }

    /// Returns the local topic for a topic at the hub. `None`: the filter does not match, or the result is not a valid topic name.
    pub(crate) fn of(&self, topic: &str) -> Option<String> {
        if !matches(&self.filter, topic) {
            return None;
        }
        let mut levels = topic.split('/');
        // What each `+` stood for, and at the end the levels of `#`, which may be none.
        let mut stood_for = Vec::new();
        for wanted in self.filter.split('/').take_while(|level| *level != "#") {
            let level = levels.next()?;
            if wanted == "+" {
                stood_for.push(level);
            }
        }
        let mut stood_for = stood_for.into_iter();
        let mut made: Vec<&str> = Vec::new();
        for level in self.to.split('/') {
            match level {
                "+" => made.push(stood_for.next()?),
                "#" => made.extend(levels.by_ref()),
                level => made.push(level),
            }
        }
        let made = made.join("/");
        validate_topic_name(&made).is_ok().then_some(made)
    }
}

impl fmt::Display for LocalTopic {
    /// Writes the rule as in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to)
    }
}

fn wildcards(filter: &str) -> Vec<&str> {
    filter.split('/').filter(|level| matches!(*level, "+" | "#")).collect()
}

fn valid_filter(text: &str) -> Result<(), String> {
    validate_filter(text)
        .and_then(|()| validate_characters(text))
        .map_err(|error| format!("{text:?}: {error}"))?;
    if text.starts_with("$share/") {
        return Err(format!("{text:?}: of a shared subscription others get a part of the commands"));
    }
    Ok(())
}

/// Reads the rules, each with its number in the file. A rule with a mistake is left out.
pub(super) fn commands<'a>(
    top: &mut Section<'a>,
    id: &str,
    world: &'a World<'a>,
    findings: &mut Findings,
) -> Vec<(usize, CommandRule)> {
    let mut rules = Vec::new();
    for (number, at, table) in tables_of(top, "command", findings) {
        let mut section = Section::new(&format!("command[{number}]"), at, Some(table), world);
        let rule = command(&mut section, id, findings);
        section.finish(findings);
        rules.extend(rule.map(|rule| (number, rule)));
    }
    rules
}

fn command(section: &mut Section<'_>, id: &str, findings: &mut Findings) -> Option<CommandRule> {
    let filter = section.parsed("match", findings, |text| valid_filter(text).map(|()| text.to_owned()));
    if section.get("match").is_none() {
        let message = "missing: the MQTT topic filter of commands at the hub";
        findings.error(section.at(), &section.key("match"), message);
    }
    // Beside a `match` that is wrong its own form is told all the same.
    let beside = filter.as_ref().map(|filter| filter.value.as_str());
    let to = section.parsed("to", findings, |text| LocalTopic::new(beside.unwrap_or(text), text));
    let expiry = section.duration_in_force("expiry", findings);
    let allow = allowed(section, findings);
    let allows_unbounded = section.boolean("allow_unbounded", findings).unwrap_or(false);
    let at_most_once = section.one_of_in_force("delivery", findings) == "at-most-once";
    let answers = section.parsed("answers", findings, |text| valid_name(text).map(|()| text.to_owned()));
    let filter = filter?.value;
    let to = match to {
        Some(to) => to.value,
        None if section.get("to").is_none() => LocalTopic { filter: filter.clone(), to: filter.clone() },
        None => return None,
    };
    let answers = match answers {
        Some(answers) => answers.value,
        None if section.get("answers").is_none() => answers_by_default(id),
        None => return None,
    };
    Some(CommandRule { filter, to, expiry, allow, allows_unbounded, at_most_once, answers })
}

/// Reads the payloads that may be given. What has a mistake is left out of the list, never the list.
fn allowed(section: &Section<'_>, findings: &mut Findings) -> Option<Vec<Allowed>> {
    let texts = section.placed_strings("allow", findings)?;
    if texts.value.is_empty() {
        let message = "an empty list: every command is refused; without the key any payload is taken";
        findings.warning(texts.at, &section.key("allow"), message);
    }
    let read = |text: Placed<String>| match Allowed::parse(&text.value) {
        Ok(allowed) => Some(allowed),
        Err(message) => {
            findings.error(text.at, &section.key("allow"), message);
            None
        }
    };
    Some(texts.value.into_iter().filter_map(read).collect())
}

/// Returns the default topic of answers.
pub(crate) fn answers_by_default(id: &str) -> String {
    format!("edge/answers/{id}")
}

fn valid_name(text: &str) -> Result<(), String> {
    validate_topic_name(text)
        .and_then(|()| validate_characters(text))
        .and_then(|()| validate_levels(text))
        .map_err(|error| format!("{text:?}: {error}"))?;
    if text.starts_with("$share/") {
        return Err(format!("{text:?}: `$share/` begins a filter; nothing can be published there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
