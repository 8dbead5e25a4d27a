//! PUBACK chain: holds each PUBACK back until the rows of its message are safe (promise 1).
//!
//! The owner of the local connections (the listener, or the client of a local broker) reports every message and every resolved receipt to the
//! chain, and sends the PUBACKs that [`PubackChain::poll`] releases. The rules:
//!
//! - PUBACKs leave in order of arrival on each connection.
//! - An absorbed message is released no earlier than every receipt of its [group](Group) that was pending on *any* connection when it arrived,
//!   because its publisher may have sent the first copy on another connection. A message without a group waits for all receipts.
//! - A withheld message is released when its receipt is resolved, and no earlier than an absorbed message in its place would have been.
//! - A receipt of a connection that is gone is not released, but others still wait for it.

mod connection;
mod learned_window;
mod receipts;
mod stop_and_wait;

use std::collections::{HashMap, VecDeque};

pub use receipts::{Group, Ticket};

use connection::{Connection, Entry, Until};
use receipts::{Barrier, Receipts};

use crate::session::AckHandle;
use crate::wire::ReasonCode;

/// Number of a local connection, chosen by its owner and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// PUBACK that the owner should send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// Connection of the message.
    pub connection: ConnectionId,
    /// Handle of the message.
    pub ack: AckHandle,
    /// Reason code of the answer.
    pub reason: ReasonCode,
}

/// PUBACKs of all connections, by the rules of the [module](self).
#[derive(Debug, Clone)]
pub struct PubackChain {
    connections: HashMap<ConnectionId, Connection>,
    receipts: Receipts,
    released: VecDeque<Release>,
    unacked_bytes: usize,
    max_unacked_bytes: usize,
}

impl PubackChain {
    /// Default bound of all connections' unacknowledged payloads together, in bytes.
    pub const MAX_UNACKED_BYTES: usize = 4 * 1024 * 1024;

    /// Creates a chain that pauses connections while `max_unacked_bytes` of payload are unacknowledged.
    pub fn new(max_unacked_bytes: usize) -> Self {
        Self {
            connections: HashMap::new(),
            receipts: Receipts::default(),
            released: VecDeque::new(),
            unacked_bytes: 0,
            max_unacked_bytes,
        }
    }

    /// Adds a connection. `window` is the most messages that its publisher leaves unacknowledged, such as 20 for a local Mosquitto; `None` learns
    /// it.
    pub fn open(&mut self, connection: ConnectionId, window: Option<u16>) {
        self.connections.insert(connection, Connection::new(window));
    }

    /// Removes a connection that ended, so that no PUBACK is released for it. Absorbed messages of other connections still wait for its
    /// unresolved receipts.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(gone) = self.connections.remove(&connection) {
            self.unacked_bytes = self.unacked_bytes.saturating_sub(gone.bytes());
        }
        self.released.retain(|release| release.connection != connection);
        self.receipts.forget(connection);
    }

    /// Adds a message that was pushed to the queue; call [`resolve`](Self::resolve) with the ticket when all its rows are safe. `ack` is `None`
    /// for QoS 0, whose rows other messages may have to wait for; `group` is `None` if any message may depend on it.
    pub fn store(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        group: Option<Group>,
        ack: Option<AckHandle>,
        bytes: usize,
    ) -> Ticket {
        let ticket = self.receipts.add(connection, group);
        self.enter(now_ms, connection, ack, bytes, Until::Resolved(ticket));
        ticket
    }

    /// Adds a message as [`store`](Self::store) does, of which a filter holds a part. Resolve the ticket when the rows made of that part are safe
    /// as well.
    pub fn withhold(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        group: Option<Group>,
        ack: Option<AckHandle>,
        bytes: usize,
    ) -> Ticket {
        let barrier = self.wake_behind(connection, group, ack);
        let ticket = self.receipts.add(connection, group);
        let until = barrier.map_or(Until::Resolved(ticket), |barrier| Until::Withheld(ticket, barrier));
        self.enter(now_ms, connection, ack, bytes, until);
        ticket
    }

    /// Adds an absorbed message, which has no receipt of its own.
    pub fn absorb(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        group: Option<Group>,
        ack: Option<AckHandle>,
        bytes: usize,
    ) {
        let barrier = self.wake_behind(connection, group, ack);
        let until = barrier.map_or(Until::Now(ReasonCode::SUCCESS), Until::Passed);
        self.enter(now_ms, connection, ack, bytes, until);
        self.drain(connection);
    }

    /// Adds a message that came again, with the group that it had at first, as [`absorb`](Self::absorb) does. One of an earlier division waits for
    /// all receipts, because it is not the last message that was divided.
    pub(crate) fn absorb_again(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        group: Option<Group>,
        ack: AckHandle,
    ) {
        let group = group.filter(|group| self.receipts.are_divided_as(*group));
        self.absorb(now_ms, connection, group, Some(ack), 0);
    }

    /// Resolves a message's receipt, because all its rows are safe, or removed by the policy. `reason` is sent to the publisher. Has no effect on
    /// a ticket that was resolved before, or never given out.
    pub fn resolve(&mut self, ticket: Ticket, reason: ReasonCode) {
        let Some(connection) = self.receipts.resolve(ticket) else { return };
        if let Some(state) = self.connections.get_mut(&connection) {
            state.on_resolved(ticket, reason);
        }
        self.drain(connection);
        while let Some((barrier, waiting)) = self.receipts.next_passed() {
            if let Some(state) = self.connections.get_mut(&waiting) {
                state.on_passed(barrier);
            }
            self.drain(waiting);
        }
    }

    /// Returns the next PUBACK to send; call it until `None` after each other call. `now_ms` is the time of sending.
    #[must_use]
    pub fn poll(&mut self, now_ms: u64) -> Option<Release> {
        let release = self.released.pop_front()?;
        if let Some(state) = self.connections.get_mut(&release.connection) {
            state.publisher.on_puback(now_ms);
        }
        Some(release)
    }

    /// Returns whether bytes of this connection should be read. When too much is unacknowledged in total, only connections without an
    /// outstanding PUBACK are read.
    pub fn may_read(&self, connection: ConnectionId) -> bool {
        self.unacked_bytes < self.max_unacked_bytes
            || self.connections.get(&connection).is_none_or(|state| state.waits_for_nothing())
    }

    /// Returns whether a connection's publisher waits for its receipts, or the total is reached, so that the queue should commit. Call it
    /// after a PUBLISH of the connection. Takes constant time.
    #[must_use]
    pub fn wants_commit_for(&self, now_ms: u64, connection: ConnectionId) -> bool {
        self.unacked_bytes >= self.max_unacked_bytes
            || self.connections.get(&connection).is_some_and(|state| state.publisher.stands_still(now_ms))
    }

    /// Number of payload bytes of messages without a PUBACK.
    pub fn unacked_bytes(&self) -> usize {
        self.unacked_bytes
    }

    /// Number of unresolved receipts, with those of closed connections.
    pub fn pending(&self) -> usize {
        self.receipts.pending()
    }

    /// Hashes what decides how the chain goes on with messages that are stored, see [`crate::state_hash`].
    #[cfg(feature = "testing")]
    pub fn hash_state(&self, hasher: &mut impl crate::state_hash::StateHasher) {
        let mut connections: Vec<_> = self.connections.iter().collect();
        connections.sort_unstable_by_key(|(connection, _)| connection.0);
        for (connection, state) in connections {
            hasher.write_u64(connection.0);
            state.hash_state(hasher);
        }
    }

    /// Returns the barrier behind the receipts of the group that are pending now, and notes that the connection waits for it. `None` if it waits for
    /// none.
    fn wake_behind(
        &mut self,
        connection: ConnectionId,
        group: Option<Group>,
        ack: Option<AckHandle>,
    ) -> Option<Barrier> {
        let barrier = self.receipts.barrier(group);
        let waits = ack.is_some() && !self.receipts.have_passed(barrier);
        if !waits || !self.connections.contains_key(&connection) {
            return None;
        }
        self.receipts.wait(barrier, connection);
        Some(barrier)
    }

    fn enter(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        ack: Option<AckHandle>,
        bytes: usize,
        until: Until,
    ) {
        let (Some(ack), Some(state)) = (ack, self.connections.get_mut(&connection)) else { return };
        self.unacked_bytes += bytes;
        state.enter(now_ms, Entry { ack, bytes, until });
    }

    /// Releases the PUBACKs at the front of a connection whose condition is met.
    fn drain(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        while let Some((bytes, ack, reason)) = state.take_ready() {
            self.released.push_back(Release { connection, ack, reason });
            self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
        }
    }
}

impl Default for PubackChain {
    fn default() -> Self {
        Self::new(Self::MAX_UNACKED_BYTES)
    }
}

#[cfg(test)]
mod tests;
