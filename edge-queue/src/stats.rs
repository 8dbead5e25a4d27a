//! Figures of a queue.

use crate::fault::FaultKind;
use crate::ledger::Ledger;
use crate::row::Lane;
use crate::state::Dropped;
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
    /// Milliseconds for which a call of the store has been under way; 0 between calls. Tells a medium that is slow or hangs from a
    /// writer that does nothing.
    pub call_ms: u64,
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
    /// Since open: given up, by [`Reason`](crate::Reason).
    pub dropped: Dropped,
    /// The durable ledger of each consumer.
    pub ledgers: Vec<Ledger>,
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
