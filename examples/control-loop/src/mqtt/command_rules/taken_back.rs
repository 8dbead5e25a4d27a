//! Setpoints and manual modes of an earlier run that the rules in force do not allow: nobody could take them back. Pure.

use super::{CommandRules, Kind, Range};
use edge_filter::control::{ControlCommand, Controller, Output};
use edge_filter::pid::PidMode;
use std::fmt;

/// Setpoint or mode that an operator chose in an earlier run, and that is not in force any more.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TakenBack {
    /// The setpoint is that of the configuration.
    Setpoint {
        /// Name of the output.
        output: String,
        /// Setpoint that the operator chose.
        value: f64,
        /// Setpoint of the configuration.
        configured: f64,
    },
    /// The loop is automatic.
    Hand {
        /// Name of the output.
        output: String,
        /// Value that the operator set; `None`: the output was held where it was.
        value: Option<f64>,
    },
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakenBack::Setpoint { output, value, configured } => {
                write!(f, "setpoint {value} of output {output:?}, which is {configured} again")
            }
            TakenBack::Hand { output, value: Some(value) } => {
                write!(f, "output {output:?} at {value} by hand, which is automatic again")
            }
            TakenBack::Hand { output, value: None } => {
                write!(f, "output {output:?} held by hand, which is automatic again")
            }
        }
    }
}

impl CommandRules {
    /// Takes back what an operator chose in an earlier run where these rules do not allow it. To be called after
    /// [`Controller::restore`], before the first scan.
    pub fn take_back(&self, controller: &mut Controller, now_ns: u64) -> Vec<TakenBack> {
        let (mut commands, mut taken_back) = (Vec::new(), Vec::new());
        for (number, output) in (0..).zip(controller.outputs()) {
            if let Some((value, configured)) = self.forbidden_setpoint(output) {
                commands.push(ControlCommand::Setpoint { output: number, value: configured });
                let output = output.name().to_owned();
                taken_back.push(TakenBack::Setpoint { output, value, configured });
            }
            let value = match output.mode() {
                PidMode::Manual(value) => Some(value),
                PidMode::Hold => None,
                _ => continue,
            };
            if !self.allow_by_hand(output.name(), value) {
                commands.push(ControlCommand::Mode { output: number, mode: PidMode::Auto });
                taken_back.push(TakenBack::Hand { output: output.name().to_owned(), value });
            }
        }
        for command in commands {
            // The output is there, and takes what it had.
            let _ = controller.command(command, now_ns, &mut |_| ());
        }
        taken_back
    }

    /// Returns the setpoint that an operator chose, and the configured one, if nobody could choose it now.
    fn forbidden_setpoint(&self, output: &Output) -> Option<(f64, f64)> {
        let (value, configured) = output.setpoint().zip(output.configured_setpoint())?;
        let rule = self.setpoint.get(output.name()).filter(|_| self.lets_somebody(Kind::Setpoint));
        let is_allowed = value == configured || rule.is_some_and(|rule| rule.range.holds(value));
        (!is_allowed).then_some((value, configured))
    }

    fn allow_by_hand(&self, output: &str, value: Option<f64>) -> bool {
        let range = self.manual.get(output).filter(|_| self.lets_somebody(Kind::Mode));
        range.is_some_and(|range| value.is_none_or(|value| range.holds(value)))
    }

    /// Returns whether a client, or the hub, may give commands of this kind.
    fn lets_somebody(&self, kind: Kind) -> bool {
        let has_client = self.clients.as_ref().is_none_or(|clients| !clients.is_empty());
        self.are_on && (has_client || self.hub.contains(&kind))
    }
}

impl Range {
    fn holds(self, value: f64) -> bool {
        let Range([low, high]) = self;
        (low..=high).contains(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PARTS: &str = "[[input]]\nname = \"t\"\nstale_after_ms = 1000\n[[output]]\nname = \"x\"\n\
                         pid = { input = \"t\", setpoint = 60, k = 1.0, ti_s = 9.0, limits = [0, 100] }\n";
    const ON: &str = "[control]\ncommands = true\n";
    const RANGES: &str = "[commands.setpoint]\nx = { range = [20, 80] }\n[commands.manual]\nx = [0, 70]\n";

    fn rules(before: &str, after: &str) -> crate::Loops {
        crate::Loops::parse(&format!("{before}{PARTS}{after}"), Duration::MAX).unwrap()
    }

    /// Gives the commands under rules that allow them, and restores what they left under these.
    fn restored(mut loops: crate::Loops, commands: &[ControlCommand]) -> (Vec<TakenBack>, f64, PidMode) {
        let mut before = rules(ON, RANGES).controller;
        for command in commands {
            before.command(*command, 1, &mut |_| ()).unwrap();
        }
        loops.controller.restore(&before.snapshot(), 2).unwrap();
        let taken_back = loops.commands.take_back(&mut loops.controller, 2);
        let output = &loops.controller.outputs()[0];
        (taken_back, output.setpoint().unwrap(), output.mode())
    }

    #[test]
    fn what_the_rules_do_not_allow_is_taken_back_after_a_restart() {
        let set = ControlCommand::Setpoint { output: 0, value: 80.0 };
        let mode = |mode| ControlCommand::Mode { output: 0, mode };
        let manual = PidMode::Manual(70.0);
        let setpoint = || TakenBack::Setpoint { output: "x".to_owned(), value: 80.0, configured: 60.0 };
        let hand = |value| TakenBack::Hand { output: "x".to_owned(), value };
        let off = (vec![setpoint(), hand(Some(70.0))], 60.0, PidMode::Auto);
        assert_eq!(restored(rules("", ""), &[set, mode(manual)]), off, "commands are off");
        assert_eq!(restored(rules(ON, ""), &[set, mode(manual)]), off, "nothing may be commanded");
        let held = restored(rules(ON, ""), &[mode(PidMode::Hold)]);
        assert_eq!(held, (vec![hand(None)], 60.0, PidMode::Auto));
        let same = restored(rules(ON, RANGES), &[set, mode(manual)]);
        assert_eq!(same, (Vec::new(), 80.0, manual), "as before");
        let narrow = |from: &str, to: &str| rules(ON, &RANGES.replace(from, to));
        let narrowed = restored(narrow("[20, 80]", "[20, 60]"), &[set, mode(manual)]);
        assert_eq!(narrowed, (vec![setpoint()], 60.0, manual));
        let narrowed = restored(narrow("[0, 70]", "[0, 69]"), &[set, mode(manual)]);
        assert_eq!(narrowed, (vec![hand(Some(70.0))], 80.0, PidMode::Auto));
        // A hold is allowed wherever the output is, and nobody but the hub may command it.
        let hub = format!("[commands]\nclients = []\nhub = [\"mode\"]\n{RANGES}");
        let of_hub = restored(rules(ON, &hub), &[set, mode(PidMode::Hold)]);
        assert_eq!(of_hub, (vec![setpoint()], 60.0, PidMode::Hold));
        assert_eq!(restored(rules("", ""), &[]), (Vec::new(), 60.0, PidMode::Auto), "nothing was chosen");
        assert_eq!(
            [setpoint(), hand(Some(70.0)), hand(None)].map(|one| one.to_string()),
            [
                "setpoint 80 of output \"x\", which is 60 again",
                "output \"x\" at 70 by hand, which is automatic again",
                "output \"x\" held by hand, which is automatic again",
            ]
        );
    }
}
