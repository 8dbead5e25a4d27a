//! Unresolved receipts of all connections by group, and whether those that were pending at some moment are resolved.

use std::collections::{BTreeMap, VecDeque};

use super::ConnectionId;

/// Ticket of a message whose rows are not safe yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// Hashes the ticket, see [`crate::state_hash`].
    #[cfg(feature = "testing")]
    pub fn hash_state(self, hasher: &mut impl crate::state_hash::StateHasher) {
        hasher.write_ticket(self.0);
    }

    /// Returns whether the message came behind the barrier.
    pub(super) fn is_behind(self, barrier: Barrier) -> bool {
        self.0 > barrier.before
    }
}

/// Messages of which one can make another superfluous, such as the readings of one filter: an absorbed one waits for receipts of its own group,
/// and for those of messages without a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Number of the group, such as the lane of its rows. Choose few: what is kept of one stays.
    pub number: u32,
    /// Version of the division into groups. Receipts of an earlier one are in no group, so that messages of every group wait for them.
    pub division: u32,
}

/// Moment in the order of the receipts. It is passed when those of a group before it are resolved, and those before it that are in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Barrier {
    before: u64,
    group: Option<u32>,
}

impl Barrier {
    /// Returns whether it is behind another one.
    pub(super) fn is_behind(self, other: Barrier) -> bool {
        self.before > other.before
    }
}

/// Receipts that PUBACKs wait for.
#[derive(Debug, Clone, Default)]
pub(super) struct Receipts {
    /// Serial number of the next receipt.
    next: u64,
    division: u32,
    /// Connections of the unresolved receipts by serial number. A resolved one takes no memory, however long an older one waits.
    unresolved: BTreeMap<Option<u32>, BTreeMap<u64, ConnectionId>>,
    /// Connections that wait for a barrier, by the barrier's group, in order of the barriers.
    behind: BTreeMap<Option<u32>, VecDeque<(Barrier, ConnectionId)>>,
}

impl Receipts {
    pub(super) fn add(&mut self, connection: ConnectionId, group: Option<Group>) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let group = self.number_of(group);
        self.unresolved.entry(group).or_default().insert(ticket.0, connection);
        ticket
    }

    /// Returns the barrier behind the present receipts of a group.
    pub(super) fn barrier(&mut self, group: Option<Group>) -> Barrier {
        Barrier { before: self.next, group: self.number_of(group) }
    }

    /// Returns whether a group is one of the present division.
    pub(super) fn are_divided_as(&self, group: Group) -> bool {
        group.division == self.division
    }

    /// Returns whether a barrier is passed. Ask once: in a new division more receipts are before it.
    pub(super) fn have_passed(&self, barrier: Barrier) -> bool {
        let is_passed_by = |receipts: &BTreeMap<u64, ConnectionId>| {
            receipts.first_key_value().is_none_or(|(oldest, _)| *oldest >= barrier.before)
        };
        match barrier.group {
            None => self.unresolved.values().all(is_passed_by),
            of => [None, of].iter().filter_map(|group| self.unresolved.get(group)).all(is_passed_by),
        }
    }

    /// Notes that a connection waits for a barrier, which is behind all that are noted.
    pub(super) fn wait(&mut self, barrier: Barrier, connection: ConnectionId) {
        self.behind.entry(barrier.group).or_default().push_back((barrier, connection));
    }

    /// Returns a barrier that was passed and the connection that waited for it; `None` if there is no further one.
    pub(super) fn next_passed(&mut self) -> Option<(Barrier, ConnectionId)> {
        let passed = |waiting: &VecDeque<(Barrier, ConnectionId)>| {
            waiting.front().is_some_and(|(barrier, _)| self.have_passed(*barrier))
        };
        let group = *self.behind.iter().find(|(_, waiting)| passed(waiting))?.0;
        self.behind.get_mut(&group)?.pop_front()
    }

    /// Forgets that a connection waits.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.behind.values_mut().for_each(|waiting| waiting.retain(|(_, of)| *of != connection));
    }

    /// Resolves a receipt; returns the connection of its message, or `None` if it was resolved before or never added.
    pub(super) fn resolve(&mut self, ticket: Ticket) -> Option<ConnectionId> {
        self.unresolved.values_mut().find_map(|receipts| receipts.remove(&ticket.0))
    }

    /// Returns the number of unresolved receipts.
    pub(super) fn pending(&self) -> usize {
        self.unresolved.values().map(BTreeMap::len).sum()
    }

    /// Number of receipts in memory.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.unresolved.values().map(BTreeMap::len).sum()
    }

    /// Number of PUBACKs that wait for a barrier.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.behind.values().map(VecDeque::len).sum()
    }

    /// Returns the number of a group. One of a new division takes all receipts out of their groups.
    fn number_of(&mut self, group: Option<Group>) -> Option<u32> {
        let group = group?;
        if group.division != self.division {
            self.division = group.division;
            let all = std::mem::take(&mut self.unresolved).into_values().flatten();
            self.unresolved.insert(None, all.collect());
        }
        Some(group.number)
    }
}
