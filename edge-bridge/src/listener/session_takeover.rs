//! Session takeover (\[MQTT-3.1.4-3\]): a client connects under the identifier of an older connection, which is ended. The session goes on with the
//! new connection if it is of the same user.

use super::client::Client;
use super::{ClientKey, Listener};
use crate::ingest::{Ingest, Now};
use crate::wire::{Connect, ReasonCode, Utf8};

impl<I: Ingest> Listener<I> {
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
    pub(super) fn is_of(&self, key: ClientKey, certified: Option<&Utf8>, connect: &Connect) -> bool {
        let user = certified.or_else(|| user_of(connect));
        let is_theirs =
            |client: &Client| client.user.as_ref() == user && client.is_certified == certified.is_some();
        self.clients.get(key).is_some_and(is_theirs)
    }
}

/// Returns the user name of a CONNECT; `None` if it is missing or empty.
pub(super) fn user_of(connect: &Connect) -> Option<&Utf8> {
    connect.username.as_ref().filter(|user| !user.is_empty())
}
