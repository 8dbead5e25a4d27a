//! Parser of the commands that operators publish under `cmd/`.

use super::names::{LoopNames, number};
use edge_filter::alarm::{AlarmCommand, AlarmLevel};
use edge_filter::control::ControlCommand;
use edge_filter::pid::PidMode;

/// Reason of a refusal, in words for the command's sender.
type Why = &'static str;

const NONE: Why = "no such command";
const NO_NUMBER: Why = "the payload must be a number";
const NO_TIME: Why = "the payload must be milliseconds";

/// Parses `KIND/NAME/VERB`: `interlock/stop/reset`, `interlock/stop/bypass` with milliseconds, `output/NAME/setpoint` with a number,
/// `output/NAME/mode` with `"auto"`, `"hold"` or a number, `alarm/INPUT/LEVEL/ack` with the transition, `…/reset`, `…/shelve` with milliseconds,
/// `…/unshelve`.
///
/// # Errors
/// There is no such command or name, or the payload is not valid for the command.
pub(super) fn command(names: &LoopNames, topic: &str, payload: &[u8]) -> Result<ControlCommand, Why> {
    let (kind, rest) = topic.split_once('/').ok_or(NONE)?;
    let (name, verb) = rest.rsplit_once('/').ok_or(NONE)?;
    let interlock = || number(&names.interlocks, name).ok_or("no interlock of this name");
    let output = || number(&names.outputs, name).ok_or("no output of this name");
    match (kind, verb) {
        ("interlock", "reset") => Ok(ControlCommand::Reset { interlock: interlock()? }),
        ("interlock", "bypass") => {
            let (interlock, for_ms) = (interlock()?, milliseconds(payload)?);
            Ok(ControlCommand::Bypass { interlock, for_ms })
        }
        ("output", "setpoint") => {
            let (output, value) = (output()?, json(payload).and_then(|says| says.as_f64()));
            Ok(ControlCommand::Setpoint { output, value: value.ok_or(NO_NUMBER)? })
        }
        ("output", "mode") => {
            let (output, mode) = (output()?, mode(payload));
            Ok(ControlCommand::Mode {
                output,
                mode: mode.ok_or("the payload must be \"auto\", \"hold\" or a number")?,
            })
        }
        ("alarm", _) => {
            let (input, level, command) = alarm_command(rest, payload)?;
            let alarm = number(&names.alarms, input).ok_or("no alarm of this name")?;
            Ok(ControlCommand::Alarm { alarm, level, command })
        }
        _ => Err(NONE),
    }
}

/// Returns whether a topic below `cmd/` names a part that there is, and one of its commands.
pub(super) fn has_receiver(names: &LoopNames, topic: &str) -> bool {
    let Some((kind, rest)) = topic.split_once('/') else { return false };
    let Some((name, verb)) = rest.rsplit_once('/') else { return false };
    match (kind, verb) {
        ("interlock", "reset" | "bypass") => number(&names.interlocks, name).is_some(),
        ("output", "setpoint" | "mode") => number(&names.outputs, name).is_some(),
        ("alarm", _) => names.have_alarm_of(rest),
        _ => false,
    }
}

fn mode(payload: &[u8]) -> Option<PidMode> {
    let says = json(payload)?;
    match says.as_str() {
        Some("auto") => Some(PidMode::Auto),
        Some("hold") => Some(PidMode::Hold),
        Some(_) => None,
        None => says.as_f64().map(PidMode::Manual),
    }
}

/// Parses `NAME/LEVEL/VERB`, below `cmd/alarm/`: `ack` with the transition, `reset`, `shelve` with milliseconds, `unshelve`.
///
/// # Errors
/// There is no such command, or the payload is not valid for it; in words for the sender.
pub fn alarm_command<'a>(
    topic: &'a str,
    payload: &[u8],
) -> Result<(&'a str, AlarmLevel, AlarmCommand), &'static str> {
    let (rest, verb) = topic.rsplit_once('/').ok_or(NONE)?;
    let (name, level) = rest.rsplit_once('/').ok_or(NONE)?;
    let level = AlarmLevel::ALL.iter().find(|one| one.as_str() == level).ok_or(NONE)?;
    let command = match verb {
        "ack" => {
            let transition = json(payload).and_then(|says| says.as_u64());
            let transition = transition.ok_or("the payload must be the transition's number")?;
            AlarmCommand::Acknowledge { transition }
        }
        "reset" => AlarmCommand::Reset,
        "shelve" => AlarmCommand::Shelve { for_ms: milliseconds(payload)? },
        "unshelve" => AlarmCommand::Unshelve,
        _ => return Err(NONE),
    };
    Ok((name, *level, command))
}

fn milliseconds(payload: &[u8]) -> Result<i64, Why> {
    json(payload).and_then(|says| says.as_i64()).ok_or(NO_TIME)
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
            take_commands: true,
        };
        let ack = AlarmCommand::Acknowledge { transition: 7 };
        for (topic, payload, expected) in [
            ("interlock/stop/reset", "", Ok(ControlCommand::Reset { interlock: 0 })),
            ("interlock/stop/bypass", "500", Ok(ControlCommand::Bypass { interlock: 0, for_ms: 500 })),
            ("output/x/y/setpoint", "60", Ok(ControlCommand::Setpoint { output: 0, value: 60.0 })),
            ("output/x/y/mode", "\"auto\"", Ok(ControlCommand::Mode { output: 0, mode: PidMode::Auto })),
            ("output/x/y/mode", "5", Ok(ControlCommand::Mode { output: 0, mode: PidMode::Manual(5.0) })),
            (
                "alarm/a/b/HI/ack",
                "7",
                Ok(ControlCommand::Alarm { alarm: 0, level: AlarmLevel::High, command: ack }),
            ),
            (
                "alarm/a/b/LO/shelve",
                "60000",
                Ok(ControlCommand::Alarm {
                    alarm: 0,
                    level: AlarmLevel::Low,
                    command: AlarmCommand::Shelve { for_ms: 60_000 },
                }),
            ),
            ("alarm/a/b/HI/silence", "", Err("no such command")),
            ("alarm/a/b/ack", "7", Err("no such command")),
            ("alarm/a/b/HI/ack", "", Err("the payload must be the transition's number")),
            ("alarm/c/HI/ack", "7", Err("no alarm of this name")),
            ("interlock/other/reset", "", Err("no interlock of this name")),
            ("interlock/stop/bypass", "soon", Err("the payload must be milliseconds")),
            ("output/x/y/mode", "\"off\"", Err("the payload must be \"auto\", \"hold\" or a number")),
            ("output/x/setpoint", "abc", Err("no output of this name")),
            ("output/x/y/setpoint", "abc", Err("the payload must be a number")),
            ("foo", "", Err("no such command")),
            ("", "", Err("no such command")),
        ] {
            assert_eq!(command(&names, topic, payload.as_bytes()), expected, "{topic} {payload}");
            // A payload that is wrong is still of a command to somebody; one to nobody is for local clients.
            let is_ours = match expected {
                Ok(_) => true,
                Err(why) => why.starts_with("the payload") || topic == "alarm/a/b/HI/silence",
            };
            assert_eq!(has_receiver(&names, topic), is_ours, "{topic}");
        }
    }
}
