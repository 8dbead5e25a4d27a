//! Receipts of all connections in order of arrival, and the position up to which all of them are resolved.

use super::ConnectionId;
use crate::in_order::InOrder;

/// Ticket of a message whose rows are not safe yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// Hashes the ticket, see [`crate::state_hash`].
    #[cfg(feature = "testing")]
    pub fn hash_state(self, hasher: &mut impl crate::state_hash::StateHasher) {
        hasher.write_ticket(self.0);
    }

    /// Returns the barrier that is passed when all receipts before this ticket are resolved.
    pub(super) fn barrier(self) -> Barrier {
        Barrier(self.0)
    }
}

/// Position between two receipts. It is passed when all receipts before it are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Barrier(u64);

/// Receipts that PUBACKs wait for.
#[derive(Debug, Clone, Default)]
pub(super) struct Receipts {
    /// Receipts in order, from the oldest unresolved one.
    all: InOrder<Receipt>,
}

#[derive(Debug, Clone)]
struct Receipt {
    connection: ConnectionId,
    is_resolved: bool,
}

impl Receipts {
    pub(super) fn add(&mut self, connection: ConnectionId) -> Ticket {
        Ticket(self.all.push(Receipt { connection, is_resolved: false }))
    }

    /// Returns the barrier behind all present receipts.
    pub(super) fn barrier(&self) -> Barrier {
        Barrier(self.all.next())
    }

    pub(super) fn have_passed(&self, barrier: Barrier) -> bool {
        barrier.0 <= self.all.first()
    }

    /// Resolves a receipt; returns the connection of its message, or `None` if it was resolved before or never added.
    pub(super) fn resolve(&mut self, ticket: Ticket) -> Option<ConnectionId> {
        let receipt = self.all.get_mut(ticket.0).filter(|receipt| !receipt.is_resolved)?;
        receipt.is_resolved = true;
        let connection = receipt.connection;
        while self.all.pop_if(|receipt| receipt.is_resolved).is_some() {}
        Some(connection)
    }

    /// Returns the number of unresolved receipts.
    pub(super) fn pending(&self) -> usize {
        self.all.iter().filter(|receipt| !receipt.is_resolved).count()
    }
}
