//! Session takeover (\[MQTT-3.1.4-3\]): a client connects under the identifier of an older connection, which is ended. The session goes on with the
//! new connection if it is of the same user.

use super::client::Client;
use super::session_user::SessionUser;
use super::{ClientKey, Event, Listener, Output, SessionEnd};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::wire::ReasonCode;

impl Client {
    fn session_user(&self) -> SessionUser {
        SessionUser { name: self.user.clone(), is_certified: self.is_certified }
    }
}

impl<I: Ingest> Listener<I> {
    /// Has a client that connects, as `by`, take over the session under its identifier: ends an older connection, and also the session for Clean
    /// Start or another user, because its waiting messages are not for this client. The will of a client that comes back to the next listener is taken
    /// back.
    pub(super) fn take_over(
        &mut self,
        now: Now,
        key: ClientKey,
        by: ConnectionId,
        user: SessionUser,
        clean_start: bool,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let (old, is_theirs) = (client.connection, client.session_user() == user);
        if is_theirs {
            client.will.take_if(|will| will.is_taken_back());
        }
        self.tell_takeover(key, by, user);
        if let Some(old) = old
            && let Some(state) = self.connections.get_mut(old)
        {
            state.session.disconnect(now.up_ms, ReasonCode::SESSION_TAKEN_OVER);
            self.drain(now, old);
        }
        if !is_theirs {
            self.end_session(now, key, SessionEnd::OtherUser);
        } else if clean_start {
            self.end_session(now, key, SessionEnd::CleanStart);
        }
    }

    /// Reports that a connection takes the identifier of another one, or of an absent client of another user. A client that comes back to its own
    /// session takes nothing over.
    fn tell_takeover(&mut self, key: ClientKey, by: ConnectionId, by_user: SessionUser) {
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
}
