//! Verdict: judgement of the whole gateway in one word, the same in log, metrics, status page and status topic.

use std::fmt;

use edge_bridge::bridge::LinkState;

use super::prometheus_text::Page;

/// Judgement of the whole gateway. Exhaustive: log, metrics, status page and status topic use these five words and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Messages are sent and acknowledged as they come in.
    Delivering,
    /// The hub cannot be reached; every message is kept.
    Storing,
    /// The hub can be reached, and a backlog is being sent.
    CatchingUp,
    /// The store fails, a lane refuses messages for want of room, the hub refuses messages, another client uses the gateway's client identifier, or a certificate expires soon. Nothing is
    /// lost, but sensors may wait for their PUBACKs, and refused messages are kept. Or the filter rules drop readings because of their
    /// timestamps, which are lost as configured.
    Degraded,
    /// Messages are being lost.
    Losing,
}

impl Verdict {
    pub(crate) const ALL: [Verdict; 5] =
        [Self::Delivering, Self::Storing, Self::CatchingUp, Self::Degraded, Self::Losing];

    /// Returns the worst verdict that applies. `is_degraded`: something needs the operator; `losing`: messages are being lost.
    pub(crate) fn of(link: LinkState, is_degraded: bool, losing: bool) -> Self {
        match link {
            _ if losing => Self::Losing,
            _ if is_degraded => Self::Degraded,
            LinkState::Flowing | LinkState::Idle => Self::Delivering,
            LinkState::Draining => Self::CatchingUp,
            LinkState::Stalled | LinkState::BackingOff | LinkState::Offline => Self::Storing,
        }
    }

    pub(in crate::run) fn render(self, page: &mut Page) {
        page.head("edge_verdict", "gauge", "1 for what is true of the gateway as a whole.");
        let verdicts = Self::ALL.map(|each| (each.as_str(), u64::from(each == self)));
        page.labelled("edge_verdict", "verdict", verdicts);
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

/// Returns the link's state without usual changes: a working link is idle between messages.
pub(crate) fn steady(link: LinkState) -> LinkState {
    if link == LinkState::Idle { LinkState::Flowing } else { link }
}

/// Returns the state of a link that is dialled until it is up: its attempts are part of the back-off, so that this is one state under one word
/// everywhere. `offline` is left to a gateway without a queue, which dials nobody.
pub(crate) fn while_dialled(link: LinkState) -> LinkState {
    if link == LinkState::Offline { LinkState::BackingOff } else { link }
}

/// State of a running gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Worst verdict that applies.
    pub verdict: Verdict,
    /// Explanation of the verdict for a person, in one to three sentences, the same as on the status page. Its words may change.
    pub reason: String,
    /// The connection to the hub.
    pub link: LinkState,
    /// Messages and readings that wait for the hub, without those that are parked. `None`: the queue is not open, or does not answer.
    pub queued: Option<u64>,
    /// Messages and readings that are parked on disk, because the hub refused them or they cannot be sent to it, and will be tried again. `None` as for
    /// `queued`.
    pub parked: Option<u64>,
    /// Messages and readings lost, over all starts. While the queue is not open, or does not answer: those of this start that found no room.
    pub lost: u64,
}

/// Detector of ongoing losses, by a counter that rose not long ago. Pure.
#[derive(Debug)]
pub(crate) struct Losses {
    /// Counter of lost messages at the last check. It starts with the losses before this process, which are no new ones.
    known: u64,
    last_ms: Option<u64>,
}

impl Losses {
    /// Milliseconds for which one lost message counts as an ongoing loss.
    const RECENT_MS: u64 = 30_000;

    pub(crate) fn new(given_up: u64) -> Self {
        Self { known: given_up, last_ms: None }
    }

    /// Returns the counter of lost messages as of the last check.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    /// Updates the counter `given_up` at `up_ms`. Returns whether messages are being lost.
    pub(crate) fn are_happening(&mut self, up_ms: u64, given_up: u64) -> bool {
        if given_up > self.known {
            self.known = given_up;
            self.last_ms = Some(up_ms);
        }
        self.last_ms.is_some_and(|last_ms| up_ms.saturating_sub(last_ms) < Self::RECENT_MS)
    }
}

/// Losses of the last half minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LosingNow {
    /// Set after a start that found the queue gone.
    pub(crate) with_queue: bool,
    pub(crate) to_damage: bool,
    pub(crate) without_room: bool,
}

impl LosingNow {
    pub(crate) fn any(self) -> bool {
        self.with_queue || self.to_damage || self.without_room
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            with_queue: self.with_queue || other.with_queue,
            to_damage: self.to_damage || other.to_damage,
            without_room: self.without_room || other.without_room,
        }
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
