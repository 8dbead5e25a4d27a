//! The receipts of all connections in order of arrival, and up to where all of them are resolved.

use std::collections::VecDeque;

use super::ConnectionId;

/// A message whose rows are on their way to safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// Returns the barrier that is passed when all receipts before this one are resolved.
    pub(super) fn barrier(self) -> Barrier {
        Barrier(self.0)
    }
}

/// A place between two receipts. It is passed when all receipts before it are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Barrier(u64);

/// Receipts that answers wait for.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// Receipts in order, from the oldest that is not resolved.
    all: VecDeque<Receipt>,
    /// Ticket number of the front.
    first: u64,
}

#[derive(Debug)]
struct Receipt {
    connection: ConnectionId,
    is_resolved: bool,
}

impl Receipts {
    pub(super) fn add(&mut self, connection: ConnectionId) -> Ticket {
        let Barrier(number) = self.barrier();
        self.all.push_back(Receipt { connection, is_resolved: false });
        Ticket(number)
    }

    /// Returns the barrier behind all present receipts.
    pub(super) fn barrier(&self) -> Barrier {
        Barrier(self.first + self.all.len() as u64)
    }

    pub(super) fn have_passed(&self, barrier: Barrier) -> bool {
        barrier.0 <= self.first
    }

    /// Resolves a receipt; returns the connection of its message, or `None` if it was resolved before or never added.
    pub(super) fn resolve(&mut self, ticket: Ticket) -> Option<ConnectionId> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let receipt = self.all.get_mut(at).filter(|receipt| !receipt.is_resolved)?;
        receipt.is_resolved = true;
        let connection = receipt.connection;
        while self.all.front().is_some_and(|receipt| receipt.is_resolved) {
            self.all.pop_front();
            self.first += 1;
        }
        Some(connection)
    }

    /// Returns how many are not resolved.
    pub(super) fn pending(&self) -> usize {
        self.all.iter().filter(|receipt| !receipt.is_resolved).count()
    }
}
