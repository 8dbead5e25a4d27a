//! Commands of the hub in the report of `check`: their topics, time limit, at-most-once rule, and the topic of their answers.

use std::fmt;

use crate::config::units::human_duration;
use crate::config::{CommandRule, Config};

use super::Lines;

/// Writes the rules for commands, and the access rights that they need at the hub.
pub(super) fn commands(f: &mut Lines<'_, '_>, config: &Config) -> fmt::Result {
    for (index, rule) in config.commands.iter().enumerate() {
        let CommandRule { filter, to, expiry, allow, allows_unbounded, at_most_once, answers } = rule;
        writeln!(
            f,
            "command {:<6}{filter} at the hub -> {to} for {}, {}",
            index + 1,
            match config.control.is_some() || config.alarm_commands.as_ref().is_some_and(|alarms| alarms.hub)
            {
                true => "local clients, loops and alarms",
                false => "local clients",
            },
            match at_most_once {
                true => "at most once: each is on disk before anybody gets it",
                false => "at least once: a copy is given again",
            }
        )?;
        let bound = human_duration(*expiry);
        match allows_unbounded {
            false => writeln!(
                f,
                "              within its own Message Expiry Interval, and {bound} after it came at most; one without is refused"
            )?,
            true => writeln!(
                f,
                "              within {bound} after it came, or its own Message Expiry Interval if that is shorter; one without may be old"
            )?,
        }
        if allow.as_ref().is_some_and(Vec::is_empty) {
            writeln!(f, "              no payload is allowed: each command is refused")?;
        } else if let Some(allow) = allow {
            let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
            writeln!(f, "              its payload one of {}; any other is refused", allow.join(", "))?;
        }
        writeln!(
            f,
            "              its end is told at its Response Topic, or else {answers}; the hub must allow both"
        )?;
    }
    Ok(())
}
