//! Commands of an operator to a running controller.

use super::bit_packing::{byte, code, half};
use crate::alarm::{AlarmCommand, AlarmCommandError, AlarmLevel};
use crate::interlock::InterlockError;
use crate::pid::PidMode;
use std::fmt;

/// Command to a [`Controller`](super::Controller). Its numbers are those of the controller's interlocks, outputs and alarms.
///
/// ```
/// use edge_filter::control::ControlCommand;
/// use edge_filter::pid::PidMode;
///
/// let command = ControlCommand::Mode { output: 0, mode: PidMode::Manual(40.0) };
/// assert_eq!(ControlCommand::from_words(command.to_words()), Some(command)); // through a `handoff::ring`
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the numbers and what the methods of the same names take")]
pub enum ControlCommand {
    /// Resets a tripped interlock.
    Reset { interlock: u16 },
    /// Bypasses an interlock for a time.
    Bypass { interlock: u16, for_ms: i64 },
    /// Ends a bypass before its time.
    EndBypass { interlock: u16 },
    /// Switches a PID controller between automatic and manual.
    Mode { output: u16, mode: PidMode },
    /// Changes a setpoint that is configured as a number, not as an input.
    Setpoint { output: u16, value: f64 },
    /// Acknowledges, resets or shelves one limit of an alarm, or applies another [`AlarmCommand`].
    Alarm { alarm: u16, level: AlarmLevel, command: AlarmCommand },
}

/// Words that a command takes in a [`handoff::ring`](super::handoff::ring).
pub const COMMAND_WORDS: usize = 2;

impl ControlCommand {
    /// Encodes the command as words: kind, number, level and sub-kind in the first, a number in the second.
    #[must_use]
    pub fn to_words(&self) -> [u64; COMMAND_WORDS] {
        let head = |kind: u64, number: u16, sub: u64| kind | u64::from(number) << 8 | sub << 32;
        match *self {
            ControlCommand::Reset { interlock } => [head(0, interlock, 0), 0],
            ControlCommand::Bypass { interlock, for_ms } => [head(1, interlock, 0), for_ms.cast_unsigned()],
            ControlCommand::EndBypass { interlock } => [head(2, interlock, 0), 0],
            ControlCommand::Mode { output, mode } => {
                let (sub, value) = match mode {
                    PidMode::Auto => (0, 0.0),
                    PidMode::Hold => (1, 0.0),
                    PidMode::Manual(value) => (2, value),
                    PidMode::Track(value) => (3, value),
                };
                [head(3, output, sub), f64::to_bits(value)]
            }
            ControlCommand::Setpoint { output, value } => [head(4, output, 0), value.to_bits()],
            ControlCommand::Alarm { alarm, level, command } => {
                let (sub, number) = match command {
                    AlarmCommand::Acknowledge { transition } => (0, transition),
                    AlarmCommand::Reset => (1, 0),
                    AlarmCommand::Shelve { for_ms } => (2, for_ms.cast_unsigned()),
                    AlarmCommand::ShelveOnce => (3, 0),
                    AlarmCommand::Unshelve => (4, 0),
                    AlarmCommand::Suppress(yes) => (5, u64::from(yes)),
                    AlarmCommand::OutOfService(yes) => (6, u64::from(yes)),
                };
                [head(5, alarm, sub) | code(&AlarmLevel::ALL, &level) << 24, number]
            }
        }
    }

    /// Decodes a command from its words; `None` if they are no command.
    #[must_use]
    pub fn from_words([head, number]: [u64; COMMAND_WORDS]) -> Option<Self> {
        let (part, sub, value) = (half(head, 8), byte(head, 32), f64::from_bits(number));
        Some(match byte(head, 0) {
            0 => ControlCommand::Reset { interlock: part },
            1 => ControlCommand::Bypass { interlock: part, for_ms: number.cast_signed() },
            2 => ControlCommand::EndBypass { interlock: part },
            3 => {
                let modes = [PidMode::Auto, PidMode::Hold, PidMode::Manual(value), PidMode::Track(value)];
                ControlCommand::Mode { output: part, mode: *modes.get(sub)? }
            }
            4 => ControlCommand::Setpoint { output: part, value },
            5 => {
                let commands = [
                    AlarmCommand::Acknowledge { transition: number },
                    AlarmCommand::Reset,
                    AlarmCommand::Shelve { for_ms: number.cast_signed() },
                    AlarmCommand::ShelveOnce,
                    AlarmCommand::Unshelve,
                    AlarmCommand::Suppress(number != 0),
                    AlarmCommand::OutOfService(number != 0),
                ];
                let level = *AlarmLevel::ALL.get(byte(head, 24))?;
                ControlCommand::Alarm { alarm: part, level, command: *commands.get(sub)? }
            }
            _ => return None,
        })
    }
}

/// Error of a refused command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no interlock, output or alarm with that number.
    Unknown,
    /// The output's law has no mode or setpoint to change, or the value is not finite.
    NotFor,
    /// The interlock refused the command.
    Interlock(InterlockError),
    /// The alarm refused the command.
    Alarm(AlarmCommandError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Unknown => f.write_str("unknown interlock, output or alarm"),
            CommandError::NotFor => f.write_str("the output's law does not take this"),
            CommandError::Interlock(error) => error.fmt(f),
            CommandError::Alarm(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_same_behind_their_words() {
        let mut commands = vec![
            ControlCommand::Reset { interlock: u16::MAX },
            ControlCommand::Bypass { interlock: 1, for_ms: -5 },
            ControlCommand::EndBypass { interlock: 2 },
            ControlCommand::Setpoint { output: 300, value: -2.5 },
        ];
        let modes = [PidMode::Auto, PidMode::Hold, PidMode::Manual(1.5), PidMode::Track(-1.5)];
        commands.extend(modes.map(|mode| ControlCommand::Mode { output: 7, mode }));
        for command in [
            AlarmCommand::Acknowledge { transition: u64::MAX },
            AlarmCommand::Reset,
            AlarmCommand::Shelve { for_ms: i64::MIN },
            AlarmCommand::ShelveOnce,
            AlarmCommand::Unshelve,
            AlarmCommand::Suppress(true),
            AlarmCommand::OutOfService(false),
        ] {
            let alarms = AlarmLevel::ALL.map(|level| ControlCommand::Alarm { alarm: 9, level, command });
            commands.extend(alarms);
        }
        for command in commands {
            assert_eq!(ControlCommand::from_words(command.to_words()), Some(command));
        }
        assert_eq!(ControlCommand::from_words([6, 0]), None);
        assert_eq!(ControlCommand::from_words([u64::MAX; 2]), None);
    }
}
