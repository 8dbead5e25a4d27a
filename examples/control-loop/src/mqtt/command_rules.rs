//! Permission of commands: who may command what, how far and how often. Pure.

use super::names::LoopNames;
use edge_filter::ConfigFile;
use edge_filter::control::{ControlCommand, Controller, Output};
use edge_filter::pid::PidMode;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

const MINUTE_NS: u64 = 60_000_000_000;

/// `[commands]`; without `[control] commands = true` none is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CommandRules {
    #[serde(skip)]
    pub(crate) are_on: bool,
    /// Client identifiers that may command; without the key any client may.
    clients: Option<Vec<String>>,
    /// Most commands a minute, of all clients together.
    per_minute: u32,
    /// Setpoints that may be changed, by output.
    setpoint: BTreeMap<String, SetpointRule>,
    /// Outputs that may be set by hand, each with the lowest and the highest value.
    manual: BTreeMap<String, Range>,
    /// Client identifiers that may reset or bypass an interlock, where they are not those of `clients`.
    reset: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetpointRule {
    range: Range,
    #[serde(default = "six")]
    per_minute: u32,
}

/// The lowest and the highest value.
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
    /// Returns whether no value is in it, or too many.
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
            clients: None,
            per_minute: 60,
            setpoint: BTreeMap::new(),
            manual: BTreeMap::new(),
            reset: BTreeMap::new(),
        }
    }
}

impl CommandRules {
    /// Returns whether there is a client that may reset this interlock.
    pub(crate) fn can_be_reset(&self, interlock: &str) -> bool {
        let list = self.reset.get(interlock).or(self.clients.as_ref());
        self.are_on && !list.is_some_and(Vec::is_empty)
    }

    /// Notes names of a file that there are not, ranges that are none, and rules under which no command can be obeyed.
    pub(crate) fn check(&self, file: &mut ConfigFile<'_>, controller: &Controller) {
        // The clients of an interlock stand in the place of these.
        let nobody = self.clients.as_ref().is_some_and(Vec::is_empty);
        if nobody && self.reset.values().all(Vec::is_empty) {
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

/// Commands of a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    began_ns: u64,
    used: u32,
}

impl Budget {
    /// Returns whether there is one left, and takes it.
    pub fn take(&mut self, per_minute: u32, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.began_ns) >= MINUTE_NS {
            *self = Budget { began_ns: now_ns, used: 0 };
        }
        let has_one = self.used < per_minute;
        self.used += u32::from(has_one);
        has_one
    }
}

/// The rules with what was used of them.
#[derive(Debug)]
pub(super) struct Permission {
    rules: CommandRules,
    all: Budget,
    setpoints: HashMap<u16, Budget>,
}

impl Permission {
    pub(super) fn new(rules: CommandRules) -> Self {
        Permission { rules, all: Budget::default(), setpoints: HashMap::new() }
    }

    pub(super) fn are_on(&self) -> bool {
        self.rules.are_on
    }

    /// Returns whether this client may give this command now.
    ///
    /// # Errors
    /// The reason of the refusal, in words for its sender.
    pub(super) fn check(
        &mut self,
        names: &LoopNames,
        client: &str,
        command: &ControlCommand,
        now_ns: u64,
    ) -> Result<(), &'static str> {
        let CommandRules { clients, per_minute, setpoint, manual, reset, .. } = &self.rules;
        let of = |names: &[String], number: u16| names.get(usize::from(number)).cloned().unwrap_or_default();
        let own = match command {
            ControlCommand::Reset { interlock }
            | ControlCommand::Bypass { interlock, .. }
            | ControlCommand::EndBypass { interlock } => reset.get(&of(&names.interlocks, *interlock)),
            _ => None,
        };
        if own.or(clients.as_ref()).is_some_and(|list| !list.iter().any(|one| one == client)) {
            return Err("this client may not command it");
        }
        if !self.all.take(*per_minute, now_ns) {
            return Err("more commands than commands.per_minute");
        }
        match *command {
            ControlCommand::Setpoint { output, value } => {
                let rule = setpoint.get(&of(&names.outputs, output));
                let rule = rule.ok_or("no [commands.setpoint] for this output")?;
                within(rule.range, value)?;
                let budget = self.setpoints.entry(output).or_default();
                budget.take(rule.per_minute, now_ns).then_some(()).ok_or("more changes than its per_minute")
            }
            ControlCommand::Mode { output, mode: mode @ (PidMode::Manual(_) | PidMode::Hold) } => {
                let range = manual.get(&of(&names.outputs, output));
                let range = *range.ok_or("no [commands.manual] for this output")?;
                // A hold moves nothing: it is allowed wherever the output is.
                if let PidMode::Manual(value) = mode { within(range, value) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

fn within(Range([low, high]): Range, value: f64) -> Result<(), &'static str> {
    if (low..=high).contains(&value) { Ok(()) } else { Err("outside the range of the rules") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_command_is_bounded_by_client_range_and_rate() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: vec!["x".to_owned(), "y".to_owned()],
            interlocks: vec!["stop".to_owned(), "door".to_owned()],
            alarms: Vec::new(),
            take_commands: true,
        };
        let text = "clients = [\"hmi\"]\nper_minute = 11\n[setpoint]\nx = { range = [20, 80], per_minute = 2 }\n\
                    [manual]\nx = [0, 50]\n[reset]\nstop = [\"key\"]\n";
        let rules: CommandRules = toml::from_str(text).unwrap();
        let mut permission = Permission::new(rules);
        let setpoint = |output, value| ControlCommand::Setpoint { output, value };
        let manual = |output, value| ControlCommand::Mode { output, mode: PidMode::Manual(value) };
        for (client, command, expected) in [
            ("hmi", setpoint(0, 80.0), Ok(())),
            ("hmi", setpoint(0, 1e9), Err("outside the range of the rules")),
            ("hmi", setpoint(0, f64::NAN), Err("outside the range of the rules")),
            ("hmi", setpoint(1, 30.0), Err("no [commands.setpoint] for this output")),
            ("thief", setpoint(0, 30.0), Err("this client may not command it")),
            ("hmi", manual(0, 100.0), Err("outside the range of the rules")),
            ("hmi", manual(1, 1.0), Err("no [commands.manual] for this output")),
            ("hmi", ControlCommand::Mode { output: 0, mode: PidMode::Hold }, Ok(())),
            (
                "hmi",
                ControlCommand::Mode { output: 1, mode: PidMode::Hold },
                Err("no [commands.manual] for this output"),
            ),
            ("hmi", ControlCommand::Reset { interlock: 0 }, Err("this client may not command it")),
            ("key", ControlCommand::Reset { interlock: 0 }, Ok(())),
            ("hmi", ControlCommand::Reset { interlock: 1 }, Ok(())),
            ("hmi", setpoint(0, 30.0), Ok(())),
            ("hmi", setpoint(0, 31.0), Err("more commands than commands.per_minute")),
        ] {
            assert_eq!(
                permission.check(&names, client, &command, MINUTE_NS),
                expected,
                "{client} {command:?}"
            );
        }
        let later = 2 * MINUTE_NS;
        for expected in [Ok(()), Ok(()), Err("more changes than its per_minute")] {
            assert_eq!(permission.check(&names, "hmi", &setpoint(0, 30.0), later), expected);
        }
    }

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
