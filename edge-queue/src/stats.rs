//! Figures of a queue.

use crate::fault::FaultKind;
use crate::ledger::Ledger;
use crate::row::Lane;
use crate::state::Dropped;
use crate::store::StoreStats;

/// Snapshot of the queue's figures. Costs at most one read per lane, of its oldest row. Reads nothing while the store is busy; then
/// [`Stats::store`] and [`Stats::oldest_age_ms`] have their last known values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages queued over all lanes, by weight.
    pub messages: u64,
    /// Bytes of the queued rows over all lanes, as the limits count them.
    pub bytes: u64,
    /// Bytes of rows that no commit has written yet.
    pub unwritten_bytes: u64,
    /// Age of the oldest row in milliseconds; `None` if the queue is empty or the age is unknown.
    pub oldest_age_ms: Option<u64>,
    /// Figures of each lane, highest priority first.
    pub lanes: Vec<LaneStats>,
    /// Figures of the store since the queue was opened.
    pub store: StoreStats,
    /// Health of the store.
    pub health: Health,
    /// Milliseconds for which a commit has been overdue or one call of the store has been under way, whichever is longer; stays
    /// near 0 while the writer makes progress.
    pub overdue_ms: u64,
    /// Milliseconds for which a call of the store has been under way; 0 between calls. Distinguishes a slow or hanging medium from an idle
    /// writer.
    pub call_ms: u64,
    /// Number of rows whose receipt was `Volatile` because the store failed.
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
    /// Limit of `bytes` in force: that of the configuration, or a lower one while the file keeps its old division
    /// ([`Event::LimitsKept`](crate::Event::LimitsKept)).
    pub max_bytes: u64,
    /// Weight of the rows pushed since the queue was opened.
    pub accepted: u64,
    /// Weight of the rows acknowledged before they had to be written, since the queue was opened.
    pub handed_over: u64,
    /// Weight of the rows refused with `Full` since the queue was opened.
    pub refused: u64,
    /// Weight of the rows dropped since the queue was opened, by [`Reason`](crate::Reason).
    pub dropped: Dropped,
    /// Ledger of each consumer in this lane, as [`Queue::ledger`](crate::Queue::ledger) gives it.
    pub ledgers: Vec<Ledger>,
}

/// Health of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The store accepts every write.
    Healthy,
    /// The last commit failed, or a call hangs: rows stay in RAM and are written again later. Or code that the queue calls panicked
    /// ([`FaultKind::Panicked`]), which lasts until the queue is opened anew.
    Degraded {
        /// Kind of the failure.
        kind: FaultKind,
        /// The failure, in words.
        reason: String,
        /// Time since the failure began, in milliseconds.
        since_ms: u64,
    },
}
