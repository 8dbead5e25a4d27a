//! Memory limit: above [`Config::max_memory`](crate::listener::Config::max_memory) memory is taken from clients in their
//! [order](super::eviction_order). Each loses its waiting messages first, then its connection or session.

use super::Look;
use super::eviction_order::Holder;
use super::per_client::memory_of_waiting;
use crate::ingest::{Ingest, Now};
use crate::listener::{ClientKey, Listener, SessionEnd};
use crate::puback_chain::ConnectionId;
use crate::wire::ReasonCode;

/// Fraction of a client's waiting messages that is dropped at a time, one in so many. The search for the next client costs more than dropping a
/// message, and the order is exact only to a quarter.
const DROPPED_OF: usize = 8;

/// Fraction of the memory that is not given to unfinished packets, one byte in so many, so that first packets of other clients find room.
const KEPT_FREE: usize = 4;

impl<I: Ingest> Listener<I> {
    /// Bytes that all clients together take.
    pub(in crate::listener) fn held_bytes(&self) -> usize {
        self.accounts.bytes() + self.unshared_bytes()
    }

    /// Bytes that belong to no single client: retained messages, and messages on their way to the queue.
    fn unshared_bytes(&self) -> usize {
        self.topics.retained.bytes() + self.admission.unacked_bytes() + self.admission.held.will_bytes()
    }

    /// Accounts for the memory of a connection; called whenever what it holds may have changed.
    pub(in crate::listener) fn account_connection(&mut self, id: ConnectionId) {
        self.accounts.set_connection(id, self.connections.get(id));
    }

    /// Accounts for the memory of a client; called whenever what waits for it, its will, its filters or its session have changed.
    pub(in crate::listener) fn account_client(&mut self, key: ClientKey) {
        match self.clients.get_mut(key) {
            Some(client) => self.accounts.set_client(key, client),
            None => self.accounts.remove_client(key, None),
        }
    }

    /// Counts a client's filters again, and accounts for the client.
    pub(in crate::listener) fn account_filters(&mut self, key: ClientKey) {
        let bytes = self.topics.filter_bytes(key);
        if let Some(client) = self.clients.get_mut(key) {
            client.filter_bytes = bytes;
        }
        self.account_client(key);
    }

    /// Takes memory from the first holder in the order, if the limit is exceeded, or if a packet waits for memory that no holder is about to
    /// free. Drops waiting messages, or else ends the session or the connection. Returns whether memory was taken.
    pub(in crate::listener) fn give_way(&mut self, now: Now) -> bool {
        let excess = self.excess(now);
        if excess == 0 {
            return false;
        }
        match self.accounts.first(now.up_ms) {
            None => return false,
            Some(Holder::Connection(id)) => self.close_for_memory(now, id),
            Some(Holder::Client(key)) if self.drop_waiting(key, excess) => {}
            Some(Holder::Client(key)) => match self.clients.get(key).and_then(|client| client.connection) {
                Some(id) => {
                    self.close_for_memory(now, id);
                    self.end_session(now, key, SessionEnd::GivenUp);
                }
                None => {
                    self.stats.closed_for_memory += 1;
                    self.give_up_session(now, key);
                }
            },
        }
        true
    }

    /// Returns the bytes above the limit, or those that the next packet lacks; 0 if no holder has to give way. Gives room to waiting packets
    /// while there is some.
    fn excess(&mut self, now: Now) -> usize {
        let max = self.config.max_memory;
        loop {
            let others = self.unshared_bytes();
            let held = self.accounts.bytes_that_stay(now.up_ms, others);
            if held > max {
                return held - max;
            }
            match self.accounts.packets.look(now.up_ms, max - held, max / KEPT_FREE) {
                Look::Given(id) => self.go_on(now, id),
                Look::Short(bytes) => {
                    // Those on their way to the queue are soon there.
                    let short = bytes.saturating_sub(self.admission.unacked_bytes());
                    if short == 0 || self.accounts.first(now.up_ms).is_some() {
                        return short;
                    }
                    match self.accounts.packets.give_anyway(now.up_ms) {
                        Some(id) => self.go_on(now, id),
                        None => return 0,
                    }
                }
                Look::Nothing => return 0,
            }
        }
    }

    /// Continues to read a connection that had to wait for memory.
    fn go_on(&mut self, now: Now, id: ConnectionId) {
        if let Some(state) = self.connections.get_mut(id) {
            state.began_ms = now.up_ms;
        }
        self.account_connection(id);
    }

    /// Drops messages that wait for a client until `excess` bytes are free or one in [`DROPPED_OF`] is gone. Returns whether there was one.
    fn drop_waiting(&mut self, key: ClientKey, excess: usize) -> bool {
        let held = |this: &Self| {
            let waiting = this.clients.get(key).map(|client| memory_of_waiting(&client.waiting).own);
            waiting.unwrap_or_default() + this.accounts.payloads().bytes()
        };
        let before = held(self);
        let most = self.clients.get(key).map_or(0, |client| client.waiting.len().div_ceil(DROPPED_OF));
        for _ in 0..most {
            if before.saturating_sub(held(self)) >= excess || !self.take_least(key) {
                break;
            }
        }
        self.account_client(key);
        most > 0
    }

    fn close_for_memory(&mut self, now: Now, id: ConnectionId) {
        let Some(state) = self.connections.get_mut(id) else { return };
        (state.gives_way, state.is_end_counted) = (true, true);
        self.accounts.note_being_freed(now.up_ms, state.unwritten.memory().payloads);
        state.session.disconnect(now.up_ms, ReasonCode::QUOTA_EXCEEDED);
        self.stats.closed_for_memory += 1;
        self.drain(now, id);
    }
}
