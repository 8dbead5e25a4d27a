//! States of an alarm, commands of an operator to it, and reasons for which they are refused.

use super::{AlarmLevel, AlarmTransition, LimitAlarmState};

/// State of one limit, as ISA-18.2 names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AlarmState {
    /// `NORM`: not active, and nothing to acknowledge.
    #[default]
    Normal,
    /// `UNACK_ALM`: active, not acknowledged.
    Unacknowledged,
    /// `ACK_ALM`: active and acknowledged.
    Acknowledged,
    /// `RTN_UNACK`: back to normal, not acknowledged.
    ReturnedUnacknowledged,
    /// `LATCHED_UNACK`: back to normal, latched until a reset, not acknowledged.
    LatchedUnacknowledged,
    /// `LATCHED_ACK`: back to normal and acknowledged, latched until a reset.
    LatchedAcknowledged,
    /// `SHELVED`: hidden by an operator for a while.
    Shelved,
    /// `SUPPRESSED`: hidden by the plant's logic.
    Suppressed,
    /// `OOS`: out of service, for maintenance.
    OutOfService,
}

impl AlarmState {
    /// All states of this version.
    pub const ALL: &'static [AlarmState] = &[
        AlarmState::Normal,
        AlarmState::Unacknowledged,
        AlarmState::Acknowledged,
        AlarmState::ReturnedUnacknowledged,
        AlarmState::LatchedUnacknowledged,
        AlarmState::LatchedAcknowledged,
        AlarmState::Shelved,
        AlarmState::Suppressed,
        AlarmState::OutOfService,
    ];

    /// Returns whether the process is in alarm and the state shows it. A hidden state does not show whether the process is in alarm: see
    /// [`LimitAlarmState::condition`](super::LimitAlarmState::condition).
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, AlarmState::Unacknowledged | AlarmState::Acknowledged)
    }

    /// Returns whether a command led to the state: acknowledged, shelved, suppressed or out of service. Readings alone do not lead there.
    #[must_use]
    pub const fn is_by_command(self) -> bool {
        matches!(
            self,
            AlarmState::Acknowledged
                | AlarmState::LatchedAcknowledged
                | AlarmState::Shelved
                | AlarmState::Suppressed
                | AlarmState::OutOfService
        )
    }

    /// Returns the abbreviation of ISA-18.2, such as `UNACK_ALM`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AlarmState::Normal => "NORM",
            AlarmState::Unacknowledged => "UNACK_ALM",
            AlarmState::Acknowledged => "ACK_ALM",
            AlarmState::ReturnedUnacknowledged => "RTN_UNACK",
            AlarmState::LatchedUnacknowledged => "LATCHED_UNACK",
            AlarmState::LatchedAcknowledged => "LATCHED_ACK",
            AlarmState::Shelved => "SHELVED",
            AlarmState::Suppressed => "SUPPRESSED",
            AlarmState::OutOfService => "OOS",
        }
    }
}

impl LimitAlarmState {
    /// Returns whether a command led to the state of one of the limits: see [`AlarmState::is_by_command`].
    #[must_use]
    pub fn is_by_command(&self) -> bool {
        AlarmLevel::ALL.iter().any(|level| self.state(*level).is_by_command())
    }
}

/// Two transitions without a value are equal if the rest of them is.
impl PartialEq for AlarmTransition {
    fn eq(&self, other: &Self) -> bool {
        let rest = |of: &Self| (of.level, of.from, of.to, of.time, of.transition, of.priority);
        let is_value = self.value == other.value || (self.value.is_nan() && other.value.is_nan());
        is_value && rest(self) == rest(other)
    }
}

/// Command of an operator, or of the plant's logic, to one limit.
///
/// ```
/// use edge_filter::Quality;
/// use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmState, Limit, LimitAlarm, LimitAlarmState};
///
/// let alarm = LimitAlarm::new().with(AlarmLevel::High, Limit::at(95.0)?)?;
/// let mut state = LimitAlarmState::default();
/// alarm.check(&mut state, 96.0, Quality::GOOD, 0, 0, &mut |_| ());
/// let command = AlarmCommand::Shelve { for_ms: 60_000 };
/// alarm.command(&mut state, AlarmLevel::High, command, 1_000, &mut |_| ())?;
/// assert_eq!(state.state(AlarmLevel::High), AlarmState::Shelved);
/// assert_eq!(state.condition(AlarmLevel::High), AlarmState::Unacknowledged); // still judged
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlarmCommand {
    /// Acknowledges one occurrence of the alarm.
    Acknowledge {
        /// Id of the occurrence, as its [`AlarmTransition`](super::AlarmTransition) has it.
        transition: u64,
    },
    /// Releases a latched alarm that is back to normal.
    Reset,
    /// Hides the alarm for a time from now on, at most the alarm's `max_shelve_ms` (`TimedShelve` of OPC UA Part 9). While it is hidden,
    /// the time begins anew.
    Shelve {
        /// Time of the shelving in milliseconds.
        for_ms: i64,
    },
    /// Hides the alarm until it next returns to normal, for at most `max_shelve_ms` (`OneShotShelve`).
    ShelveOnce,
    /// Ends shelving before its time.
    Unshelve,
    /// Hides the alarm by the plant's logic (`true`), or ends that (`false`).
    Suppress(bool),
    /// Takes the alarm out of service for maintenance (`true`), or back into service (`false`).
    OutOfService(bool),
}

/// Error of a refused acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The sensor has no alarm with such a limit.
    NoSuchAlarm,
    /// The limit has no alarm that waits for an acknowledgement.
    NothingToAcknowledge,
    /// The acknowledgement is for another occurrence, so the operator has not seen the one that waits.
    OtherOccurrence {
        /// Id of the occurrence that waits.
        current: u64,
    },
}

impl std::fmt::Display for AckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AckError::NoSuchAlarm => f.write_str("the sensor has no alarm with such a limit"),
            AckError::NothingToAcknowledge => f.write_str("nothing is waiting to be acknowledged"),
            AckError::OtherOccurrence { current } => {
                write!(f, "the acknowledgement is for another occurrence than the current one, {current}")
            }
        }
    }
}

impl std::error::Error for AckError {}

/// Error of a refused [`AlarmCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlarmCommandError {
    /// Error of an acknowledgement, or no such alarm.
    Ack(AckError),
    /// The process is still in alarm, so nothing can be reset.
    StillActive,
    /// The alarm is not latched.
    NothingToReset,
    /// The alarm may not be shelved for the requested time.
    ShelveTime {
        /// Longest allowed time in milliseconds; `None` if every time from 1 ms on is allowed.
        max_ms: Option<i64>,
    },
    /// The alarm is not shelved.
    NotShelved,
}

impl From<AckError> for AlarmCommandError {
    fn from(error: AckError) -> Self {
        AlarmCommandError::Ack(error)
    }
}

impl std::fmt::Display for AlarmCommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AlarmCommandError::Ack(error) => error.fmt(f),
            AlarmCommandError::StillActive => f.write_str("the process is still in alarm"),
            AlarmCommandError::NothingToReset => f.write_str("nothing is latched"),
            AlarmCommandError::ShelveTime { max_ms: Some(max) } => {
                write!(f, "an alarm may be shelved for 1 ms to {max} ms")
            }
            AlarmCommandError::ShelveTime { max_ms: None } => {
                f.write_str("an alarm may be shelved for 1 ms or more")
            }
            AlarmCommandError::NotShelved => f.write_str("the alarm is not shelved"),
        }
    }
}

impl std::error::Error for AlarmCommandError {}
