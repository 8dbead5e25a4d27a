//! Verdict: judgement of the whole gateway in one word, which every surface uses.

use std::fmt;

use edge_bridge::bridge::LinkState;

/// Judgement of the whole gateway. Exhaustive: log, metrics, status page and status topic use these five words and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Messages go out as they come in.
    Delivering,
    /// The hub is not reached; everything is kept.
    Storing,
    /// The hub is reached, and messages that had to wait are on their way.
    CatchingUp,
    /// The store fails, the hub refuses messages, another client uses our name there, or a certificate ends soon. Nothing is lost, but sensors
    /// may wait for their PUBACKs, and refused messages are kept. Or the rules drop readings for their time, which are lost as configured.
    Degraded,
    /// Messages are being given up.
    Losing,
}

impl Verdict {
    pub(crate) const ALL: [Verdict; 5] =
        [Self::Delivering, Self::Storing, Self::CatchingUp, Self::Degraded, Self::Losing];

    /// Returns the worst verdict that applies. `is_degraded`: something needs a person; `losing`: messages are being given up.
    pub(crate) fn of(link: LinkState, is_degraded: bool, losing: bool) -> Self {
        match link {
            _ if losing => Self::Losing,
            _ if is_degraded => Self::Degraded,
            LinkState::Flowing | LinkState::Idle => Self::Delivering,
            LinkState::Draining => Self::CatchingUp,
            LinkState::Stalled | LinkState::BackingOff | LinkState::Offline => Self::Storing,
        }
    }

    /// Returns the word, which never changes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivering => "delivering",
            Self::Storing => "storing",
            Self::CatchingUp => "catching-up",
            Self::Degraded => "degraded",
            Self::Losing => "losing",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the state of the link without differences that are no news: a working link is idle between messages, and one that backs off is
/// offline between attempts.
pub(crate) fn steady(link: LinkState) -> LinkState {
    match link {
        LinkState::Idle => LinkState::Flowing,
        LinkState::Offline => LinkState::BackingOff,
        other => other,
    }
}

/// State of a running gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Worst verdict that applies.
    pub verdict: Verdict,
    /// The connection to the hub.
    pub link: LinkState,
    /// Messages and readings that wait for the hub. `None`: the queue is not open, or does not answer.
    pub queued: Option<u64>,
}

/// Detects that messages are being given up, because the counter rose not long ago. Pure.
#[derive(Debug)]
pub(crate) struct Losses {
    /// Counter of given up messages at the last look. It begins with those of earlier runs, which are no news.
    known: u64,
    last_ms: Option<u64>,
}

impl Losses {
    /// Time in milliseconds for which one given up message counts as an ongoing loss.
    const RECENT_MS: u64 = 30_000;

    pub(crate) fn new(given_up: u64) -> Self {
        Self { known: given_up, last_ms: None }
    }

    /// Returns the counter of given up messages as of the last look.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    /// Takes in the counter `given_up` at `up_ms`. Returns whether messages are being given up.
    pub(crate) fn are_happening(&mut self, up_ms: u64, given_up: u64) -> bool {
        if given_up > self.known {
            self.known = given_up;
            self.last_ms = Some(up_ms);
        }
        self.last_ms.is_some_and(|last_ms| up_ms.saturating_sub(last_ms) < Self::RECENT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_is_true_is_said() {
        assert_eq!(Verdict::of(LinkState::Idle, false, false), Verdict::Delivering);
        assert_eq!(Verdict::of(LinkState::Draining, false, false), Verdict::CatchingUp);
        for link in [LinkState::Stalled, LinkState::BackingOff, LinkState::Offline] {
            assert_eq!(Verdict::of(link, false, false), Verdict::Storing);
        }
        assert_eq!(Verdict::of(LinkState::Flowing, true, false), Verdict::Degraded);
        assert_eq!(Verdict::of(LinkState::Flowing, true, true), Verdict::Losing);
    }

    #[test]
    fn a_loss_is_news_for_half_a_minute_and_old_ones_are_none() {
        let mut losses = Losses::new(7);
        assert!(!losses.are_happening(0, 7));
        assert!(losses.are_happening(1_000, 8));
        assert!(losses.are_happening(30_999, 8));
        assert!(!losses.are_happening(31_000, 8));
    }
}
