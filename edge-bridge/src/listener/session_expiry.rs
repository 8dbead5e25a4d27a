//! Session expiry (§3.1.2.11.2): the session of an absent client is kept until its Session Expiry Interval has passed, or until it is ended early
//! for other clients. A pending [will](super::wills) is published by then.

use super::delivery::{Delivery, Tag};
use super::wills::NOWHERE;
use super::{ClientKey, Due, Event, Listener, Output, SessionEnd};
use crate::ingest::{Ingest, Now};
use crate::session::InFlight;
use crate::wire::{Connect, PropertyId, Version};

impl<I: Ingest> Listener<I> {
    /// Returns the seconds for which the session of a client with this CONNECT outlives its connection.
    pub(super) fn expiry(&self, connect: &Connect) -> u32 {
        let max_s = self.config.session_expiry_max_s;
        match (connect.version, connect.clean_start) {
            (Version::V5, _) => {
                connect.properties.u32(PropertyId::SessionExpiryInterval).unwrap_or(0).min(max_s)
            }
            (Version::V311, true) => 0,
            (Version::V311, false) => max_s,
        }
    }

    /// Publishes the will of an absent client, and ends its session, if the time has come for either; otherwise sets the next deadline.
    pub(super) fn absent(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(ends_ms) = client.ends_ms else { return };
        if client.will.as_ref().and_then(|will| will.due_ms).is_some_and(|due_ms| due_ms <= now.up_ms) {
            self.publish_will(now, key);
        }
        if ends_ms <= now.up_ms {
            self.end_session(now, key, SessionEnd::Expired);
        } else if let Some(client) = self.clients.get(key) {
            let will_ms = client.will.as_ref().and_then(|will| will.due_ms);
            self.deadlines.no_later(Due::Client(key), will_ms.unwrap_or(ends_ms).min(ends_ms));
        }
    }

    /// Counts a change of a [saved](super::saved) session: one that outlives its connection, or did so before the change (`lasted`).
    pub(super) fn note_change(&mut self, key: ClientKey, lasted: bool) {
        self.changes += u64::from(lasted || self.lasts(key));
    }

    /// Returns whether a client's session outlives its connection, and so is saved.
    pub(super) fn lasts(&self, key: ClientKey) -> bool {
        self.clients.get(key).is_some_and(|client| client.expiry_s > 0)
    }

    /// Ends an absent client's session early, to free a session or memory for other clients.
    pub(super) fn give_up_session(&mut self, now: Now, key: ClientKey) {
        self.stats.sessions_given_up += 1;
        self.end_session(now, key, SessionEnd::GivenUp);
    }

    /// Ends a session: publishes a pending will, gives messages of shared subscriptions to other members (§4.8.2), and drops the other messages.
    pub(super) fn end_session(&mut self, now: Now, key: ClientKey, why: SessionEnd) {
        self.publish_will(now, key);
        self.note_change(key, false);
        let Some(mut client) = self.clients.remove(key) else { return };
        self.topics.subscriptions.remove_client(key);
        self.deadlines.forget(Due::Client(key));
        let waiting: Vec<_> = client.waiting.drain().collect();
        self.accounts.remove_client(key, Some(&mut client));
        let in_flight = client.resume.into_in_flight();
        // What was sent at QoS 2 is for nobody else (\[MQTT-4.8.2-5\]). Nor is a message to any client: this one may have acted on it.
        let is_of_none_else =
            |sent: &InFlight| sent.may_be_held() || self.tracking.is_to_any(Tag::from(sent.token).origin);
        let (held, unacked): (Vec<_>, Vec<_>) = in_flight.into_iter().partition(is_of_none_else);
        let [held, unacked] = [held, unacked].map(|messages| messages.into_iter().map(Delivery::of_unacked));
        let mut left = self.hand_over(now.up_ms, unacked.chain(waiting).collect());
        left.extend(held);
        let dropped = left.len();
        self.abandon(left);
        if client.expiry_s > 0 {
            self.stats.count_session_end(why, dropped);
            self.outputs.push_back(Output::Event(Event::SessionEnded { client: client.id, dropped, why }));
        }
    }

    /// Publishes a client's will, if it has one.
    fn publish_will(&mut self, now: Now, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(will) = client.will.take() else { return };
        let message = will.message(client.id.clone());
        self.note_change(key, false);
        self.account_client(key);
        // Rights may have changed since it was left.
        if !self.may_publish(key, &will.publish.topic) {
            self.note_refused_will(key, will.publish.topic, false);
            return;
        }
        self.receive(now, NOWHERE, key, &will.publish, message, None);
    }
}
