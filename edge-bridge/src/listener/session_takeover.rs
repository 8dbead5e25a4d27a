//! Session takeover (\[MQTT-3.1.4-3\]): a client connects under the identifier of an older connection, which is ended. The session goes on with the
//! new connection if it is of the same user.

use super::session_user::SessionUser;
use super::{ClientKey, Event, Listener, Output, SessionEnd};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::wire::ReasonCode;

impl<I: Ingest> Listener<I> {
    /// Has a client that connects, as `by`, take over the session under its identifier: ends an older connection, and also the session for Clean
    /// Start or another user, because its waiting messages are not for this client. The will of a client that comes back to the next listener is taken
    /// back. Reports a takeover, also of an absent client of another user.
    pub(super) fn take_over(
        &mut self,
        now: Now,
        key: ClientKey,
        by: ConnectionId,
        user: SessionUser,
        clean_start: bool,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let (old, owner, id) = (client.connection, client.user.clone(), client.id.clone());
        let is_theirs = owner == user;
        if is_theirs {
            client.will.take_if(|will| will.is_taken_back());
        }
        // A client that comes back to its own session takes nothing over.
        if old.is_some() || !is_theirs {
            let by_peer = self.connections.get(by).and_then(|state| state.peer);
            self.outputs.push_back(Output::Event(Event::TakenOver {
                connection: old,
                client: id,
                user: owner,
                by,
                by_user: user,
                by_peer,
            }));
        }
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
}
