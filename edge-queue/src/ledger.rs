//! Ledger of a consumer in a lane: whatever it accepted is delivered, moved, queued or dropped.

use crate::row::Lane;
use crate::state::{Dropped, Reason};

/// Account of the messages of one consumer in one lane since it registered, over restarts, by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Name of the consumer.
    pub consumer: String,
    /// Lane of the figures.
    pub lane: Lane,
    /// Taken in since the consumer registered, and what it found then.
    pub accepted: u64,
    /// Number of acknowledged rows.
    pub delivered: u64,
    /// Moved to another store by [`Lease::moved`](crate::Lease::moved).
    pub moved: u64,
    /// Still to come, leased ones included.
    pub queued: u64,
    /// Handed out and neither acknowledged nor returned.
    pub leased: u64,
    /// Ranges of done rows behind the oldest row that is not done: holes that acknowledgements out of order left. See
    /// [`Consumer::lease`](crate::Consumer::lease) for their bound.
    pub ranges: u64,
    /// Given up, by reason; expired and quarantined ones included.
    pub dropped: Dropped,
}

impl Ledger {
    /// Returns whether accepted = delivered + moved + queued + dropped for every reason. `queued` is counted on its own.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let left = self.delivered.saturating_add(self.moved).saturating_add(self.dropped.total());
        self.accepted == left.saturating_add(self.queued)
    }

    /// Number of expired rows.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.dropped.for_reason(Reason::Expired)
    }

    /// Returns the messages that were damaged on the medium.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.dropped.for_reason(Reason::Quarantined)
    }
}
