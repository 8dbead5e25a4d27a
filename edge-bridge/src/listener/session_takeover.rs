//! Session takeover (\[MQTT-3.1.4-3\]): a client connects under the identifier of an older connection, which is ended. The session goes on with the
//! new connection if it is of the same user.

use super::client::Client;
use super::{ClientKey, Event, Listener, Output};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::wire::{Connect, ReasonCode, Utf8};

/// User to whom a session belongs. A user name of a CONNECT and the same one in a certificate are two users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionUser {
    /// Name in the certificate, or the user name of the CONNECT; `None` without either.
    pub name: Option<Utf8>,
    /// Set if the name comes from a verified certificate.
    pub is_certified: bool,
}

impl SessionUser {
    /// Returns the user of a CONNECT, whose name is that of the client's certificate if it showed one.
    pub(super) fn of(certified: Option<&Utf8>, connect: &Connect) -> Self {
        let name = certified.or_else(|| user_of(connect)).map(Utf8::detached);
        Self { name, is_certified: certified.is_some() }
    }
}

impl Client {
    fn session_user(&self) -> SessionUser {
        SessionUser { name: self.user.clone(), is_certified: self.is_certified }
    }
}

impl<I: Ingest> Listener<I> {
    /// Reports that a connection takes the identifier of another one, or of an absent client of another user. A client that comes back to its own
    /// session takes nothing over.
    pub(super) fn tell_takeover(&mut self, key: ClientKey, by: ConnectionId, by_user: SessionUser) {
        let Some(client) = self.clients.get(key) else { return };
        let (connection, user) = (client.connection, client.session_user());
        if connection.is_none() && user == by_user {
            return;
        }
        let client = client.id.clone();
        let by_peer = self.connections.get(by).and_then(|state| state.peer);
        let event = Event::TakenOver { connection, client, user, by, by_user, by_peer };
        self.outputs.push_back(Output::Event(event));
    }

    /// Ends an older connection of the same client. With `ends_session`, for Clean Start or another user,
    /// also ends the session, because its waiting messages are not for this client.
    pub(super) fn take_over(&mut self, now: Now, key: ClientKey, ends_session: bool) {
        let Some(client) = self.clients.get(key) else { return };
        if let Some(old) = client.connection
            && let Some(state) = self.connections.get_mut(old)
        {
            state.session.disconnect(now.up_ms, ReasonCode::SESSION_TAKEN_OVER);
            self.drain(now, old);
        }
        if ends_session {
            self.end_session(now, key);
        }
    }

    /// Returns whether a session belongs to the user who connects.
    pub(super) fn is_of(&self, key: ClientKey, user: &SessionUser) -> bool {
        self.clients.get(key).is_some_and(|client| client.session_user() == *user)
    }
}

/// Returns the user name of a CONNECT; `None` if it is missing or empty.
pub(super) fn user_of(connect: &Connect) -> Option<&Utf8> {
    connect.username.as_ref().filter(|user| !user.is_empty())
}
