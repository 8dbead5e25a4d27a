//! Figures of a queue.

use crate::fault::FaultKind;
use crate::row::Lane;
use crate::state::{Dropped, Reason};
use crate::store::StoreStats;

/// A snapshot of everything worth watching. Cost: one read of the oldest row per lane at most, none while the store is
/// at work: then [`Stats::store`] and [`Stats::oldest_age_ms`] are what was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages queued, by weight, over all lanes.
    pub messages: u64,
    /// Bytes queued, as the limits count them.
    pub bytes: u64,
    /// Bytes of rows that no commit has written yet.
    pub unwritten_bytes: u64,
    /// Age of the oldest row in milliseconds, where it is known.
    pub oldest_age_ms: Option<u64>,
    /// Per lane, highest priority first.
    pub lanes: Vec<LaneStats>,
    /// The store since open.
    pub store: StoreStats,
    /// Health of the store.
    pub health: Health,
    /// Milliseconds that the writer has been overdue with a commit or in one call of the store; stays near 0
    /// while it makes progress.
    pub overdue_ms: u64,
    /// Rows whose receipt said `Volatile` because the store failed.
    pub volatile_rows: u64,
}

/// Figures of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Lane of the figures.
    pub lane: Lane,
    /// Messages queued, by weight.
    pub messages: u64,
    /// Bytes of the queued rows.
    pub bytes: u64,
    /// Limit of `messages` in the configuration.
    pub max_messages: u64,
    /// Limit of `bytes` in the configuration.
    pub max_bytes: u64,
    /// Since open: taken in, by weight.
    pub accepted: u64,
    /// Since open: acknowledged before they had to be written.
    pub handed_over: u64,
    /// Since open: refused with `Full`.
    pub refused: u64,
    /// Since open: given up, by [`Reason`].
    pub dropped: Dropped,
    /// The durable ledger of each consumer.
    pub ledgers: Vec<Ledger>,
}

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

/// Health of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The store takes every write.
    Healthy,
    /// The last commit failed, or a call hangs; rows stay in RAM and are written again.
    Degraded {
        /// Kind of the failure.
        kind: FaultKind,
        /// The failure, in words.
        reason: String,
        /// Time since the failure began, in milliseconds.
        since_ms: u64,
    },
}
