//! Turn of a connection: some of its received packets are handled, then other connections have theirs.

use bytes::BytesMut;

use super::Listener;
use super::memory::Unfinished;
use super::turn_size;
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;

impl<I: Ingest> Listener<I> {
    /// Gives a connection its turn, in steps of a few packets, because nothing is known of the next packets: a turn ends with the step that makes
    /// its work too much.
    pub(super) fn on_bytes(&mut self, now: Now, connection: ConnectionId, buffer: &mut BytesMut) {
        let copies = self.topics.copies;
        let mut left = self.connections.get(connection).map_or(0, |state| state.turn_size.packets());
        loop {
            let (before, packets) = (buffer.len(), left.min(turn_size::STEP));
            left -= packets;
            self.step(now, connection, buffer, packets);
            let is_over = left == 0 || turn_size::is_spent(self.topics.copies - copies);
            if is_over || buffer.is_empty() || buffer.len() == before || !self.may_read(connection) {
                break;
            }
        }
        if let Some(state) = self.connections.get_mut(connection) {
            state.turn_size.on_turn(self.topics.copies - copies);
        }
    }

    /// Ends the wait of received bytes for their turn, because the connection may not be read. They come with [`Input::Waiting`](super::Input::Waiting)
    /// again once it may be.
    #[cfg(feature = "net")]
    pub(crate) fn on_not_read(&mut self, now: Now, connection: ConnectionId) {
        self.accounts.on_not_read(now.up_ms, connection);
        self.pause(connection);
    }

    fn step(&mut self, now: Now, connection: ConnectionId, buffer: &mut BytesMut, packets: usize) {
        match self.connections.get_mut(connection) {
            Some(state) => {
                state.on_bytes(now.up_ms, buffer, packets);
                let unfinished = Unfinished::at(buffer);
                self.accounts.set_unfinished(now.up_ms, connection, unfinished);
                state.fit(buffer, unfinished, self.accounts.waits_for_memory(connection));
            }
            None => buffer.clear(),
        }
        self.connections.touch(connection);
        self.run(now);
    }
}
