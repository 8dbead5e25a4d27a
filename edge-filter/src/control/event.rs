//! Events of a scan, and their form as four words, which cross between threads without a lock.

use super::bit_packing::{byte, code, half};
use crate::alarm::{AlarmLevel, AlarmState, AlarmTransition};
use crate::interlock::{InterlockStatus, Vote};

/// Change that a scan or a command made. Exhaustive, because a controller has outputs, interlocks and alarms only.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "what a controller has")]
pub enum ControlEvent {
    /// The value of an output has another cause than before, or a switch has flipped.
    Output {
        /// Number of the output.
        output: u16,
        /// Value of the output now.
        value: f64,
        /// Cause of the change.
        cause: Cause,
        /// Time, in milliseconds of the scan's clock.
        at_ms: i64,
    },
    /// An interlock has another status.
    Interlock {
        /// Number of the interlock.
        interlock: u16,
        /// Status of the interlock now.
        status: InterlockStatus,
        /// Time, in milliseconds of the scan's clock.
        at_ms: i64,
    },
    /// An alarm has another state.
    Alarm {
        /// Number of the alarm.
        alarm: u16,
        /// Change of the alarm's state.
        transition: AlarmTransition,
    },
}

/// Cause of an output's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The output was never scanned, and is in its safe state.
    #[default]
    Cold,
    /// The law of the output sets the value.
    Running,
    /// Manual mode: an operator sets the value.
    Manual,
    /// An interlock holds the output safe.
    Interlock,
    /// An input of the law is bad, stale or missing. The output is in its safe state, unless its law holds the value then.
    BadInput,
}

impl Cause {
    const ALL: [Cause; 5] = [Cause::Cold, Cause::Running, Cause::Manual, Cause::Interlock, Cause::BadInput];

    /// Returns the cause as a label, such as `running`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Cold => "cold",
            Cause::Running => "running",
            Cause::Manual => "manual",
            Cause::Interlock => "interlock",
            Cause::BadInput => "bad_input",
        }
    }
}

/// Words that an event takes in a [`handoff::ring`](super::handoff::ring).
pub const EVENT_WORDS: usize = 4;

const VOTES: [Vote; 3] = [Vote::Trip, Vote::Healthy, Vote::Unknown];

impl ControlEvent {
    /// Encodes the event as words.
    #[must_use]
    pub fn to_words(&self) -> [u64; EVENT_WORDS] {
        match self {
            ControlEvent::Output { output, value, cause, at_ms } => {
                let head = u64::from(*output) << 8 | code(&Cause::ALL, cause) << 24;
                [head, at_ms.cast_unsigned(), value.to_bits(), 0]
            }
            ControlEvent::Interlock { interlock, status, at_ms } => {
                let flags = [status.energised, status.tripped, status.degraded, status.bypassed];
                let flags = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(*flag));
                let head = 1 | u64::from(*interlock) << 8 | flags << 24 | code(&VOTES, &status.demand) << 32;
                [head, at_ms.cast_unsigned(), 0, 0]
            }
            ControlEvent::Alarm { alarm, transition: t } => {
                let states = code(AlarmState::ALL, &t.from) << 32 | code(AlarmState::ALL, &t.to) << 40;
                let level = code(&AlarmLevel::ALL, &t.level) << 24;
                let head = 2 | u64::from(*alarm) << 8 | level | states | u64::from(t.priority) << 48;
                [head, t.time.cast_unsigned(), t.value.to_bits(), t.transition]
            }
        }
    }

    /// Decodes an event from its words; `None` if they are no event.
    #[must_use]
    pub fn from_words([head, time, value, transition]: [u64; EVENT_WORDS]) -> Option<Self> {
        let (number, at_ms, value) = (half(head, 8), time.cast_signed(), f64::from_bits(value));
        match byte(head, 0) {
            0 => {
                let cause = *Cause::ALL.get(byte(head, 24))?;
                Some(ControlEvent::Output { output: number, value, cause, at_ms })
            }
            1 => {
                let flag = |at: u32| head >> (24 + at) & 1 == 1;
                let demand = *VOTES.get(byte(head, 32))?;
                let (energised, tripped, degraded, bypassed) = (flag(0), flag(1), flag(2), flag(3));
                let status = InterlockStatus { energised, demand, tripped, degraded, bypassed };
                Some(ControlEvent::Interlock { interlock: number, status, at_ms })
            }
            2 => {
                let state = |at: u32| AlarmState::ALL.get(byte(head, at)).copied();
                let level = *AlarmLevel::ALL.get(byte(head, 24))?;
                let (from, to, priority) = (state(32)?, state(40)?, half(head, 48));
                let transition =
                    AlarmTransition { level, from, to, time: at_ms, value, transition, priority };
                Some(ControlEvent::Alarm { alarm: number, transition })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_behind_their_words() {
        let mut events = Vec::new();
        for cause in Cause::ALL {
            events.push(ControlEvent::Output { output: u16::MAX, value: -1.5, cause, at_ms: i64::MIN });
        }
        for (bits, demand) in (0..16_u8).flat_map(|bits| VOTES.map(|vote| (bits, vote))) {
            let flag = |at: u8| bits >> at & 1 == 1;
            let (energised, tripped, degraded, bypassed) = (flag(0), flag(1), flag(2), flag(3));
            let status = InterlockStatus { energised, demand, tripped, degraded, bypassed };
            events.push(ControlEvent::Interlock { interlock: 3, status, at_ms: 7 });
        }
        for (from, to) in AlarmState::ALL.iter().flat_map(|a| AlarmState::ALL.iter().map(move |b| (*a, *b))) {
            let (level, priority, transition) = (AlarmLevel::Low, 1000, u64::MAX);
            let transition = AlarmTransition { level, from, to, time: -1, value: 97.4, transition, priority };
            events.push(ControlEvent::Alarm { alarm: 258, transition });
        }
        for event in events {
            assert_eq!(ControlEvent::from_words(event.to_words()), Some(event));
        }
        assert_eq!(ControlEvent::from_words([3, 0, 0, 0]), None);
        assert_eq!(ControlEvent::from_words([u64::MAX; 4]), None);
    }
}
