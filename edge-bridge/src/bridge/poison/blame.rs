//! Search for the message at which the hub closes: a binary search with restarts, whose verdict is [`Blame`].

use super::RowKey;

/// Ends of connections with the same message unanswered that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Ends with the same message unanswered that make it poison although the hub's reason speaks of something else.
pub(super) const DOUBTED_CLOSES: u32 = 6;
/// Messages at a time that are no caution any more.
const CAREFUL_MAX: u16 = 512;
/// Messages parked as poison in a row, without an answer of the hub between; after so many the hub is taken to close whatever it gets.
pub(super) const PARKED_IN_ROW_MAX: u32 = 8;
/// So many in a row may as well have been the hub: they are tried again soon after its next success.
const DOUBTFUL_IN_ROW: u32 = 4;
/// Closes in a row, without an answer between, up to which the next dial is hurried.
const HURRIED_MAX: u32 = 8;

/// Verdict over the messages that were unanswered when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Blame {
    /// Nothing is certain yet.
    None,
    /// The only message on its way is poison.
    Alone,
}

/// Care in sending, by what the hub closed at.
#[derive(Debug, Default)]
pub(in crate::bridge) struct BlameSearch {
    /// Messages in flight at most.
    limit: Option<u16>,
    acked: u16,
    closes_in_row: u32,
    parked_in_row: u32,
    doubtful: Vec<RowKey>,
}

impl BlameSearch {
    /// Messages in flight at most.
    pub(in crate::bridge) fn limit(&self) -> Option<u16> {
        self.limit
    }

    /// Tells that the next dial is to be quick.
    pub(in crate::bridge) fn is_hurried(&self) -> bool {
        (1..=HURRIED_MAX).contains(&self.closes_in_row)
    }

    /// Notes that the hub closed while `here` messages were unanswered; `worst` is the most closes one of them has seen, this one included.
    /// `is_certain`: the reason may be about a message, or the oldest is known as poison.
    pub(in crate::bridge) fn on_close(&mut self, here: usize, worst: u32, is_certain: bool) -> Blame {
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

    /// The message that was alone is parked.
    pub(in crate::bridge) fn on_message_parked(&mut self) {
        self.parked_in_row += 1;
    }

    /// Notes that a row of that message is being parked.
    pub(super) fn on_row_parked(&mut self, row: RowKey) {
        self.doubtful.push(row);
    }

    /// Lets messages go alone.
    pub(super) fn restart(&mut self) {
        (self.limit, self.acked) = (Some(1), 0);
    }

    /// Notes that the hub answered a message. Returns the rows that were parked since its last answer, if there are so many that it may have been the hub.
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
        (std::mem::take(&mut self.parked_in_row) >= DOUBTFUL_IN_ROW).then_some(doubtful)
    }
}
