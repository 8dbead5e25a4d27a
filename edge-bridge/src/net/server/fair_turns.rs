//! Fairness between connections: those with received bytes take turns, round-robin, and each turn handles a bounded number of packets. Whoever
//! sends most is then served as often as everybody else, and its other bytes wait in its own socket.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::listener::ConnectionId;

/// Connections that wait for their turn, first come first served, each with its bytes. A connection is in it once at most, since it has one
/// buffer.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: VecDeque<(ConnectionId, BytesMut)>,
}

impl Turns {
    /// Puts a connection behind all others.
    pub(super) fn push(&mut self, id: ConnectionId, buffer: BytesMut) {
        self.waiting.push_back((id, buffer));
    }

    /// Takes the next connection.
    pub(super) fn pop(&mut self) -> Option<(ConnectionId, BytesMut)> {
        self.waiting.pop_front()
    }

    /// Takes a connection out of its turn.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<BytesMut> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        self.waiting.remove(at).map(|(_, buffer)| buffer)
    }

    /// Turns of one round.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
