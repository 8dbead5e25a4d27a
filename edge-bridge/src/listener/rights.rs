//! Rights of clients on topics, and what a change of them does to clients that are there.

use super::auth::{Access, ClientRef};
use super::client::Client;
use super::{ClientKey, Listener};
use crate::ingest::{Ingest, Now};
use crate::wire::ReasonCode;

impl Client {
    /// The client as decisions about it see it.
    pub(super) fn reference(&self) -> ClientRef<'_> {
        ClientRef { client_id: &self.id, user: self.user.as_deref(), is_certified: self.is_certified }
    }
}

impl<I: Ingest> Listener<I> {
    /// Puts other rules in place of those that hold. Clients that may not stay are disconnected (0x98, administrative action) without their sessions'
    /// end; messages that wait for clients who may no longer have them are dropped, counted.
    pub fn set_access(&mut self, now: Now, access: Access) {
        self.access = access;
        self.disconnect_strangers(now);
        self.drop_what_is_denied();
        self.run(now);
    }

    pub(super) fn may_publish(&mut self, key: ClientKey, topic: &str) -> bool {
        let Some(authorize) = &mut self.access.authorize else { return true };
        self.clients.get(key).is_some_and(|client| authorize.may_publish(client.reference(), topic))
    }

    pub(super) fn may_receive(&mut self, key: ClientKey, topic: &str) -> bool {
        let Some(authorize) = &mut self.access.authorize else { return true };
        self.clients.get(key).is_some_and(|client| authorize.may_receive(client.reference(), topic))
    }

    fn disconnect_strangers(&mut self, now: Now) {
        let strangers = self.connections.iter().filter(|(_, state)| {
            let client = state.client.and_then(|key| self.clients.get(key));
            client.is_some_and(|client| !self.access.authenticate.may_stay(client.reference()))
        });
        for id in strangers.map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(state) = self.connections.get_mut(id) {
                state.session.disconnect(now.up_ms, ReasonCode::ADMINISTRATIVE_ACTION);
                self.connections.touch(id);
            }
        }
    }

    fn drop_what_is_denied(&mut self) {
        let Some(authorize) = &mut self.access.authorize else { return };
        let mut denied = Vec::new();
        for (key, client) in self.clients.iter_mut() {
            let mut waiting = std::mem::take(&mut client.waiting);
            let reference = client.reference();
            let gone = waiting.take_out(|message| !authorize.may_receive(reference, &message.publish.topic));
            client.waiting = waiting;
            if !gone.is_empty() {
                denied.push((key, gone));
            }
        }
        for (key, gone) in denied {
            self.stats.dropped_denied += gone.len() as u64;
            self.abandon(gone);
            self.account_client(key);
        }
    }
}
