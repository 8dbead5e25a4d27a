//! Decoding of saved sessions and retained messages, and their return.

use super::encode::seconds;
use super::records::{self, Records, RetainedRecord, SessionRecord, WaitingRecord};
use super::{CERTIFIED, CONNECTED, RestoreError, UNRELEASED, version_one};
use crate::ingest::{Ingest, Now};
use crate::listener::delivery::{Delivery, Tag};
use crate::listener::events::{Restored, SessionEnd};
use crate::listener::message::Message;
use crate::listener::sys_names::is_sys;
use crate::listener::wills::PendingWill;
use crate::listener::{ClientKey, Listener, SessionUser};
use crate::session::{Resume, SavedExchange};
use crate::wire::{PropertyId, Publish, Subscribe, Utf8};

/// Earliest plausible wall clock, 2020-01-01 in milliseconds. The age of bytes saved at an earlier time is unknown.
const SET_MS: i64 = 1_577_836_800_000;

impl<I: Ingest> Listener<I> {
    /// Restores the state that [`save`](Self::save) returned. Sessions of absent clients, messages and wills have aged by the difference of the
    /// wall clocks, if the clock was set and has not gone back; the session expiry of clients that were connected starts now. Call it before the
    /// first connection; a session that exists already stays as it is. Not restored are sessions of unknown users, messages that their client may
    /// no longer receive, and messages and wills on [topics of the application](crate::listener::Config::own_topics).
    ///
    /// Any of the bytes may be damaged: what is whole is restored, and [`Restored::damage`] says what is not.
    ///
    /// # Errors
    ///
    /// No record is whole, or the bytes are of a later version, so that nothing is restored. Of [version 1](RestoreError::Packet) any damage that is found.
    pub fn restore(&mut self, now: Now, saved: &[u8]) -> Result<Restored, RestoreError> {
        let records = if version_one::is(saved) { version_one::read(saved) } else { records::read(saved) };
        let Records { saved_ms, retained, mut sessions, damage } = records?;
        let age_ms = saved_ms.map_or(0, |saved_ms| age(now.wall_ms, saved_ms));
        // Whatever has an expiry has expired if damage took the time at which it was saved: a message may come never rather than late.
        let message_age_ms = if saved_ms.is_some() { age_ms } else { u64::MAX };
        let mut restored = Restored { damage, ..Restored::default() };
        for record in retained {
            self.restore_retained(now.up_ms, message_age_ms, record, &mut restored);
        }
        let room = self.config.max_sessions.saturating_sub(self.clients.len());
        restored.refused += sessions.len().saturating_sub(room);
        sessions.truncate(room);
        let mut without_all_filters = Vec::new();
        // Of clients that are away for equally long the first give way first: those that went away longest ago.
        for session in sessions.into_iter().rev() {
            let Some(key) = self.restore_session(now, age_ms, &session, &mut restored) else { continue };
            let SessionRecord { subscriptions, waiting, .. } = session;
            if !subscriptions.iter().all(|subscribe| self.restore_subscription(key, subscribe)) {
                without_all_filters.push(key);
            }
            for record in waiting {
                self.restore_waiting(now.up_ms, message_age_ms, key, record, &mut restored);
            }
        }
        self.part_with_strangers(now);
        self.drop_what_is_denied(now.up_ms);
        // Their clients are told that there is no session, and subscribe anew: with a part of their filters they would wait in vain.
        for key in without_all_filters {
            restored.refused += usize::from(self.clients.get(key).is_some());
            self.end_session(now, key, SessionEnd::TooManyFilters);
        }
        self.admission.is_restoring = true;
        for (key, _) in self.clients.keyed().collect::<Vec<_>>() {
            self.absent(now, key);
        }
        self.run(now);
        self.admission.is_restoring = false;
        restored.sessions = self.clients.len();
        restored.waiting = self.clients.iter().map(|(_, client)| client.waiting.len()).sum();
        Ok(restored)
    }

    fn restore_retained(
        &mut self,
        now_ms: u64,
        age_ms: u64,
        RetainedRecord { publish, publisher }: RetainedRecord,
        restored: &mut Restored,
    ) {
        let Some(publish) = aged(publish, age_ms) else {
            restored.expired += 1;
            return;
        };
        // Earlier versions saved the application's states as retained messages. A client's has its publisher since version 5, and of any version it is
        // published again when the client connects.
        let is_old_state = is_sys(&publish.topic) && publisher.is_none();
        if is_old_state || self.is_told_anew(&publish.topic) {
            return;
        }
        let message = Message::new(now_ms, &publish, self.accounts.payloads());
        let publisher = publisher.and_then(|publisher| Utf8::try_from(&*publisher).ok());
        let is_kept = !self.is_own_topic(&publish.topic)
            && self.topics.retain(now_ms, &publish.topic, &message, publisher.as_ref());
        restored.retained += usize::from(is_kept);
        restored.refused += usize::from(!is_kept);
    }

    /// Returns whether a saved message is on one of the application's topics below `$SYS`: states and figures, which it tells anew. No client misses
    /// the former ones.
    fn is_told_anew(&self, topic: &str) -> bool {
        is_sys(topic) && self.is_own_topic(topic)
    }

    /// Restores a session; `None` at the limit of sessions, or if the client has one already.
    fn restore_session(
        &mut self,
        now: Now,
        age_ms: u64,
        session: &SessionRecord,
        restored: &mut Restored,
    ) -> Option<ClientKey> {
        let connect = &session.connect;
        if self.clients.key(&connect.client_id).is_some() {
            return None;
        }
        let said_s = connect.properties.u32(PropertyId::SessionExpiryInterval).unwrap_or(0);
        let expiry_s = said_s.min(self.config.session_expiry_max_s);
        let was_there = connect.properties.user_property(CONNECTED).is_some();
        let away_ms = if was_there { 0 } else { age_ms };
        let left_ms = (u64::from(expiry_s) * 1000).saturating_sub(away_ms);
        restored.expired += usize::from(left_ms == 0);
        let is_certified = connect.properties.user_property(CERTIFIED).is_some();
        let user = SessionUser { name: connect.username.as_ref().map(Utf8::detached), is_certified };
        let will = match session.has_will_of_connected {
            true => PendingWill::of_connected(connect, now.up_ms, seconds(left_ms)),
            false => PendingWill::restored(connect, now.up_ms, age_ms),
        };
        let is_refused = will.as_ref().is_some_and(|will| self.is_own_topic(&will.publish.topic));
        restored.refused += usize::from(is_refused);
        let will = will.filter(|_| !is_refused);
        let key = self.clients.add(connect.client_id.detached(), user);
        let client = self.clients.get_mut(key)?;
        client.expiry_s = expiry_s;
        client.left_ms = now.up_ms;
        client.resume = Resume::forgotten();
        let unreleased = connect.properties.user_properties().filter(|(name, _)| *name == UNRELEASED);
        let exchanges = unreleased.filter_map(|(_, exchange)| exchange.parse::<SavedExchange>().ok());
        for exchange in exchanges {
            client.resume.add_saved_exchange(exchange);
            restored.unreleased += 1;
        }
        client.resume_memory = client.resume.memory();
        client.ends_ms = Some(now.up_ms + left_ms);
        client.will = will;
        self.account_client(key);
        Some(key)
    }

    /// Adds filters to a restored session. Returns whether they are all within the present limits.
    fn restore_subscription(&mut self, key: ClientKey, subscribe: &Subscribe) -> bool {
        let identifier = subscribe.properties.u32(PropertyId::SubscriptionIdentifier);
        let fit = subscribe.filters.iter().all(|wanted| self.subscribe(key, wanted, identifier).is_ok());
        self.account_filters(key);
        fit
    }

    fn restore_waiting(
        &mut self,
        now_ms: u64,
        age_ms: u64,
        key: ClientKey,
        WaitingRecord { publish, share }: WaitingRecord,
        restored: &mut Restored,
    ) {
        let Some(publish) = aged(publish, age_ms) else {
            restored.expired += 1;
            return;
        };
        if self.is_told_anew(&publish.topic) {
            return;
        }
        // The application says there what is true now. Perhaps it is a client's, of a time when the topic was nobody's.
        if self.is_own_topic(&publish.topic) {
            restored.refused += 1;
            return;
        }
        let identifiers: Vec<u32> = publish.properties.subscription_identifiers().collect();
        let mut message = Message::new(now_ms, &publish, self.accounts.payloads());
        message.identify(&identifiers);
        // A group whose members are all gone is a group no more.
        let group = share.and_then(|share| self.topics.subscriptions.shared.id(&share));
        let tag = Tag { origin: None, group };
        self.enqueue(now_ms, key, Delivery { was_sent: publish.dup, ..Delivery::new(message, tag) });
    }
}

/// Returns the time since a wall clock, if it was set then and has not gone back.
fn age(wall_ms: i64, saved_ms: i64) -> u64 {
    if saved_ms < SET_MS { 0 } else { wall_ms.saturating_sub(saved_ms).max(0).unsigned_abs() }
}

/// Subtracts the age from a message's expiry; `None` if it has expired.
fn aged(mut publish: Publish, age_ms: u64) -> Option<Publish> {
    if let Some(said_s) = publish.properties.u32(PropertyId::MessageExpiryInterval) {
        let left_ms = (u64::from(said_s) * 1000).checked_sub(age_ms).filter(|left_ms| *left_ms > 0)?;
        let left_s = u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX);
        publish.properties = publish.properties.with_expiry_s(left_s);
    }
    Some(publish)
}
