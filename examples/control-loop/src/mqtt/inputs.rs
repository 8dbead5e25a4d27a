//! What sensors and operators publish locally, straight into the control thread's atomics.

use super::names::{Names, number};
use super::{NetStats, count, payload};
use crate::Clock;
use crate::runner::{Commands, InputPort};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_filter::control::ControlCommand;
use edge_filter::{AlarmCommand, AlarmLevel, PidMode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Every message is absorbed: an input that came too late is worth nothing, so none is stored. Sensors use QoS 0.
pub(super) struct ControlIngest {
    inputs: HashMap<String, (InputPort, String)>,
    names: Arc<Names>,
    commands: Commands,
    clock: Clock,
    stats: Arc<NetStats>,
}

impl ControlIngest {
    pub(super) fn new(
        names: &Arc<Names>,
        fields: &BTreeMap<String, String>,
        ports: Vec<InputPort>,
        commands: Commands,
        clock: Clock,
        stats: Arc<NetStats>,
    ) -> Self {
        let field = |name: &String| fields.get(name).cloned().unwrap_or_else(|| "value".to_owned());
        let inputs = names.inputs.iter().zip(ports).map(|(name, port)| (name.clone(), (port, field(name))));
        ControlIngest { inputs: inputs.collect(), names: names.clone(), commands, clock, stats }
    }
}

impl Ingest for ControlIngest {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        // A retained message is of unknown age: no control input, and no command.
        if message.retain {
            return Answer::Absorb;
        }
        if let Some((port, field)) = self.inputs.get_mut(message.topic.as_str()) {
            let (value, quality) = payload::read(&message.payload, field);
            port.set(value, quality, self.clock.now_ns());
            count(&self.stats.received);
        } else if let Some(topic) = message.topic.as_str().strip_prefix("cmd/")
            && let Some(command) = command(&self.names, topic, &message.payload)
        {
            self.commands.send(command);
        }
        Answer::Absorb
    }
}

/// `KIND/NAME/VERB`: `interlock/stop/reset`, `interlock/stop/bypass` with milliseconds, `output/NAME/setpoint` with a number,
/// `output/NAME/mode` with `"auto"`, `"hold"` or a number, `alarm/INPUT/LEVEL/ack` with the transition.
fn command(names: &Names, topic: &str, payload: &[u8]) -> Option<ControlCommand> {
    let (kind, rest) = topic.split_once('/')?;
    let (name, verb) = rest.rsplit_once('/')?;
    let says: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    let float = || says.as_ref()?.as_f64();
    match (kind, verb) {
        ("interlock", "reset") => Some(ControlCommand::Reset { interlock: number(&names.interlocks, name)? }),
        ("interlock", "bypass") => {
            let (interlock, for_ms) = (number(&names.interlocks, name)?, says.as_ref()?.as_i64()?);
            Some(ControlCommand::Bypass { interlock, for_ms })
        }
        ("output", "setpoint") => {
            Some(ControlCommand::Setpoint { output: number(&names.outputs, name)?, value: float()? })
        }
        ("output", "mode") => {
            let mode = match says.as_ref()?.as_str() {
                Some("auto") => PidMode::Auto,
                Some("hold") => PidMode::Hold,
                Some(_) => return None,
                None => PidMode::Manual(float()?),
            };
            Some(ControlCommand::Mode { output: number(&names.outputs, name)?, mode })
        }
        ("alarm", "ack") => {
            let (input, level) = name.rsplit_once('/')?;
            let level = *AlarmLevel::ALL.iter().find(|one| one.as_str() == level)?;
            let command = AlarmCommand::Acknowledge { transition: says.as_ref()?.as_u64()? };
            Some(ControlCommand::Alarm { alarm: number(&names.alarms, input)?, level, command })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_commands() {
        let names = Names {
            inputs: vec!["a/b".to_owned()],
            outputs: vec!["x/y".to_owned()],
            interlocks: vec!["stop".to_owned()],
            alarms: vec!["a/b".to_owned()],
        };
        let ack = AlarmCommand::Acknowledge { transition: 7 };
        for (topic, payload, expected) in [
            ("interlock/stop/reset", "", Some(ControlCommand::Reset { interlock: 0 })),
            ("interlock/stop/bypass", "500", Some(ControlCommand::Bypass { interlock: 0, for_ms: 500 })),
            ("output/x/y/setpoint", "60", Some(ControlCommand::Setpoint { output: 0, value: 60.0 })),
            ("output/x/y/mode", "\"auto\"", Some(ControlCommand::Mode { output: 0, mode: PidMode::Auto })),
            ("output/x/y/mode", "5", Some(ControlCommand::Mode { output: 0, mode: PidMode::Manual(5.0) })),
            (
                "alarm/a/b/HI/ack",
                "7",
                Some(ControlCommand::Alarm { alarm: 0, level: AlarmLevel::High, command: ack }),
            ),
            ("alarm/a/b/ack", "7", None),
            ("interlock/other/reset", "", None),
            ("interlock/stop/bypass", "soon", None),
            ("output/x/y/mode", "\"off\"", None),
            ("", "", None),
        ] {
            assert_eq!(command(&names, topic, payload.as_bytes()), expected, "{topic} {payload}");
        }
    }
}
