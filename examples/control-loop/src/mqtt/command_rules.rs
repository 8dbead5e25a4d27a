//! Limits of commands, as a rules file states them: who may command what, how far and how often. Pure.

mod permission;
mod taken_back;

use super::names::LoopNames;
use edge_filter::ConfigFile;
use edge_filter::control::{ControlCommand, Controller, Output};
pub(super) use permission::Permission;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
pub use taken_back::TakenBack;

const MINUTE_NS: u64 = 60_000_000_000;

/// Table `[commands]`; without `[control] commands = true` none is accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CommandRules {
    #[serde(skip)]
    pub(crate) are_on: bool,
    /// Set if the table is there although commands are off.
    #[serde(skip)]
    pub(crate) are_idle: bool,
    /// Client identifiers that may send commands; `None`: any client may.
    clients: Option<Vec<String>>,
    /// Most commands a minute, of all clients together.
    per_minute: u32,
    /// Setpoints that may be changed, by output.
    setpoint: BTreeMap<String, SetpointRule>,
    /// Outputs that may be set manually, each with the lowest and the highest value.
    manual: BTreeMap<String, Range>,
    /// Client identifiers that may reset or bypass an interlock, if they differ from `clients`.
    reset: BTreeMap<String, Vec<String>>,
    /// Commands that the hub may give, by `[[command]]` rules of a gateway.
    hub: Vec<Kind>,
}

/// Kind of a command, by what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Setpoint,
    Mode,
    Alarm,
    Interlock,
}

impl Kind {
    fn of(command: &ControlCommand) -> Option<Kind> {
        match command {
            ControlCommand::Setpoint { .. } => Some(Kind::Setpoint),
            ControlCommand::Mode { .. } => Some(Kind::Mode),
            ControlCommand::Alarm { .. } => Some(Kind::Alarm),
            ControlCommand::Reset { .. }
            | ControlCommand::Bypass { .. }
            | ControlCommand::EndBypass { .. } => Some(Kind::Interlock),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetpointRule {
    range: Range,
    #[serde(default = "six")]
    per_minute: u32,
}

/// Lowest and highest value.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Range(#[serde(deserialize_with = "edge_filter::config::two_numbers")] [f64; 2]);

const NO_CLIENTS: &str =
    "an empty list: nobody may command; name a client, or say [control] commands = false";
const NONE_A_MINUTE: &str = "`per_minute` must be 1 or more, found 0: no command would be obeyed";
const RANGE: &str = "a range is two finite numbers, the lower first";
const NO_SETPOINT: &str =
    "this output has no setpoint that a command can change: a pid or a ramp with `setpoint` has one";
const NO_MANUAL_MODE: &str = "this output cannot be set by hand: only a pid can";

impl Range {
    /// Returns whether the range is empty or unlimited.
    fn is_none(self) -> bool {
        let Range([low, high]) = self;
        !(low.is_finite() && high.is_finite() && low <= high)
    }

    fn is_within(self, least: f64, most: f64) -> bool {
        let Range([low, high]) = self;
        least <= low && high <= most
    }
}

fn six() -> u32 {
    6
}

impl Default for CommandRules {
    fn default() -> Self {
        CommandRules {
            are_on: false,
            are_idle: false,
            clients: None,
            per_minute: 60,
            setpoint: BTreeMap::new(),
            manual: BTreeMap::new(),
            reset: BTreeMap::new(),
            hub: Vec::new(),
        }
    }
}

impl CommandRules {
    /// Returns whether any command is accepted.
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.are_on
    }

    /// Returns whether the hub may give commands of some kind.
    #[must_use]
    pub fn are_open_to_hub(&self) -> bool {
        self.are_on && !self.hub.is_empty()
    }

    /// Returns whether there is a client that may reset this interlock, or the hub may.
    pub(crate) fn can_be_reset(&self, interlock: &str) -> bool {
        let own = self.reset.get(interlock);
        let by_hub = own.is_none() && self.hub.contains(&Kind::Interlock);
        self.are_on && (by_hub || !own.or(self.clients.as_ref()).is_some_and(Vec::is_empty))
    }

    /// Returns whether somebody may set this output by hand.
    pub(crate) fn can_be_set(&self, output: &str) -> bool {
        let nobody = self.clients.as_ref().is_some_and(Vec::is_empty) && !self.hub.contains(&Kind::Mode);
        self.are_on && self.manual.contains_key(output) && !nobody
    }

    fn allow_client(&self, names: &LoopNames, client: &str, command: &ControlCommand) -> bool {
        let list = self.reset_list(names, command).or(self.clients.as_ref());
        list.is_none_or(|list| list.iter().any(|one| one == client))
    }

    /// The hub is none of the clients that `reset` names for an interlock.
    fn allow_hub(&self, names: &LoopNames, command: &ControlCommand) -> bool {
        let is_allowed = Kind::of(command).is_some_and(|kind| self.hub.contains(&kind));
        is_allowed && self.reset_list(names, command).is_none()
    }

    /// Returns the clients that `reset` names for the interlock of a command. `None`: it is of no interlock, or of one that is not named.
    fn reset_list(&self, names: &LoopNames, command: &ControlCommand) -> Option<&Vec<String>> {
        match command {
            ControlCommand::Reset { interlock }
            | ControlCommand::Bypass { interlock, .. }
            | ControlCommand::EndBypass { interlock } => {
                self.reset.get(names.interlocks.get(usize::from(*interlock))?)
            }
            _ => None,
        }
    }

    /// Reports unknown names, empty ranges, and rules under which no command can be obeyed.
    pub(crate) fn check(&self, file: &mut ConfigFile<'_>, controller: &Controller) {
        // The clients of an interlock stand in the place of these.
        let nobody = self.clients.as_ref().is_some_and(Vec::is_empty);
        if nobody && self.hub.is_empty() && self.reset.values().all(Vec::is_empty) {
            file.wrong(&["commands", "clients"], NO_CLIENTS);
        }
        if self.per_minute == 0 {
            file.wrong(&["commands", "per_minute"], NONE_A_MINUTE);
        }
        // Nothing is known of an output that is wrong itself.
        let faulty = file.faulty_names("output");
        let outputs = controller.outputs().iter().map(|output| (output.name(), output));
        let outputs: HashMap<&str, &Output> = outputs.filter(|(name, _)| !faulty.contains(*name)).collect();
        for (name, rule) in &self.setpoint {
            let path = ["commands", "setpoint", name];
            file.refers(&path, "output", name);
            if rule.range.is_none() {
                file.wrong(&[&path[..], &["range"]].concat(), RANGE);
            }
            if rule.per_minute == 0 {
                file.wrong(&[&path[..], &["per_minute"]].concat(), NONE_A_MINUTE);
            }
            if outputs.get(name.as_str()).is_some_and(|output| output.setpoint().is_none()) {
                file.wrong(&path, NO_SETPOINT);
            }
        }
        for (name, range) in &self.manual {
            let path = ["commands", "manual", name];
            file.refers(&path, "output", name);
            match outputs.get(name.as_str()).map(|output| output.manual_range()) {
                _ if range.is_none() => file.wrong(&path, RANGE),
                Some(None) => file.wrong(&path, NO_MANUAL_MODE),
                Some(Some((low, high))) if !range.is_within(low, high) => {
                    let Range([least, most]) = range;
                    let limits =
                        format_args!("beyond the output's limits, {low} to {high}: {least} to {most}");
                    file.wrong(&path, limits);
                }
                _ => {}
            }
        }
        for name in self.reset.keys() {
            file.refers(&["commands", "reset", name], "interlock", name);
        }
    }
}

/// Rate limit: number of commands per minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    began_ns: u64,
    used: u32,
}

impl Budget {
    /// Counts one more. Returns whether the limit allows it.
    pub fn take(&mut self, per_minute: u32, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.began_ns) >= MINUTE_NS {
            *self = Budget { began_ns: now_ns, used: 0 };
        }
        let has_one = self.used < per_minute;
        self.used += u32::from(has_one);
        has_one
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn names_that_there_are_not_and_ranges_that_are_none_are_refused() {
        let parts = "[control]\ncommands = true\n[[output]]\nname = \"x\"\nvalue = 1\n";
        for (text, expected) in [
            (
                "[commands.setpoint]\ny = { range = [0, 1] }",
                "line 7: commands.setpoint.y: there is no output named \"y\"",
            ),
            ("[commands.manual]\nx = [2, 1]", "line 7: commands.manual.x: a range"),
            ("[commands.manual]\nx = [0, inf]", "line 7: commands.manual.x: a range"),
            (
                "[commands.reset]\nstop = []",
                "line 7: commands.reset.stop: there is no interlock named \"stop\"",
            ),
        ] {
            let text = format!("{parts}{text}\n");
            let error = crate::Loops::parse(&text, Duration::MAX).unwrap_err().to_string();
            assert!(error.starts_with(expected) && error.lines().count() == 1, "{error}");
        }
    }
    #[test]
    fn an_interlock_that_nobody_can_reset_is_told() {
        let interlock = "[[interlock]]\nname = \"stop\"\noutputs = [\"x\"]\nreset = \"manual\"\n\
                         trip_when = { any = [{ input = \"t\", above = 1 }] }\n";
        let parts = "[[input]]\nname = \"t\"\nstale_after_ms = 9\n[[output]]\nname = \"x\"\nvalue = 1\n";
        for (commands, expected) in [
            ("[control]\ncommands = true\n", None),
            ("[control]\ncommands = true\n[commands.reset]\nstop = [\"panel\"]\n", None),
            ("", Some("commands are off")),
            (
                "[control]\ncommands = true\n[commands.reset]\nstop = []\n",
                Some("[commands] lets nobody do that"),
            ),
        ] {
            let text = format!("{commands}{parts}{interlock}");
            let warning = crate::Loops::parse(&text, Duration::MAX).unwrap().warning();
            match (expected, warning) {
                (None, warning) => assert_eq!(warning, None),
                (Some(why), warning) => {
                    let warning = warning.unwrap();
                    assert!(warning.contains("\"stop\"") && warning.contains(why), "{warning}");
                }
            }
        }
    }
}
