//! Rate limit of events to the application: one per minute, cause and reason code, with the number of suppressed events.

use std::collections::BTreeMap;

use crate::wire::ReasonCode;

const EVERY_MS: u64 = 60_000;

/// Kinds of refusals, each with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Topic,
    Link,
    Poison,
    Unanswered,
    Message,
    Dropped,
}

/// Limits notices to one a minute for each cause and reason, and counts the ones left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices {
    told: BTreeMap<(Cause, ReasonCode), (u64, u64)>,
}

impl Notices {
    /// Counts an event. Returns `None` if it is suppressed, otherwise the number of events suppressed since the last one that was let through.
    pub(super) fn tell(&mut self, now_ms: u64, cause: Cause, reason: ReasonCode) -> Option<u64> {
        let Some((at_ms, left_out)) = self.told.get_mut(&(cause, reason)) else {
            self.told.insert((cause, reason), (now_ms, 0));
            return Some(0);
        };
        if now_ms.saturating_sub(*at_ms) < EVERY_MS {
            *left_out += 1;
            return None;
        }
        *at_ms = now_ms;
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_for_each_cause_and_reason() {
        let mut notices = Notices::default();
        let quota = ReasonCode::QUOTA_EXCEEDED;
        assert_eq!(notices.tell(0, Cause::Topic, quota), Some(0));
        assert_eq!(notices.tell(59_999, Cause::Topic, quota), None);
        assert_eq!(notices.tell(59_999, Cause::Poison, quota), Some(0));
        assert_eq!(notices.tell(59_999, Cause::Topic, ReasonCode::NOT_AUTHORIZED), Some(0));
        assert_eq!(notices.tell(60_000, Cause::Topic, quota), Some(1));
    }
}
