//! Ledger of a consumer in a lane: every accepted message is delivered, moved, queued or dropped.

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
    /// Messages pushed since the consumer registered; for the first consumer of a queue also those that it found in the queue.
    pub accepted: u64,
    /// Messages that the consumer acknowledged.
    pub delivered: u64,
    /// Messages moved to another store by [`Lease::moved`](crate::Lease::moved).
    pub moved: u64,
    /// Messages still to come, leased ones included.
    pub queued: u64,
    /// Messages leased and neither acknowledged nor given back.
    pub leased: u64,
    /// Number of ranges of done rows above the oldest row that is not done, caused by acknowledgements out of order. See
    /// [`Consumer::lease`](crate::Consumer::lease) for their limit.
    pub ranges: u64,
    /// Messages lost, by reason; expired and quarantined ones included.
    pub dropped: Dropped,
}

impl Ledger {
    /// Returns whether accepted = delivered + moved + queued + dropped for every reason. `queued` is counted apart from the
    /// others.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let left = self.delivered.saturating_add(self.moved).saturating_add(self.dropped.total());
        self.accepted == left.saturating_add(self.queued)
    }

    /// Returns the messages that expired.
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
