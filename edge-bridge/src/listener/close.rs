//! End of a client's connection: saves its state in the session, and decides about unwritten bytes.

use super::{Due, Event, Listener, Output};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::session::Closed;
use crate::wire::ReasonCode;

/// Most unwritten bytes, enough for a DISCONNECT and a few acknowledgements, that are still written when a connection is closed to free memory.
const LAST_WORDS: usize = 64;
/// Most unwritten bytes that are still written to a client whose connection ends for another reason than the stop of this server, such as its own
/// DISCONNECT: no account has them for the time of the flush, which is seconds if it does not read.
const ACKNOWLEDGEMENTS: usize = 4_096;

impl<I: Ingest> Listener<I> {
    /// Ends all connections, with DISCONNECT 0x8B for MQTT 5 clients. No will is published, because the stop of this server says nothing about
    /// the clients: those of sessions that are [saved](Self::save) then are left to the next start, which may find the clients well. Wills that were
    /// published before, and wait for room, are rows to be stored now, whatever lanes are full, because nobody sends them again.
    pub fn shut_down(&mut self, now: Now) {
        let all: Vec<_> = self.connections.iter().map(|(id, state)| (id, state.client)).collect();
        for (id, client) in all {
            if let Some(client) = client.and_then(|key| self.clients.get_mut(key)) {
                match &mut client.will {
                    Some(will) if client.expiry_s > 0 => will.leave_to_the_next_listener(),
                    will => *will = None,
                }
            }
            if let Some(state) = self.connections.get_mut(id) {
                state.session.disconnect(now.up_ms, ReasonCode::SERVER_SHUTTING_DOWN);
                self.connections.touch(id);
            }
        }
        self.run(now);
        self.hand_on_wills(now);
        self.is_shut_down = true;
    }

    pub(super) fn on_closed(&mut self, now: Now, id: ConnectionId, why: Closed) {
        let Some(mut state) = self.connections.remove(id) else { return };
        self.sys.ended += state.session.flow();
        let why = state.farewell.take().unwrap_or(why);
        let is_broken = matches!(why, Closed::Violation(_) | Closed::KeepAlive | Closed::UnfinishedPacket);
        let why = match why {
            Closed::KeepAlive | Closed::UnfinishedPacket if state.gone => Closed::Transport,
            Closed::KeepAlive | Closed::UnfinishedPacket
                if !state.takes_answers(self.config.max_unwritten_bytes) =>
            {
                Closed::AnswersUnread
            }
            why => why,
        };
        let why = match (why, state.broken.take()) {
            (Closed::Transport, Some(violation)) => Closed::Violation(violation),
            (why, _) => why,
        };
        self.admission.close(id);
        self.deadlines.forget(Due::Connection(id));
        let key = state.client;
        if !state.is_end_counted {
            self.stats.count_end(&why, key.is_some());
        }
        let client = key.and_then(|key| self.clients.get(key)).map(|client| client.id.clone());
        if let Some(key) = key
            && let Some(client) = self.clients.get_mut(key)
        {
            client.resume = state.session.into_resume();
            client.resume_memory = client.resume.memory();
            client.connection = None;
            client.left_ms = now.up_ms;
            let lasted = client.expiry_s > 0;
            let is_goodbye = matches!(why, Closed::Peer { reason: ReasonCode::NORMAL_DISCONNECTION, .. });
            if let Closed::Peer { session_expiry_s: Some(expiry_s), .. } = &why
                && client.expiry_s > 0
            {
                client.expiry_s = (*expiry_s).min(self.config.session_expiry_max_s);
            }
            if is_goodbye {
                client.will = None;
            }
            client.ends_ms = Some(now.up_ms + u64::from(client.expiry_s) * 1000);
            if let Some(will) = &mut client.will {
                will.on_closed(now.up_ms, client.expiry_s);
            }
            self.note_change(key, lasted);
            if self.lasts(key) {
                self.hand_over_waiting(now.up_ms, key);
            }
            let gone =
                self.clients.get_mut(key).map(|client| client.waiting.take_qos_0()).unwrap_or_default();
            self.account_client(key);
            self.stats.dropped_gone += gone.len() as u64;
            self.abandon(gone);
        }
        // Who breaks the protocol and does not read keeps no payloads, and no socket, for the time of a flush.
        let breaks_off = state.unwritten.memory().payloads > 0 && is_broken;
        let is_stop = matches!(why, Closed::Local(ReasonCode::SERVER_SHUTTING_DOWN));
        let kept = if state.gives_way { LAST_WORDS } else { ACKNOWLEDGEMENTS };
        let frees = !is_stop && state.unwritten.bytes() > kept;
        self.outputs.push_back(Output::Close { connection: id, discards: frees || breaks_off });
        self.accounts.set_unfinished(now.up_ms, id, None);
        self.accounts.set_connection(id, None);
        self.outputs.push_back(Output::Event(Event::Disconnected { connection: id, client, why }));
        if let Some(key) = key {
            self.absent(now, key);
        }
    }
}
