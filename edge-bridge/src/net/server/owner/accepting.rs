//! Accept of connections: several in one step, as long as there is room for their tasks.

use std::sync::Arc;

use super::Owner;
use crate::net::server::acceptor::Accepted;
use crate::net::server::connection::Outbox;

/// Most connections accepted in one step.
const ACCEPTS: usize = 32;

impl Owner {
    /// Returns whether a connection may be accepted, after it has removed the tasks of those that have ended.
    pub(super) fn may_accept(&mut self) -> bool {
        self.tasks.remove_ended();
        let has_room = self.has_room_for_task();
        self.acceptor.set_room(has_room);
        has_room
    }

    /// Takes in an accepted connection, and those that are there behind it: one at a time would keep a client waiting for as many rounds of
    /// turns as there are connections before it.
    pub(super) async fn accept_all(&mut self, first: Accepted) {
        self.accept(first);
        for _ in 1..ACCEPTS {
            if !self.has_room_for_task() {
                return;
            }
            let Some(accepted) = self.acceptor.accept_ready().await else { return };
            self.accept(accepted);
        }
    }

    fn has_room_for_task(&self) -> bool {
        self.tasks.has_room(self.acceptor.connections_max)
    }

    fn accept(&mut self, accepted: Accepted) {
        let taken_in = self.listener.accept_from(self.now(), Some(accepted.peer));
        self.outputs();
        let Some(id) = taken_in else { return self.acceptor.turn_away(&accepted) };
        self.addresses.insert(id, accepted.peer);
        let outbox = Arc::new(Outbox::default());
        self.outboxes.insert(id, Arc::clone(&outbox));
        self.tasks.spawn(id, accepted, outbox);
    }
}
