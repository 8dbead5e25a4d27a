//! Bytes of the messages that wait for each client. When all together reach
//! [`Config::max_queued_bytes_total`](crate::listener::Config::max_queued_bytes_total), the client with the most loses messages.

use std::collections::BTreeSet;

use super::super::client::{Client, ClientKey};

/// Bytes that wait, by client, without those that were in flight before a restart. Only clients with waiting messages have an entry, so that a message that is sent on at once costs nothing here.
#[derive(Debug, Default)]
pub(super) struct WaitingBytes {
    total: usize,
    by_bytes: BTreeSet<(usize, ClientKey)>,
}

impl WaitingBytes {
    /// Updates the entry of `client`; called whenever its waiting messages have changed.
    pub(super) fn update(&mut self, key: ClientKey, client: &mut Client) {
        let (before, now) = (client.held_bytes, client.waiting.unsent_bytes());
        if before == now {
            return;
        }
        self.by_bytes.remove(&(before, key));
        if now > 0 {
            self.by_bytes.insert((now, key));
        }
        self.total = self.total - before + now;
        client.held_bytes = now;
    }

    /// Bytes that wait for all clients together.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns the client for which most bytes wait; `None` if nothing waits.
    pub(super) fn largest(&self) -> Option<ClientKey> {
        self.by_bytes.last().map(|(_, key)| *key)
    }
}
