//! Outcome of a bridge's close: the messages that were not delivered, and what became of them.

use std::error::Error;

/// Account of the messages, by weight, that the hub had not acknowledged when the bridge was closed.
#[must_use = "it tells whether messages were not delivered, and whether they are lost"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// No message was left: the hub has all of them, except those that expired or were evicted, as [`dropped`](crate::Bridge::dropped) counts
    /// them.
    Delivered,
    /// This number of messages is safe in the spool on disk, and goes to the hub at the next start.
    Kept(u64),
    /// This number of messages was in memory only and is lost.
    Lost(u64),
}

impl Closed {
    pub(in crate::net) fn of(undelivered: u64, keeps_rows: bool) -> Self {
        match (undelivered, keeps_rows) {
            (0, _) => Self::Delivered,
            (messages, true) => Self::Kept(messages),
            (messages, false) => Self::Lost(messages),
        }
    }

    /// Returns the number of messages that were not delivered, kept or lost.
    #[must_use]
    pub const fn undelivered(self) -> u64 {
        match self {
            Self::Delivered => 0,
            Self::Kept(messages) | Self::Lost(messages) => messages,
        }
    }
}

/// Error of closing the spool. Messages that it could not store were never confirmed by a receipt.
#[derive(Debug, thiserror::Error)]
#[error("the spool was not closed cleanly; {undelivered} messages were not delivered")]
pub struct CloseError {
    pub(super) undelivered: u64,
    /// Error of the queue, an `edge_queue::CommitError`.
    pub(super) source: Box<dyn Error + Send + Sync>,
}

impl CloseError {
    /// Returns the number of messages that were not delivered. Those with the receipt [`Stored`](crate::Receipt::Stored) are kept, and go to the
    /// hub at the next start.
    pub const fn undelivered(&self) -> u64 {
        self.undelivered
    }
}
