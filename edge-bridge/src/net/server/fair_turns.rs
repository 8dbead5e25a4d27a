//! Fair scheduling of connections: those with received bytes take turns, round-robin, and each turn handles a limited number of packets. A client
//! that sends much is served as often as any other, and its remaining bytes wait in its own socket.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::listener::ConnectionId;

/// Connections that wait for their turn, first come first served, each with its bytes. A connection is in the list at most once, because it
/// has only one buffer.
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

    /// Takes a connection out of the list; `None` if it is not in it.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<BytesMut> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        self.waiting.remove(at).map(|(_, buffer)| buffer)
    }

    /// Number of connections that wait, which is that of turns in a round.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
