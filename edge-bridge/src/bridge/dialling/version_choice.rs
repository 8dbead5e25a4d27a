//! Choice of the MQTT version for an address: 5, or 3.1.1 for a day if the hub does not support 5.

use crate::session::Closed;
use crate::wire::{ReasonCode, Version};

/// Milliseconds for which the other version is used once the hub has accepted it. It ends because hubs are upgraded, and because messages of
/// 3.1.1 have no user property for their identity.
const ACCEPTED_MS: u64 = 86_400_000;

/// Milliseconds for which the other version is used while the hub has not accepted it.
const UNPROVED_MS: u64 = 600_000;

/// MQTT version of the next connection. It changes only if the hub answers that it does not support the last one. A close without a CONNACK may
/// come from a proxy or tunnel whose hub is down, and messages of 3.1.1 carry no identity by which copies are recognised.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct VersionChoice {
    /// Set if the version may change.
    auto: bool,
    first: Version,
    other: Option<Other>,
    /// Set if the hub accepted the other version, and not the configured one since. A close without an answer then leads to the other version
    /// again.
    other_is_known: bool,
}

/// Version that is used instead of the configured one.
#[derive(Clone, Copy, Debug)]
struct Other {
    since_ms: u64,
    is_accepted: bool,
}

impl VersionChoice {
    pub(in crate::bridge) fn new(first: Version, auto: bool) -> Self {
        Self { auto, first, other: None, other_is_known: false }
    }

    /// Returns the version to dial with.
    pub(in crate::bridge) fn next(&mut self, now_ms: u64) -> Version {
        self.other = self.other.filter(|other| {
            let lasts_ms = if other.is_accepted { ACCEPTED_MS } else { UNPROVED_MS };
            now_ms.saturating_sub(other.since_ms) < lasts_ms
        });
        self.current()
    }

    /// Returns whether the connection ended because the hub does not support its MQTT version.
    pub(in crate::bridge) fn is_refused(closed: &Closed) -> bool {
        let reason = match closed {
            Closed::Refused(reason) => *reason,
            Closed::Violation(violation) => violation.reason(),
            _ => return false,
        };
        reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
    }

    fn current(&self) -> Version {
        match (self.other, self.first) {
            (None, first) => first,
            (Some(_), Version::V5) => Version::V311,
            (Some(_), Version::V311) => Version::V5,
        }
    }

    /// Records the end of a connection. Returns the MQTT version of the next one if it differs, otherwise `None`.
    pub(in crate::bridge) fn on_over(
        &mut self,
        now_ms: u64,
        accepted: bool,
        closed: &Closed,
    ) -> Option<Version> {
        if let Some(other) = &mut self.other {
            other.is_accepted |= accepted;
        }
        if accepted {
            self.other_is_known = self.other.is_some();
        }
        let is_without_a_word = matches!(closed, Closed::Transport | Closed::Handshake);
        let falls_back = self.other.is_none() && self.other_is_known && is_without_a_word;
        if !self.auto || accepted || !(Self::is_refused(closed) || falls_back) {
            return None;
        }
        self.other = match self.other {
            None => Some(Other { since_ms: now_ms, is_accepted: false }),
            Some(_) => None,
        };
        Some(self.current())
    }
}

#[cfg(test)]
mod tests {
    use crate::session::Violation;
    use crate::wire::{DecodeError, DecodeErrorKind};

    use super::*;

    fn refused() -> Closed {
        Closed::Refused(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION)
    }

    #[test]
    fn a_hub_that_says_it_does_not_know_5_gets_3_1_1_at_once_and_for_a_day() {
        let kind = DecodeErrorKind::ConnAckWithoutProperties(1);
        let in_form_of_3_1_1 = Closed::Violation(Violation::Decode(DecodeError { kind, offset: 2 }));
        for closed in [refused(), in_form_of_3_1_1] {
            let mut choice = VersionChoice::new(Version::V5, true);
            assert_eq!(choice.on_over(7, false, &closed), Some(Version::V311));
            assert_eq!(choice.next(8), Version::V311);
            assert_eq!(choice.on_over(9, true, &Closed::Transport), None);
            for n in 0..10 {
                assert_eq!(choice.on_over(10 + n, false, &Closed::Transport), None, "the hub is away");
            }
            assert_eq!(choice.next(7 + ACCEPTED_MS - 1), Version::V311);
            assert_eq!(choice.next(7 + ACCEPTED_MS), Version::V5, "it may have been upgraded");
        }
    }

    #[test]
    fn a_hub_that_spoke_3_1_1_and_closes_on_5_without_a_word_gets_3_1_1_again() {
        let mut choice = VersionChoice::new(Version::V5, true);
        assert_eq!(choice.on_over(7, false, &refused()), Some(Version::V311));
        assert_eq!(choice.on_over(9, true, &Closed::Transport), None);
        let mut now_ms = 7 + ACCEPTED_MS;
        // Also after an outage of whatever length, in which neither is accepted.
        for _ in 0..5 {
            assert_eq!(choice.next(now_ms), Version::V5);
            assert_eq!(choice.on_over(now_ms, false, &Closed::Transport), Some(Version::V311));
            assert_eq!(choice.next(now_ms + UNPROVED_MS - 1), Version::V311);
            assert_eq!(choice.on_over(now_ms + 1, false, &Closed::Handshake), None);
            now_ms += UNPROVED_MS;
        }
        assert_eq!(choice.next(now_ms), Version::V5);
        assert_eq!(choice.on_over(now_ms + 1, true, &Closed::Transport), None);
        assert_eq!(choice.on_over(now_ms + 2, false, &Closed::Transport), None, "it knows 5 by now");
    }

    #[test]
    fn a_hub_that_has_not_accepted_3_1_1_is_asked_for_5_again_soon() {
        let mut choice = VersionChoice::new(Version::V5, true);
        assert_eq!(choice.on_over(7, false, &refused()), Some(Version::V311));
        assert_eq!(choice.on_over(8, false, &Closed::Transport), None);
        assert_eq!(choice.next(7 + UNPROVED_MS - 1), Version::V311);
        assert_eq!(choice.next(7 + UNPROVED_MS), Version::V5);
    }

    #[test]
    fn a_hub_that_then_says_it_does_not_know_3_1_1_gets_5_at_once() {
        let kind = DecodeErrorKind::ConnAckOfV5(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        let in_form_of_5 = Closed::Violation(Violation::Decode(DecodeError { kind, offset: 3 }));
        for closed in [refused(), in_form_of_5] {
            let mut choice = VersionChoice::new(Version::V5, true);
            assert_eq!(choice.on_over(7, false, &refused()), Some(Version::V311));
            assert_eq!(choice.on_over(8, false, &closed), Some(Version::V5));
            assert_eq!(choice.next(9), Version::V5);
        }
    }

    #[test]
    fn a_path_that_closes_without_a_word_says_nothing_of_the_hub() {
        let mut choice = VersionChoice::new(Version::V5, true);
        let ends = [Closed::Transport, Closed::Handshake, Closed::Refused(ReasonCode::SERVER_UNAVAILABLE)];
        for closed in ends.iter().cycle().take(30) {
            assert_eq!(choice.on_over(0, false, closed), None, "{closed}");
        }
        assert_eq!(choice.next(u64::MAX), Version::V5);
    }

    #[test]
    fn who_named_a_version_gets_that() {
        for version in [Version::V5, Version::V311] {
            let mut choice = VersionChoice::new(version, false);
            assert_eq!(choice.on_over(0, false, &refused()), None);
            assert_eq!(choice.next(u64::MAX), version);
        }
    }
}
