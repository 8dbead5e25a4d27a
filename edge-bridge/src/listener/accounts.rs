//! Accounts of the memory that clients take: shares by connection and by client, payloads that they share, and memory that is on its way out.

use super::budget::{Budget, Holder};
use super::client::{Client, ClientKey};
use super::connection::Connection;
use super::holdings::Holdings;
use super::leaving::Leaving;
use super::shared::Shared;
use super::wills::PendingWill;
use crate::chain::ConnectionId;
use crate::session::Memory;

/// Memory of a message that waits beside what it carries, in bytes.
const DELIVERY_OVERHEAD: usize = 256;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Accounts {
    waiting: Holdings,
    payloads: Shared,
    shares: Budget,
    leaving: Leaving,
    /// Clients to whom what waits is sent once somebody has given way.
    deferred: Vec<ClientKey>,
}

impl Accounts {
    /// Payloads that many clients hold.
    pub(super) fn payloads(&self) -> &Shared {
        &self.payloads
    }

    /// Bytes that wait for all clients together.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.total()
    }

    /// Returns the client for which most waits.
    pub(super) fn most_waiting(&self) -> Option<ClientKey> {
        self.waiting.largest()
    }

    /// Bytes of all shares together, without the payloads.
    pub(super) fn own_bytes(&self) -> usize {
        self.shares.total()
    }

    /// Bytes of all shares together.
    pub(super) fn bytes(&self) -> usize {
        self.shares.total() + self.payloads.bytes()
    }

    /// Books a connection; `None`: it is gone.
    pub(super) fn set_connection(&mut self, id: ConnectionId, state: Option<&Connection>) {
        let state = state.filter(|state| !state.gives_way);
        self.shares.set(Holder::Connection(id), state.map_or(Memory::default(), memory_of_connection));
    }

    /// Books a client that is there or absent.
    pub(super) fn set_client(&mut self, key: ClientKey, client: &mut Client) {
        self.waiting.update(key, client);
        let memory = memory_of_client(client);
        match client.absent_since_ms() {
            Some(since_ms) => self.shares.set_absent(key, since_ms, memory),
            None => self.shares.set(Holder::Client(key), memory),
        }
    }

    /// Takes a client out whose session is over; `client` holds no messages any more.
    pub(super) fn remove_client(&mut self, key: ClientKey, client: Option<&mut Client>) {
        if let Some(client) = client {
            self.waiting.update(key, client);
        }
        self.shares.set(Holder::Client(key), Memory::default());
    }

    /// Sends to the client once somebody has given way.
    pub(super) fn defer(&mut self, key: ClientKey) {
        self.deferred.push(key);
    }

    /// Takes a client that was deferred.
    pub(super) fn pop_deferred(&mut self) -> Option<ClientKey> {
        self.deferred.pop()
    }

    /// Notes payloads of a connection that gives way: they are free a moment later.
    pub(super) fn note_leaving(&mut self, now_ms: u64, bytes: usize) {
        self.leaving.add(now_ms, bytes);
    }

    /// Time at which memory is to be looked at again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.leaving.due_ms()
    }

    /// Returns who is to give way so that at most `max` bytes are held; `others`: bytes that are no client's share.
    pub(super) fn largest_above(&mut self, now_ms: u64, others: usize, max: usize) -> Option<Holder> {
        self.leaving.expire(now_ms);
        let stays = self.payloads.bytes().saturating_sub(self.leaving.bytes());
        if self.own_bytes() + others + stays <= max {
            return None;
        }
        self.shares.largest(stays)
    }
}

fn memory_of_connection(state: &Connection) -> Memory {
    let mut memory = state.session.memory();
    memory += state.session.unsent();
    let unwritten = state.unwritten.memory();
    // At QoS 1 they are the messages in flight: once for each connection.
    memory.payloads = memory.payloads.max(unwritten.payloads);
    memory.own += unwritten.own;
    memory.own += state.unfinished + state.held_bytes;
    memory
}

/// Memory of a session.
fn memory_of_client(client: &Client) -> Memory {
    let will = client.will.as_ref().map_or(0, PendingWill::bytes);
    let payloads = client.waiting.payload_bytes();
    let waiting = client.waiting.bytes() - payloads + client.waiting.len() * DELIVERY_OVERHEAD;
    let mut memory = client.resume_memory;
    memory += Memory { own: waiting + will + client.id.len() + client.filter_bytes, payloads };
    memory
}
