//! Sessions of clients (§4.1): the state that the listener keeps for each client, also between two connections.

use std::collections::HashMap;

use super::offline_queue::OfflineQueue;
use super::retained_walk::PendingRetained;
use super::session_user::SessionUser;
use super::wills::PendingWill;
use crate::puback_chain::ConnectionId;
use crate::session::{Memory, Resume};
use crate::wire::Utf8;

/// Number of a session, never used twice: a client that connects with Clean Start gets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientKey(pub(super) u64);

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: Utf8,
    /// User to whom the session belongs since its begin.
    pub(super) user: SessionUser,
    pub(super) connection: Option<ConnectionId>,
    /// State of unacknowledged deliveries while the client is not connected; empty while it is.
    pub(super) resume: Resume,
    /// Bytes of memory that `resume` takes.
    pub(super) resume_memory: Memory,
    /// Bytes of memory that the client's filters take.
    pub(super) filter_bytes: usize,
    pub(super) waiting: OfflineQueue,
    /// Retained messages that the client is still to get for its subscriptions.
    pub(super) retained: PendingRetained,
    /// Up time at which a waiting message was last sent, or at which the first of the waiting messages came.
    pub(super) sent_ms: u64,
    /// Bytes of `waiting` that were never sent, as last reported to the [memory accounts](super::memory).
    pub(super) held_bytes: usize,
    /// Session Expiry Interval, in seconds after the end of the connection.
    pub(super) expiry_s: u32,
    /// Up time at which the client's last connection ended; 0 before there was one.
    pub(super) left_ms: u64,
    /// Up time at which the session expires; `None` while the client is connected.
    pub(super) ends_ms: Option<u64>,
    pub(super) will: Option<PendingWill>,
}

impl Client {
    /// Returns whether no message waits for the client and it has no will.
    fn is_idle(&self) -> bool {
        self.waiting.len() == 0 && !self.resume.has_unfinished() && self.will.is_none()
    }

    /// Up time since which the client is absent; `None` while it is connected.
    pub(super) fn absent_since_ms(&self) -> Option<u64> {
        self.connection.is_none().then_some(self.left_ms)
    }
}

/// All sessions, by number and by client identifier.
#[derive(Debug, Default)]
pub(super) struct Clients {
    by_key: HashMap<ClientKey, Client>,
    keys: HashMap<Utf8, ClientKey>,
    next: u64,
}

impl Clients {
    pub(super) fn add(&mut self, id: Utf8, user: SessionUser) -> ClientKey {
        self.next += 1;
        let key = ClientKey(self.next);
        self.keys.insert(id.clone(), key);
        let client = Client {
            id,
            user,
            connection: None,
            resume: Resume::new(),
            resume_memory: Memory::default(),
            filter_bytes: 0,
            waiting: OfflineQueue::default(),
            retained: PendingRetained::default(),
            sent_ms: 0,
            held_bytes: 0,
            expiry_s: 0,
            left_ms: 0,
            ends_ms: None,
            will: None,
        };
        self.by_key.insert(key, client);
        key
    }

    pub(super) fn remove(&mut self, key: ClientKey) -> Option<Client> {
        let client = self.by_key.remove(&key)?;
        self.keys.remove(&client.id);
        Some(client)
    }

    pub(super) fn key(&self, id: &Utf8) -> Option<ClientKey> {
        self.keys.get(id).copied()
    }

    pub(super) fn get(&self, key: ClientKey) -> Option<&Client> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ClientKey) -> Option<&mut Client> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientKey, &Client)> {
        self.by_key.iter().map(|(key, client)| (*key, client))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ClientKey, &mut Client)> {
        self.by_key.iter_mut().map(|(key, client)| (*key, client))
    }

    /// Iterates over all clients, each with its connection, or with `None` if it is absent.
    pub(super) fn keyed(&self) -> impl Iterator<Item = (ClientKey, Option<ConnectionId>)> {
        self.by_key.iter().map(|(key, client)| (*key, client.connection))
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Counts the bytes that wait for all clients together and were never sent, by a scan of all clients.
    pub(super) fn counted_bytes(&self) -> usize {
        self.by_key.values().map(|client| client.waiting.counted_unsent_bytes()).sum()
    }

    /// Returns the absent client whose session is ended to make room: among those without waiting messages the one that expires first, or else
    /// the one absent longest. Scans all clients.
    pub(super) fn expendable(&self) -> Option<ClientKey> {
        let absent = self.by_key.iter().filter(|(_, client)| client.connection.is_none());
        let order = |(key, client): &(&ClientKey, &Client)| {
            let is_idle = client.is_idle();
            let time_ms = if is_idle { client.ends_ms } else { Some(client.left_ms) };
            (!is_idle, time_ms, **key)
        };
        absent.min_by_key(order).map(|(key, _)| *key)
    }
}
