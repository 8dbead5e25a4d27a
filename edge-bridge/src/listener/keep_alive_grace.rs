//! Grace of the keep alive (§3.1.2.10) around a pause of reading: a paused connection is not silent, because its pings may wait unread.

use super::connection::Connection;
use super::{Due, Listener};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;

/// Milliseconds between the end of a pause of reading and the next check of the keep alive, so that what came in the pause is read first.
const GRACE_MS: u64 = 2_000;

impl Connection {
    /// Begins the grace anew: reading goes on, or does not yet. So does the time of a packet of which a part was read before.
    pub(super) fn begin_grace(&mut self, now_ms: u64) {
        self.grace_ms = now_ms.saturating_add(GRACE_MS);
        self.session.on_unread(now_ms);
    }
}

impl<I: Ingest> Listener<I> {
    /// Does what is due at the deadline of a connection. While a connection is not being read, its keep alive is not checked; it counts again
    /// [`GRACE_MS`] after reading resumed.
    pub(super) fn connection_due(&mut self, now: Now, id: ConnectionId) {
        // A pause that is over lasts until its bytes wait for their turn.
        let ends = self.connections.get(id).is_some_and(|state| state.paused) && self.may_read(id);
        let is_paused = ends || self.is_paused(id);
        let Some(state) = self.connections.get_mut(id) else { return };
        if !state.gone && (is_paused || state.excused) {
            state.excused = is_paused;
            state.begin_grace(now.up_ms);
        }
        // The session's own deadline may have passed long ago, and comes up again with whatever is sent to the client.
        if !state.gone && now.up_ms < state.grace_ms {
            self.deadlines.no_later(Due::Connection(id), state.grace_ms);
            return;
        }
        state.session.handle_timeout(now.up_ms);
        self.connections.touch(id);
    }

    /// Returns whether a connection is not read for a reason that is not its client's, as answers that it does not read would be.
    fn is_paused(&self, id: ConnectionId) -> bool {
        let is_held = self.connections.get(id).is_some_and(|state| state.held > 0);
        is_held || !self.admission.may_read(id) || self.accounts.waits_for_memory(id)
    }

    /// Begins a pause of reading. Without it one that is over before a deadline would count against the client.
    #[cfg(feature = "net")]
    pub(super) fn pause(&mut self, id: ConnectionId) {
        let is_paused = self.is_paused(id);
        if let Some(state) = self.connections.get_mut(id) {
            state.paused |= is_paused;
        }
    }

    /// Ends the pause, if there was one.
    pub(super) fn resume(&mut self, now_ms: u64, id: ConnectionId) {
        let Some(state) = self.connections.get_mut(id) else { return };
        if std::mem::take(&mut state.paused) && !state.gone {
            state.excused = false;
            state.begin_grace(now_ms);
            self.connections.touch(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::ingest::{Answer, Inbound};
    use crate::listener::{Config, Input, Output};
    use crate::row::Row;

    struct Store;

    impl Ingest for Store {
        fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
            Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
        }
    }

    /// Half a packet stands behind a message whose receipt takes longer than a packet may; then the rest comes within the time that any packet has. Receipt
    /// and deadline may come in either order, and in one pass of the owner.
    #[cfg(feature = "net")]
    #[test]
    fn a_pause_that_is_over_before_its_bytes_are_read_does_not_count_against_half_a_packet() {
        let at = |up_ms| Now { up_ms, wall_ms: 1_700_000_000_000 };
        let mut config = Config::default();
        (config.keep_alive_max_s, config.max_unacked_bytes) = (10, 1);
        for receipt_ms in [14_500, 15_001] {
            let mut listener = Listener::new(config.clone(), Store);
            listener.set_room(at(0), true);
            let id = listener.accept(at(0)).unwrap();
            // CONNECT of 3.1.1 without a keep alive, a PUBLISH at QoS 1, and a part of another one.
            let bytes =
                b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c\x32\x06\x00\x01a\x00\x01x\x32\x06\x00\x01a";
            let mut bytes = BytesMut::from(&bytes[..]);
            listener.handle_input(at(0), id, Input::Bytes(&mut bytes));
            let outputs: Vec<_> = std::iter::from_fn(|| listener.poll_output()).collect();
            let ticket = outputs.iter().find_map(|output| match output {
                Output::Store { ticket, .. } => Some(*ticket),
                _ => None,
            });
            assert!(!listener.may_read(id));
            listener.on_not_read(at(0), id);
            listener.resolve(at(receipt_ms), ticket.unwrap());
            assert!(listener.may_read(id));
            listener.handle_timeout(at(receipt_ms));
            listener.handle_input(at(receipt_ms), id, Input::Waiting { up_to_date_ms: None });
            for up_ms in [receipt_ms + 499, receipt_ms + 501, receipt_ms + 14_500] {
                listener.handle_timeout(at(up_ms));
                assert!(listener.stats().connections == 1, "closed at {up_ms}");
            }
            listener.handle_timeout(at(receipt_ms + 15_000));
            listener.handle_timeout(at(receipt_ms + 17_000));
            assert_eq!(listener.stats().connections, 0);
        }
    }
}
