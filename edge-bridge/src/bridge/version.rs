//! Choice of the MQTT version: 5, or 3.1.1 for a hub that does not know 5.

use crate::session::Closed;
use crate::wire::{ReasonCode, Version};

/// Version of the next connection. It changes only where the hub says that it does not know the one before: one that closes without a word may be
/// a path whose hub is away, and messages of 3.1.1 carry no identity by which a copy is told.
#[derive(Debug)]
pub(super) struct VersionChoice {
    /// The version may change.
    auto: bool,
    current: Version,
}

impl VersionChoice {
    pub(super) fn new(first: Version, auto: bool) -> Self {
        Self { auto, current: first }
    }

    pub(super) fn current(&self) -> Version {
        self.current
    }

    /// Notes that a connection is over. `Some`: the next one speaks another version.
    pub(super) fn on_over(&mut self, accepted: bool, closed: &Closed) -> Option<Version> {
        let is_refused = match closed {
            Closed::Refused(reason) => *reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            Closed::Violation(violation) => violation.reason() == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            _ => false,
        };
        if !self.auto || accepted || !is_refused {
            return None;
        }
        self.current = if self.current == Version::V5 { Version::V311 } else { Version::V5 };
        Some(self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Violation;
    use crate::wire::{DecodeError, DecodeErrorKind};

    fn refused() -> Closed {
        Closed::Refused(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION)
    }

    #[test]
    fn a_hub_that_says_it_does_not_know_5_gets_3_1_1_at_once_and_for_good() {
        let kind = DecodeErrorKind::ConnAckWithoutProperties(1);
        let in_form_of_3_1_1 = Closed::Violation(Violation::Decode(DecodeError { kind, offset: 2 }));
        for closed in [refused(), in_form_of_3_1_1] {
            let mut choice = VersionChoice::new(Version::V5, true);
            assert_eq!(choice.on_over(false, &closed), Some(Version::V311));
            assert_eq!(choice.on_over(true, &Closed::Transport), None);
            for _ in 0..10 {
                assert_eq!(choice.on_over(false, &Closed::Transport), None, "the hub is away");
            }
            assert_eq!(choice.current(), Version::V311);
        }
    }

    #[test]
    fn a_path_that_closes_without_a_word_says_nothing_of_the_hub() {
        let mut choice = VersionChoice::new(Version::V5, true);
        let ends = [Closed::Transport, Closed::Handshake, Closed::Refused(ReasonCode::SERVER_UNAVAILABLE)];
        for closed in ends.iter().cycle().take(30) {
            assert_eq!(choice.on_over(false, closed), None, "{closed}");
        }
        assert_eq!(choice.current(), Version::V5);
    }

    #[test]
    fn who_named_a_version_gets_that() {
        for version in [Version::V5, Version::V311] {
            let mut choice = VersionChoice::new(version, false);
            assert_eq!(choice.on_over(false, &refused()), None);
            assert_eq!(choice.current(), version);
        }
    }
}
