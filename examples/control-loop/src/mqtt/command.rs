//! Commands that operators publish under `cmd/`.

use super::names::{LoopNames, number};
use edge_filter::alarm::{AlarmCommand, AlarmLevel};
use edge_filter::control::ControlCommand;
use edge_filter::pid::PidMode;

/// `KIND/NAME/VERB`: `interlock/stop/reset`, `interlock/stop/bypass` with milliseconds, `output/NAME/setpoint` with a number,
/// `output/NAME/mode` with `"auto"`, `"hold"` or a number, `alarm/INPUT/LEVEL/ack` with the transition, `…/reset`, `…/shelve` with
/// milliseconds, `…/unshelve`.
pub(super) fn command(names: &LoopNames, topic: &str, payload: &[u8]) -> Option<ControlCommand> {
    let (kind, rest) = topic.split_once('/')?;
    let (name, verb) = rest.rsplit_once('/')?;
    let says = json(payload);
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
        ("alarm", _) => {
            let (input, level, command) = alarm_command(rest, payload)?;
            Some(ControlCommand::Alarm { alarm: number(&names.alarms, input)?, level, command })
        }
        _ => None,
    }
}

/// `NAME/LEVEL/VERB`, below `cmd/alarm/`: `ack` with the transition, `reset`, `shelve` with milliseconds, `unshelve`.
#[must_use]
pub fn alarm_command<'a>(topic: &'a str, payload: &[u8]) -> Option<(&'a str, AlarmLevel, AlarmCommand)> {
    let (rest, verb) = topic.rsplit_once('/')?;
    let (name, level) = rest.rsplit_once('/')?;
    let level = *AlarmLevel::ALL.iter().find(|one| one.as_str() == level)?;
    let says = || json(payload);
    let command = match verb {
        "ack" => AlarmCommand::Acknowledge { transition: says()?.as_u64()? },
        "reset" => AlarmCommand::Reset,
        "shelve" => AlarmCommand::Shelve { for_ms: says()?.as_i64()? },
        "unshelve" => AlarmCommand::Unshelve,
        _ => return None,
    };
    Some((name, level, command))
}

fn json(payload: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_commands() {
        let names = LoopNames {
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
            (
                "alarm/a/b/LO/shelve",
                "60000",
                Some(ControlCommand::Alarm {
                    alarm: 0,
                    level: AlarmLevel::Low,
                    command: AlarmCommand::Shelve { for_ms: 60_000 },
                }),
            ),
            ("alarm/a/b/HI/silence", "", None),
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
