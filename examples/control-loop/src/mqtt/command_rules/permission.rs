//! Permission of one command: the limits with what was used of them. Pure.

use super::super::names::LoopNames;
use super::super::per_command_source::PerGiver;
use super::{Budget, CommandRules, Range};
use edge_filter::control::ControlCommand;
use edge_filter::pid::PidMode;
use std::collections::HashMap;

/// The rules with what was used of them.
#[derive(Debug)]
pub(in super::super) struct Permission {
    rules: CommandRules,
    all: PerGiver<Budget>,
    setpoints: HashMap<u16, Budget>,
}

impl Permission {
    pub(in super::super) fn new(rules: CommandRules) -> Self {
        Permission { rules, all: PerGiver::default(), setpoints: HashMap::new() }
    }

    pub(in super::super) fn are_on(&self) -> bool {
        self.rules.are_on
    }

    /// Returns whether this client, or the hub (`None`), may give this command now.
    ///
    /// # Errors
    /// The reason of the refusal, in words for its sender.
    pub(in super::super) fn check(
        &mut self,
        names: &LoopNames,
        client: Option<&str>,
        command: &ControlCommand,
        now_ns: u64,
    ) -> Result<(), &'static str> {
        let CommandRules { per_minute, setpoint, manual, .. } = &self.rules;
        let of = |names: &[String], number: u16| names.get(usize::from(number)).cloned().unwrap_or_default();
        match client {
            Some(client) if !self.rules.allow_client(names, client, command) => {
                return Err("this client may not command it");
            }
            None if !self.rules.allow_hub(names, command) => {
                return Err("the hub may not command it: [commands] hub");
            }
            _ => {}
        }
        if !self.all.of(client.is_none()).take(*per_minute, now_ns) {
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
    use super::super::MINUTE_NS;
    use super::*;

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
                permission.check(&names, Some(client), &command, MINUTE_NS),
                expected,
                "{client} {command:?}"
            );
        }
        let later = 2 * MINUTE_NS;
        for expected in [Ok(()), Ok(()), Err("more changes than its per_minute")] {
            assert_eq!(permission.check(&names, Some("hmi"), &setpoint(0, 30.0), later), expected);
        }
    }

    #[test]
    fn the_hub_commands_by_kind_and_by_a_budget_of_its_own() {
        let names = LoopNames {
            inputs: Vec::new(),
            outputs: vec!["x".to_owned()],
            interlocks: vec!["stop".to_owned()],
            alarms: Vec::new(),
            take_commands: true,
        };
        let all = [
            ("setpoint", ControlCommand::Setpoint { output: 0, value: 30.0 }),
            ("mode", ControlCommand::Mode { output: 0, mode: PidMode::Auto }),
            ("interlock", ControlCommand::Reset { interlock: 0 }),
            ("interlock", ControlCommand::Bypass { interlock: 0, for_ms: 9 }),
            (
                "alarm",
                ControlCommand::Alarm {
                    alarm: 0,
                    level: edge_filter::alarm::AlarmLevel::High,
                    command: edge_filter::alarm::AlarmCommand::Reset,
                },
            ),
        ];
        let limits = "clients = []\nper_minute = 3\n[setpoint]\nx = { range = [20, 80] }\n";
        for may in ["", "setpoint", "mode", "interlock", "alarm"] {
            let list = if may.is_empty() { String::new() } else { format!("{may:?}") };
            let rules: CommandRules = toml::from_str(&format!("hub = [{list}]\n{limits}")).unwrap();
            assert!(!rules.can_be_reset("stop"), "commands are off");
            let mut permission = Permission::new(rules);
            for (kind, command) in all {
                let checked = permission.check(&names, None, &command, MINUTE_NS);
                let refused = Err("the hub may not command it: [commands] hub");
                assert_eq!(checked, if kind == may { Ok(()) } else { refused }, "{may} {kind}");
                let of_client = permission.check(&names, Some("hmi"), &command, MINUTE_NS);
                assert_eq!(of_client, Err("this client may not command it"));
            }
        }
        // An interlock whose clients are named is theirs.
        let text = format!("hub = [\"interlock\"]\n{limits}[reset]\nstop = [\"key\"]\n");
        let mut permission = Permission::new(toml::from_str(&text).unwrap());
        let refused = Err("the hub may not command it: [commands] hub");
        assert_eq!(permission.check(&names, None, &all[2].1, MINUTE_NS), refused);
        assert_eq!(permission.check(&names, Some("key"), &all[2].1, MINUTE_NS), Ok(()));
        let text = format!("hub = [\"setpoint\"]\n{limits}").replace("clients = []\n", "");
        let mut permission = Permission::new(toml::from_str(&text).unwrap());
        let setpoint = |value| ControlCommand::Setpoint { output: 0, value };
        for client in ["a", "b", "c"] {
            let used = permission.check(&names, Some(client), &all[1].1, MINUTE_NS);
            assert_eq!(used, Ok(()), "three of the clients");
        }
        for (value, expected) in [
            (30.0, Ok(())),
            (81.0, Err("outside the range of the rules")),
            (31.0, Ok(())),
            (32.0, Err("more commands than commands.per_minute")),
        ] {
            assert_eq!(permission.check(&names, None, &setpoint(value), MINUTE_NS), expected, "{value}");
        }
    }
}
