//! Memory accounting of clients, and its limit: shares by connection and by client, payloads that several share, and memory that is about to be
//! freed.

mod eviction_order;
mod limit;
mod packet_room;
mod payloads_being_freed;
mod per_client;
pub(super) mod shared_payloads;
mod waiting_bytes;

use super::client::{Client, ClientKey};
use super::connection::Connection;
use crate::puback_chain::ConnectionId;
use crate::session::Memory;
use eviction_order::{Holder, Holders};
pub(super) use packet_room::Unfinished;
use packet_room::{Look, PacketRoom};
use payloads_being_freed::PayloadsBeingFreed;
use per_client::{memory_of_client, memory_of_connection};
use shared_payloads::SharedPayloads;
use waiting_bytes::WaitingBytes;

/// Accounts of the memory that clients take, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Accounts {
    waiting: WaitingBytes,
    payloads: SharedPayloads,
    holders: Holders,
    being_freed: PayloadsBeingFreed,
    packets: PacketRoom,
    /// Clients whose waiting messages are sent after some holder has given way.
    deferred: Vec<ClientKey>,
}

impl Accounts {
    /// Returns the payloads that several clients may hold.
    pub(super) fn payloads(&self) -> &SharedPayloads {
        &self.payloads
    }

    /// Bytes that wait for all clients together.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.total()
    }

    /// Returns the client for which most bytes wait; `None` if nothing waits.
    pub(super) fn most_waiting(&self) -> Option<ClientKey> {
        self.waiting.largest()
    }

    /// Bytes of all shares together, without payloads.
    pub(super) fn own_bytes(&self) -> usize {
        self.holders.total()
    }

    /// Bytes of all shares together, with each payload once.
    pub(super) fn bytes(&self) -> usize {
        self.holders.total() + self.payloads.bytes()
    }

    /// Updates the share of a connection; `None` removes it, because the connection is gone.
    pub(super) fn set_connection(&mut self, id: ConnectionId, state: Option<&Connection>) {
        let state = state.filter(|state| !state.gives_way);
        let (memory, since_ms) = state.map_or_else(Default::default, memory_of_connection);
        // It is we who do not read on: no time passes for it.
        let since_ms = if self.packets.is_awaited_by(id) { Some(u64::MAX) } else { since_ms };
        self.holders.set(Holder::Connection(id), memory, since_ms);
    }

    /// Updates a connection's unfinished packet; `None` if there is none, or the connection is gone.
    pub(super) fn set_unfinished(&mut self, now_ms: u64, id: ConnectionId, packet: Option<Unfinished>) {
        self.packets.note(now_ms, id, packet);
    }

    /// Records that received bytes of a connection wait for the caller's turn.
    pub(super) fn on_bytes_waiting(&mut self, id: ConnectionId) {
        self.packets.on_bytes_waiting(id);
    }

    /// Records that a connection had its turn and may not be read.
    #[cfg(feature = "net")]
    pub(super) fn on_not_read(&mut self, now_ms: u64, id: ConnectionId) {
        self.packets.on_not_read(now_ms, id);
    }

    /// Returns whether a connection waits until there is memory for the rest of its packet.
    pub(super) fn waits_for_memory(&self, id: ConnectionId) -> bool {
        self.packets.is_awaited_by(id)
    }

    /// Updates the share of a client, connected or absent.
    pub(super) fn set_client(&mut self, key: ClientKey, client: &mut Client) {
        self.waiting.update(key, client);
        let (memory, since_ms) = memory_of_client(client);
        match client.absent_since_ms() {
            Some(since_ms) => self.holders.set_absent(key, since_ms, memory),
            None => self.holders.set(Holder::Client(key), memory, since_ms),
        }
    }

    /// Removes a client whose session is over. `client` no longer holds messages.
    pub(super) fn remove_client(&mut self, key: ClientKey, client: Option<&mut Client>) {
        if let Some(client) = client {
            self.waiting.update(key, client);
        }
        self.holders.set(Holder::Client(key), Memory::default(), None);
    }

    /// Defers serving a client until some holder has given way.
    pub(super) fn defer(&mut self, key: ClientKey) {
        self.deferred.push(key);
    }

    /// Takes a client that was deferred; `None` if there is none.
    pub(super) fn pop_deferred(&mut self) -> Option<ClientKey> {
        self.deferred.pop()
    }

    /// Records payloads of a connection that gives way, which are free a moment later.
    fn note_being_freed(&mut self, now_ms: u64, bytes: usize) {
        self.being_freed.add(now_ms, bytes);
    }

    /// Up time at which memory is to be checked again; `None` if only an event can change it.
    pub(super) fn due_ms(&self) -> Option<u64> {
        [self.being_freed.due_ms(), self.packets.due_ms()].into_iter().flatten().min()
    }

    /// Bytes that are held and not about to be freed. `others` is the bytes that belong to no client.
    fn bytes_that_stay(&mut self, now_ms: u64, others: usize) -> usize {
        self.being_freed.expire(now_ms);
        self.own_bytes() + others + self.payloads_that_stay()
    }

    /// Returns the holder that is to give way; `None` if there is none.
    fn first(&self, now_ms: u64) -> Option<Holder> {
        self.holders.first(now_ms, self.payloads_that_stay())
    }

    fn payloads_that_stay(&self) -> usize {
        self.payloads.bytes().saturating_sub(self.being_freed.bytes())
    }
}
