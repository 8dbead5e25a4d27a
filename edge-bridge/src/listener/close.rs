//! The end of connections and sessions: wills (§3.1.2.5, §3.1.3.2.2) and Session Expiry (§3.1.2.11.2).

use super::{ClientKey, Due, Event, Listener, Output};
use crate::chain::ConnectionId;
use crate::ingest::{Inbound, Ingest, Now};
use crate::session::Closed;
use crate::wire::ReasonCode;

/// Pseudo connection of wills, whose own connection no longer exists.
const NOWHERE: ConnectionId = ConnectionId(0);

impl<I: Ingest> Listener<I> {
    pub(super) fn on_closed(&mut self, now: Now, id: ConnectionId, why: Closed) {
        let Some(mut state) = self.connections.remove(id) else { return };
        let why = state.farewell.take().unwrap_or(why);
        self.admission.close(id);
        self.deadlines.forget(Due::Connection(id));
        self.stats.violations += u64::from(matches!(why, Closed::Violation(_)));
        let key = state.client;
        let client = key.and_then(|key| self.clients.get(key)).map(|client| client.id.clone());
        if let Some(key) = key
            && let Some(client) = self.clients.get_mut(key)
        {
            client.resume = state.session.into_resume();
            client.resume_memory = client.resume.memory();
            client.connection = None;
            client.left_ms = now.up_ms;
            if let Closed::Peer { session_expiry_s: Some(expiry_s), .. } = &why
                && client.expiry_s > 0
            {
                client.expiry_s = (*expiry_s).min(self.config.session_expiry_max_s);
            }
            if matches!(why, Closed::Peer { reason: ReasonCode::NORMAL_DISCONNECTION, .. }) {
                client.will = None;
            }
            client.ends_ms = Some(now.up_ms + u64::from(client.expiry_s) * 1000);
            if let Some(will) = &mut client.will {
                will.due_ms = Some(now.up_ms + u64::from(will.delay_s.min(client.expiry_s)) * 1000);
            }
            let gone = client.waiting.take_qos_0();
            self.account_client(key);
            self.stats.dropped_gone += gone.len() as u64;
            self.abandon(gone);
        }
        // Who breaks the protocol and does not read keeps no payloads, and no socket, for the time of a flush.
        let breaks_off =
            state.unwritten.memory().payloads > 0 && matches!(why, Closed::Violation(_) | Closed::KeepAlive);
        self.outputs.push_back(Output::Close { connection: id, discards: state.gives_way || breaks_off });
        self.accounts.set_connection(id, None);
        self.outputs.push_back(Output::Event(Event::Disconnected { connection: id, client, why }));
        if let Some(key) = key {
            self.absent(now, key);
        }
    }

    /// Looks after a client that is not there: its will, its end.
    pub(super) fn absent(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(ends_ms) = client.ends_ms else { return };
        if client.will.as_ref().and_then(|will| will.due_ms).is_some_and(|due_ms| due_ms <= now.up_ms) {
            self.publish_will(now, key);
        }
        if ends_ms <= now.up_ms {
            self.end_session(now, key);
        } else if let Some(client) = self.clients.get(key) {
            let will_ms = client.will.as_ref().and_then(|will| will.due_ms);
            self.deadlines.no_later(Due::Client(key), will_ms.unwrap_or(ends_ms).min(ends_ms));
        }
    }

    /// Ends an absent client's session early, since others need its place or memory.
    pub(super) fn give_up_session(&mut self, now: Now, key: ClientKey) {
        self.stats.sessions_given_up += 1;
        self.stats.dropped_full += self.end_session(now, key) as u64;
    }

    /// Ends a session: a will that waited is due now, what waited for the client is dropped. Returns the number of these messages.
    pub(super) fn end_session(&mut self, now: Now, key: ClientKey) -> usize {
        self.publish_will(now, key);
        let Some(mut client) = self.clients.remove(key) else { return 0 };
        self.topics.remove_client(key);
        self.deadlines.forget(Due::Client(key));
        let waiting: Vec<_> = client.waiting.drain().collect();
        self.accounts.remove_client(key, Some(&mut client));
        let in_flight = client.resume.into_in_flight();
        for message in &in_flight {
            self.tracking.dropped(Self::origin(message.token));
        }
        let dropped = in_flight.len() + waiting.len();
        self.abandon(waiting);
        if client.expiry_s > 0 {
            self.outputs.push_back(Output::Event(Event::SessionEnded { client: client.id, dropped }));
        }
        dropped
    }

    fn publish_will(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(will) = client.will.take() else { return };
        self.account_client(key);
        let Some(client) = self.clients.get(key) else { return };
        let mut message = Inbound::new(client.id.clone(), will.version, &will.publish);
        (message.will, message.peer) = (true, will.peer);
        self.receive(now, NOWHERE, key, &will.publish, message, None);
    }
}
