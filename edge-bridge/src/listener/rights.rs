//! Rights of clients on topics, and the effect of changed rights on connected and absent clients.

use super::auth::{Access, ClientRef, Standing};
use super::client::Client;
use super::connection::Connection;
use super::session_user::SessionUser;
use super::{ClientKey, Listener, SessionEnd};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::wire::ReasonCode;

impl Client {
    /// Returns the client as access decisions see it.
    pub(super) fn reference(&self) -> ClientRef<'_> {
        let SessionUser { name, is_certified } = &self.user;
        ClientRef { client_id: &self.id, user: name.as_deref(), is_certified: *is_certified }
    }
}

impl<I: Ingest> Listener<I> {
    /// Replaces the access rules. Clients that may not stay are disconnected (0x98, administrative action), and the sessions of removed users
    /// end, without their wills. Messages that wait for clients that may no longer receive them are dropped and counted, unless another member of a shared subscription
    /// may. Messages sent before and not acknowledged are resent, and messages already received from clients are still stored.
    pub fn set_access(&mut self, now: Now, access: Access) {
        self.access = access;
        self.connections.report_topics_again();
        self.part_with_strangers(now);
        self.drop_what_is_denied(now.up_ms);
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

    /// Disconnects clients that connected by a certificate, and connections without a CONNECT, whose certificates were judged before, or are being
    /// judged. They come back if their certificate is still valid.
    pub fn disconnect_certified(&mut self, now: Now) {
        let is_nameless = |(id, state): (ConnectionId, &Connection)| state.client.is_none().then_some(id);
        for id in self.connections.iter().filter_map(is_nameless).collect::<Vec<_>>() {
            self.disconnect(now, Some(id));
        }
        for (key, connection) in self.clients.keyed().collect::<Vec<_>>() {
            if self.clients.get(key).is_some_and(|client| client.user.is_certified) {
                self.disconnect(now, connection);
            }
        }
        self.run(now);
    }

    pub(super) fn part_with_strangers(&mut self, now: Now) {
        for (key, connection) in self.clients.keyed().collect::<Vec<_>>() {
            let Some(client) = self.clients.get(key) else { continue };
            let standing = self.access.authenticate.standing(client.reference());
            if standing == Standing::Stays {
                continue;
            }
            if standing == Standing::Gone
                && let Some(will) = self.clients.get_mut(key).and_then(|client| client.will.take())
            {
                // Who is nobody may publish nothing.
                self.note_refused_will(key, will.publish.topic, true);
            }
            self.disconnect(now, connection);
            if standing == Standing::Gone {
                self.end_session(now, key, SessionEnd::UserGone);
            }
        }
    }

    fn disconnect(&mut self, now: Now, connection: Option<ConnectionId>) {
        let Some((id, state)) = connection.and_then(|id| Some((id, self.connections.get_mut(id)?))) else {
            return;
        };
        state.session.disconnect(now.up_ms, ReasonCode::ADMINISTRATIVE_ACTION);
        self.drain(now, id);
    }

    pub(super) fn drop_what_is_denied(&mut self, now_ms: u64) {
        let Some(authorize) = &mut self.access.authorize else { return };
        let mut denied = Vec::new();
        for (key, client) in self.clients.iter_mut() {
            let mut waiting = std::mem::take(&mut client.waiting);
            let reference = client.reference();
            let gone = waiting
                .take_out(|delivery| !authorize.may_receive(reference, &delivery.message.publish.topic));
            client.waiting = waiting;
            if !gone.is_empty() {
                denied.push((key, gone));
            }
        }
        for (key, gone) in denied {
            self.account_client(key);
            let left = self.hand_over(now_ms, gone);
            self.stats.dropped_denied += left.len() as u64;
            self.abandon(left);
        }
    }
}
