//! Search for the message at which the hub closes: a binary search with restarts, whose verdict is [`Blame`].

use std::hash::{Hash, Hasher};

use super::RowKey;
use super::register::KNOWN_MAX;

/// Number of closes while the same message was unacknowledged that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Number of such closes that make a message poison although the hub's reason names another cause.
pub(super) const DOUBTED_CLOSES: u32 = 6;
/// Largest limit of messages in flight during the search; above it the search is over, because no message was found.
const CAREFUL_MAX: u16 = 512;
/// Most messages parked as poison in a row without a PUBACK in between. After that the hub may close whatever it gets: messages are blamed rarely, and
/// held back so that others are tried.
pub(super) const PARKED_IN_ROW_MAX: u32 = 8;
/// Milliseconds after which one more message may be blamed then: a backlog may begin with any number of messages at which the hub closes.
pub(super) const ONE_MORE_MS: u64 = 60_000;
/// Number of messages parked in a row from which the hub itself may have been at fault, so that these messages, and topics at which it closes, are
/// tried again soon after the next PUBACK.
const DOUBTFUL_IN_ROW: u32 = 4;
/// Milliseconds after a close without a PUBACK since from which a known poison message is tried again all the same: there may be nothing else to send.
const UNPROVEN_MS: u64 = 60_000;
/// Number of closes in a row without a PUBACK in between up to which the next dial follows quickly.
const HURRIED_MAX: u32 = 20;

/// Reason to suspect the oldest of the messages that were unacknowledged when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Suspicion {
    /// The hub's reason names another cause.
    None,
    /// The hub's reason may be about a message.
    Certain,
    /// A row of the message is known as poison, or the hub closed at another message of the topic.
    Known,
}

/// Verdict on the messages that were unacknowledged when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Blame {
    /// No message is to blame yet.
    None,
    /// The only message in flight is poison.
    Alone,
    /// The only message in flight is poison, or the hub closes whatever it gets: another message shows which.
    Doubted,
}

/// Limit of the messages in flight while the search goes on, and the counts that it follows.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct BlameSearch {
    /// Most messages in flight; `None` while no message is suspect.
    limit: Option<u16>,
    acked: u16,
    closes_in_row: u32,
    parked_in_row: u32,
    /// Up time at which the last message was blamed.
    blamed_ms: u64,
    /// Up time of the last close.
    closed_ms: u64,
    doubtful: Vec<RowKey>,
}

impl Hash for BlameSearch {
    /// Hashes all but the times.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.limit, self.acked, self.closes_in_row, self.parked_in_row, &self.doubtful).hash(state);
    }
}

impl BlameSearch {
    /// Returns the most messages in flight; `None` for no limit by this search.
    pub(in crate::bridge) fn limit(&self) -> Option<u16> {
        self.limit
    }

    /// Returns whether the next dial is to be quick, because a search goes on.
    pub(in crate::bridge) fn is_hurried(&self) -> bool {
        (1..=HURRIED_MAX).contains(&self.closes_in_row)
    }

    /// Handles a close by the hub while `here` messages were unacknowledged. `worst` is the most closes that one of them has seen, with this one.
    pub(super) fn on_close(&mut self, now_ms: u64, here: usize, worst: u32, suspicion: Suspicion) -> Blame {
        self.closes_in_row = self.closes_in_row.saturating_add(1);
        self.closed_ms = now_ms;
        self.acked = 0;
        let alone = here == 1 && self.limit == Some(1);
        let has_evidence = suspicion != Suspicion::None || worst >= DOUBTED_CLOSES;
        let may_blame = suspicion == Suspicion::Known
            || self.parked_in_row < PARKED_IN_ROW_MAX
            || now_ms.saturating_sub(self.blamed_ms) >= ONE_MORE_MS;
        if alone && has_evidence {
            if !may_blame {
                return Blame::Doubted;
            }
            if suspicion != Suspicion::Known {
                self.blamed_ms = now_ms;
            }
            return Blame::Alone;
        }
        if self.limit.is_some() || worst >= SUSPECT_CLOSES {
            self.limit = Some(1);
        }
        Blame::None
    }

    /// Up time before which no known poison message is tried again, since the link has not proven that it takes others; 0 if it has.
    pub(super) fn unproven_until_ms(&self) -> u64 {
        if self.closes_in_row == 0 { 0 } else { self.closed_ms + UNPROVEN_MS }
    }

    /// Records a close at an attempt on a topic at which the hub closes. Its cause is known: nothing is to be found in a hurry.
    pub(in crate::bridge) fn on_attempt_closed(&mut self, now_ms: u64) {
        self.closed_ms = now_ms;
        // Above the limit no dial is hurried, until the next PUBACK.
        self.closes_in_row = self.closes_in_row.max(HURRIED_MAX).saturating_add(1);
    }

    /// Returns whether so many messages were found to be at fault without a PUBACK in between that the hub itself may have been.
    pub(in crate::bridge) fn doubts_hub(&self) -> bool {
        self.parked_in_row >= DOUBTFUL_IN_ROW
    }

    /// Records that a message that was alone in flight is parked for the first time, or held with its topic.
    pub(in crate::bridge) fn on_message_parked(&mut self) {
        self.parked_in_row = self.parked_in_row.saturating_add(1);
    }

    /// Records that a row is parked for the first time.
    pub(super) fn on_row_parked(&mut self, row: RowKey) {
        // The register, too, forgets the oldest.
        if self.doubtful.len() >= KNOWN_MAX {
            self.doubtful.remove(0);
        }
        self.doubtful.push(row);
    }

    /// Restarts the search with one message in flight.
    pub(super) fn restart(&mut self) {
        (self.limit, self.acked) = (Some(1), 0);
    }

    /// Handles a PUBACK. Returns the rows parked since the last PUBACK if they were so many that the hub may have been at fault, else `None`.
    pub(super) fn on_answer(&mut self) -> Option<Vec<RowKey>> {
        self.closes_in_row = 0;
        if let Some(limit) = self.limit {
            self.acked += 1;
            if self.acked >= limit {
                self.acked = 0;
                self.limit = Some(limit * 2).filter(|limit| *limit <= CAREFUL_MAX);
            }
        }
        let doubtful = std::mem::take(&mut self.doubtful);
        let doubts_hub = self.doubts_hub();
        self.parked_in_row = 0;
        doubts_hub.then_some(doubtful)
    }
}
