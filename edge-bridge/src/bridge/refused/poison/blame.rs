//! Search for the message at which the hub closes: a binary search with restarts, whose verdict is [`Blame`].

use super::RowKey;

/// Number of closes while the same message was unacknowledged that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Number of such closes that make a message poison although the hub's reason names another cause.
pub(super) const DOUBTED_CLOSES: u32 = 6;
/// Largest limit of messages in flight during the search; above it the search is over, because no message was found.
const CAREFUL_MAX: u16 = 512;
/// Most messages parked as poison in a row without a PUBACK in between. After that the hub is assumed to close whatever it gets, and no further
/// message is blamed.
pub(super) const PARKED_IN_ROW_MAX: u32 = 8;
/// Number of messages parked in a row from which the hub itself may have been at fault, so that these messages, and topics at which it closes, are
/// tried again soon after the next PUBACK.
const DOUBTFUL_IN_ROW: u32 = 4;
/// Number of closes in a row without a PUBACK in between up to which the next dial follows quickly.
const HURRIED_MAX: u32 = 8;

/// Verdict on the messages that were unacknowledged when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Blame {
    /// No message is to blame yet.
    None,
    /// The only message in flight is poison.
    Alone,
}

/// Limit of the messages in flight while the search goes on, and the counts that it follows.
#[derive(Debug, Clone, Default, Hash)]
pub(in crate::bridge) struct BlameSearch {
    /// Most messages in flight; `None` while no message is suspect.
    limit: Option<u16>,
    acked: u16,
    closes_in_row: u32,
    parked_in_row: u32,
    doubtful: Vec<RowKey>,
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
    /// `is_certain`: the reason may be about a message, or a row of the oldest message is known as poison.
    pub(super) fn on_close(&mut self, here: usize, worst: u32, is_certain: bool) -> Blame {
        self.closes_in_row = self.closes_in_row.saturating_add(1);
        self.acked = 0;
        let alone = here == 1 && self.limit == Some(1);
        let has_evidence = is_certain || worst >= DOUBTED_CLOSES;
        if alone && has_evidence && self.parked_in_row < PARKED_IN_ROW_MAX {
            return Blame::Alone;
        }
        if self.limit.is_some() || worst >= SUSPECT_CLOSES {
            self.limit = Some(1);
        }
        Blame::None
    }

    /// Records a close at an attempt on a topic at which the hub closes. Its cause is known: nothing is to be found in a hurry.
    pub(in crate::bridge) fn on_attempt_closed(&mut self) {
        // Above the limit no dial is hurried, until the next PUBACK.
        self.closes_in_row = self.closes_in_row.max(HURRIED_MAX).saturating_add(1);
    }

    /// Returns whether so many messages were found to be at fault without a PUBACK in between that the hub itself may have been.
    pub(in crate::bridge) fn doubts_hub(&self) -> bool {
        self.parked_in_row >= DOUBTFUL_IN_ROW
    }

    /// Records that the message that was alone in flight is parked, or held with its topic.
    pub(in crate::bridge) fn on_message_parked(&mut self) {
        self.parked_in_row = self.parked_in_row.saturating_add(1);
    }

    /// Records that a row of that message is being parked.
    pub(super) fn on_row_parked(&mut self, row: RowKey) {
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
