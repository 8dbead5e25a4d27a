//! Topics to which a client may publish, or leave a will: none that is reserved for the application or the listener, none without a right to it, none
//! with characters for which a hub may refuse it (§1.5.4), in the topic or in a property of the message. Such a message is refused here, where the sensor gets the PUBACK; at the hub it could end
//! the connection, with all later messages waiting. The syntax of a topic is checked before, in `wire/topic.rs`, when its packet is
//! decoded.

use super::{ClientKey, Event, Listener};
use crate::ingest::{Inbound, Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::session::AckHandle;
use crate::wire::{
    Properties, ReasonCode, TopicError, Utf8, Version, matches, validate_characters, validate_properties,
};

impl<I: Ingest> Listener<I> {
    /// Returns whether only the application, or the listener itself, may publish to the topic.
    pub(super) fn is_own_topic(&self, topic: &str) -> bool {
        self.sys.is_reserved(topic) || self.config.own_topics.iter().any(|filter| matches(filter, topic))
    }

    pub(super) fn check_topic(
        &mut self,
        client: ClientKey,
        topic: &str,
        properties: &Properties,
    ) -> Result<(), TopicError> {
        if self.is_own_topic(topic) {
            return Err(TopicError::Reserved);
        }
        if !self.may_publish(client, topic) {
            return Err(TopicError::Denied);
        }
        if self.config.accept_control_characters {
            return Ok(());
        }
        validate_characters(topic)?;
        validate_properties(properties)
    }

    /// Refuses a message by PUBACK 0x90, or by 0x87 if its topic is reserved or the client has no right to it; in 3.1.1, whose PUBACK has no
    /// reasons, by the end of the connection. At QoS 0 there is no answer.
    pub(super) fn refuse_topic(
        &mut self,
        now: Now,
        (id, key): (ConnectionId, ClientKey),
        message: &Inbound,
        ack: Option<AckHandle>,
        error: TopicError,
    ) {
        self.note_refused_topic(id, key, &message.topic, error);
        let reason = match error {
            TopicError::Reserved | TopicError::Denied => ReasonCode::NOT_AUTHORIZED,
            _ => ReasonCode::TOPIC_NAME_INVALID,
        };
        if ack.is_none() {
            return;
        }
        if message.version == Version::V5 {
            self.admission.answer(now.up_ms, id, ack, reason);
        } else if let Some(state) = self.connections.get_mut(id) {
            state.session.disconnect(now.up_ms, reason);
        }
    }

    /// Counts a refused topic, and reports it once per connection and set of rights.
    pub(super) fn note_refused_topic(
        &mut self,
        id: ConnectionId,
        key: ClientKey,
        topic: &Utf8,
        error: TopicError,
    ) {
        self.stats.topics_refused += 1;
        let Some((state, client)) = self.connections.get_mut(id).zip(self.clients.get(key)) else { return };
        if !std::mem::replace(&mut state.topic_refused, true) {
            let (client, user, topic) = (client.id.clone(), client.user.clone(), topic.detached());
            let event = Event::TopicRefused { connection: id, client, user, topic, error };
            self.outputs.push_back(super::Output::Event(event));
        }
    }

    /// Counts and reports a will that is not published, because its user may not publish to the topic any more.
    pub(super) fn note_refused_will(&mut self, key: ClientKey, topic: Utf8, is_user_gone: bool) {
        self.stats.topics_refused += 1;
        let Some(client) = self.clients.get(key) else { return };
        let (client, user) = (client.id.clone(), client.user.clone());
        let event = Event::WillRefused { client, user, topic, is_user_gone };
        self.outputs.push_back(super::Output::Event(event));
    }
}
