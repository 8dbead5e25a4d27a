//! Ends of connections: packets received before an end are still handled, in small turns, so that other clients do not wait.

use crate::listener::{ConnectionId, Input};

use super::Owner;
use crate::net::server::connection::Handshake;
use crate::session::Violation;

/// Turns that a connection has at its end, beside those that it waits for as others do.
pub(super) const TURNS_AT_END: usize = 4;

impl Owner {
    /// Handles the end of a connection. What came before it counts: a little at once, since its client may come again at once; more in its turns,
    /// because it may take as long as anything of a connection that goes on. While the queue is behind, all of it waits for its turns.
    /// `broken`: the rule that the peer broke, if it ended for that.
    pub(super) fn on_end(&mut self, id: ConnectionId, broken: Option<Violation>) {
        if let Some(violation) = broken {
            self.listener.handle_input(self.now(), id, Input::Broken(violation));
        }
        for _ in 0..TURNS_AT_END {
            if !self.has_turn() {
                break;
            }
            let Some(buffer) = self.turns.remove(id) else { break };
            self.take_turn(id, buffer);
        }
        if !self.turns.end_after(id) {
            self.on_closed(id);
        }
    }

    /// Handles a handshake that failed. The end of a connection that made place for another one meanwhile was told and counted before.
    pub(super) fn on_failed(&mut self, id: ConnectionId, handshake: Handshake, error: String) {
        if self.outboxes.contains_key(&id) {
            self.failed_handshakes += 1;
            self.tell(&handshake.event(id, error));
            self.listener.handle_input(self.now(), id, Input::Closed);
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnectionId) {
        self.gone(id, &[]);
        self.listener.handle_input(self.now(), id, Input::Closed);
        self.outputs();
    }

    /// Handles a peer that closed its connection, if the connection is still not read. `ahead`: bytes that came after those in its buffer.
    pub(super) fn gone(&mut self, id: ConnectionId, ahead: &[u8]) {
        let Some(read) = self.paused.buffers.get(&id) else { return };
        let unread = [read, ahead].concat();
        self.listener.handle_input(self.now(), id, Input::Gone { unread: &unread });
    }
}
