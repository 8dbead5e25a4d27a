//! Acknowledgement by identity: rows that reached the hub by another way than a lease, named by a receipt.

use std::fmt;

use crate::error::CommitError;
use crate::row::{RowId, Seq};
use crate::store::StoreError;

/// Identities of rows of one gateway, lane and epoch whose numbers follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a range has two ends")]
pub struct IdRange {
    /// Identity of the first row.
    pub first: RowId,
    /// Number of the last row. The range is empty if it is below the first.
    pub last: Seq,
}

impl IdRange {
    /// Returns the number of identities in the range.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.last.checked_sub(self.first.seq).map_or(0, |more| more.saturating_add(1))
    }
}

/// Result of [`Queue::ack_ids`](crate::Queue::ack_ids). The three counts together are the number of identities given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AckedIds {
    /// Number of rows that this call acknowledged: durably, each counted once as delivered.
    pub acked: u64,
    /// Number of identities of which the consumer has no row to come: acknowledged before, dropped, or never in the queue.
    pub gone: u64,
    /// Number of rows left in the queue, because their acknowledgement needs a range and none is free. They are leased as
    /// before; a later call can acknowledge them.
    pub no_range: u64,
}

impl AckedIds {
    /// Returns the number of rows that were still to come when the call began.
    pub(crate) fn found(&self) -> u64 {
        self.acked.saturating_add(self.no_range)
    }
}

/// Error of [`Queue::ack_ids`](crate::Queue::ack_ids). Nothing is lost: rows acknowledged before the error may come again
/// after a crash, and the call can be repeated.
#[derive(Debug)]
#[non_exhaustive]
pub enum AckIdsError {
    /// A range is of another gateway. Nothing was acknowledged.
    OtherGateway {
        /// Gateway id of the range.
        found: u64,
        /// Gateway id of the queue.
        own: u64,
    },
    /// No consumer has the name.
    NoConsumer,
    /// The store failed.
    Store(StoreError),
    /// The queue was closed.
    Closed,
}

impl fmt::Display for AckIdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AckIdsError::OtherGateway { found, own } => {
                write!(f, "the rows are of gateway {found:016x}, this queue is of gateway {own:016x}")
            }
            AckIdsError::NoConsumer => f.write_str("no consumer has this name"),
            AckIdsError::Store(e) => e.fmt(f),
            AckIdsError::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for AckIdsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AckIdsError::Store(e) => Some(e),
            _ => None,
        }
    }
}

impl From<CommitError> for AckIdsError {
    fn from(e: CommitError) -> AckIdsError {
        match e {
            CommitError::Store(e) => AckIdsError::Store(e),
            CommitError::Closed => AckIdsError::Closed,
        }
    }
}
