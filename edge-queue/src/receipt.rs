//! Receipts of pushed rows.

use std::fmt;

use crate::state::Reason;

/// Receipt of a row, which is never given before it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// On the medium: it survives a power cut.
    Stored,
    /// Every consumer registered at the push acknowledged it before it had to be written.
    HandedOver,
    /// Dropped by the policy that you chose; the loss is recorded for each consumer.
    Settled(Reason),
    /// In RAM only: the memory store, or `OnFault::Volatile` while the store fails.
    Volatile,
}

/// Error of waiting for a receipt that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The queue was closed while the store could not take the row: treat it as not accepted.
    Closed,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue was closed before the row was safe")
    }
}

impl std::error::Error for WaitError {}
