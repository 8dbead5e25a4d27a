//! Accounting of the memory that clients take, and its limit ([`Config::max_memory`](super::Config::max_memory)).

use super::budget::Holder;
use super::client::Client;
use super::{ClientKey, Listener};
use crate::chain::ConnectionId;
use crate::ingest::{Ingest, Now};
use crate::session::Memory;
use crate::wire::ReasonCode;

/// Memory of a message that waits beside what it carries, in bytes.
const DELIVERY_OVERHEAD: usize = 256;
/// Memory of a filter beside its text, which is kept twice.
const FILTER_OVERHEAD: usize = 256;

impl<I: Ingest> Listener<I> {
    /// Bytes that clients hold altogether.
    pub(super) fn held_bytes(&self) -> usize {
        let own = self.budget.total() + self.shared.bytes();
        own + self.retained.bytes() + self.chain.unacked_bytes() + self.admission.will_bytes()
    }

    /// To be called whenever what a connection holds may have changed.
    pub(super) fn account_connection(&mut self, id: ConnectionId) {
        let state = self.connections.get(&id).filter(|state| !state.gives_way);
        let memory = state.map_or(Memory::default(), |state| {
            let mut memory = state.session.memory();
            memory += state.session.unsent();
            let unwritten = state.unwritten.memory();
            // At QoS 1 they are the messages in flight: once for each connection.
            memory.payloads = memory.payloads.max(unwritten.payloads);
            memory.own += unwritten.own;
            memory.own += state.unfinished + state.held_bytes;
            memory
        });
        self.budget.set(Holder::Connection(id), memory);
    }

    /// To be called whenever what waits for a client, its will, its filters or its session have changed.
    pub(super) fn account_client(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else {
            self.budget.set(Holder::Client(key), Memory::default());
            return;
        };
        self.holdings.update(key, client);
        let memory = held_by(client);
        match client.absent_since_ms() {
            Some(since_ms) => self.budget.set_absent(key, since_ms, memory),
            None => self.budget.set(Holder::Client(key), memory),
        }
    }

    /// As [`account_client`](Self::account_client) when its filters have changed.
    pub(super) fn account_filters(&mut self, key: ClientKey) {
        let bytes = self.subscriptions.count(key) * FILTER_OVERHEAD + 2 * self.subscriptions.bytes(key);
        if let Some(client) = self.clients.get_mut(key) {
            client.filter_bytes = bytes;
        }
        self.account_client(key);
    }

    /// Takes memory from whoever holds most, if all together hold too much: a message that waits, or else the session or the connection. Returns
    /// whether it did.
    pub(super) fn give_way(&mut self, now: Now) -> bool {
        let payloads = self.shared.bytes();
        self.leaving.expire(now.up_ms);
        let stays = payloads.saturating_sub(self.leaving.bytes());
        if self.held_bytes() - payloads + stays <= self.config.max_memory {
            return false;
        }
        match self.budget.largest(stays) {
            None => return false,
            Some(Holder::Connection(id)) => self.close_for_memory(now, id),
            Some(Holder::Client(key)) if self.drop_least(key) => {}
            Some(Holder::Client(key)) => {
                let connection = self.clients.get_mut(key).and_then(|client| {
                    client.expiry_s = 0;
                    client.connection
                });
                match connection {
                    Some(id) => self.close_for_memory(now, id),
                    None => {
                        self.stats.closed_for_memory += 1;
                        self.give_up_session(now, key);
                    }
                }
            }
        }
        true
    }

    fn close_for_memory(&mut self, now: Now, id: ConnectionId) {
        let Some(state) = self.connections.get_mut(&id) else { return };
        state.gives_way = true;
        self.leaving.add(now.up_ms, state.unwritten.memory().payloads);
        state.session.disconnect(now.up_ms, ReasonCode::QUOTA_EXCEEDED);
        self.stats.closed_for_memory += 1;
        self.drain(now, id);
    }
}

/// Memory of a session.
fn held_by(client: &Client) -> Memory {
    let will = client.will.as_ref().map_or(0, |will| {
        let publish = &will.publish;
        publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len()
    });
    let payloads = client.waiting.payload_bytes();
    let waiting = client.waiting.bytes() - payloads + client.waiting.len() * DELIVERY_OVERHEAD;
    let mut memory = client.resume_memory;
    memory += Memory { own: waiting + will + client.id.len() + client.filter_bytes, payloads };
    memory
}
