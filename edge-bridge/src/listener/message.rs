//! A message on its way to subscribers, and its age.

use super::memory::shared_payloads::SharedPayloads;
use crate::wire::{PropertyId, Publish, Value};

/// A message as it will be delivered, with the time of its end. Owns its bytes: a slice would keep a whole receive buffer alive for as long as
/// an absent client's session.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) publish: Publish,
    /// Expiry, in the caller's milliseconds (§3.3.2.3.3).
    pub(super) expires_ms: Option<u64>,
}

impl Message {
    /// Makes a message of the parts of `publish` that outlive its connection.
    pub(super) fn new(now_ms: u64, publish: &Publish, payloads: &SharedPayloads) -> Self {
        let (properties, ttl_ms) = publish.properties.handed_on();
        let publish = Publish {
            dup: false,
            packet_id: None,
            topic: publish.topic.detached(),
            properties: properties.detached(),
            payload: payloads.copy(&publish.payload),
            ..*publish
        };
        Self { publish, expires_ms: ttl_ms.map(|ttl_ms| now_ms + ttl_ms) }
    }

    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// The packet to send now: the Message Expiry Interval is what is left of it (\[MQTT-3.3.2-6\]).
    pub(super) fn packet(&self, now_ms: u64) -> Publish {
        let Some(at_ms) = self.expires_ms else { return self.publish.clone() };
        let left_s = u32::try_from(at_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX);
        Publish { properties: self.publish.properties.with_expiry_s(left_s), ..self.publish.clone() }
    }

    /// Marks a copy with the subscriptions it is for (§3.3.2.3.8).
    pub(super) fn identify(&mut self, identifiers: &[u32]) {
        if identifiers.is_empty() {
            return;
        }
        let mut properties = self.publish.properties.to_builder();
        for id in identifiers {
            // A property of a PUBLISH, and a value of its type: an error cannot come, and would only leave the property out.
            let _ = properties.push(PropertyId::SubscriptionIdentifier, Value::Varint(*id));
        }
        self.publish.properties = properties.finish();
    }

    /// Returns the bytes of memory that the message counts for while it waits.
    pub(super) fn bytes(&self) -> usize {
        let publish = &self.publish;
        publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{PropertiesBuilder, QoS, Utf8};

    #[test]
    fn the_expiry_that_is_sent_is_what_is_left() {
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::MessageExpiryInterval, Value::U32(10)).unwrap();
        properties.user("a", "b").unwrap();
        let publish = Publish {
            dup: true,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: Utf8::from_static("t"),
            packet_id: crate::wire::PacketId::new(1),
            properties: properties.finish(),
            payload: Bytes::from_static(b"p"),
        };
        let message = Message::new(1000, &publish, &SharedPayloads::default());
        let later = message.packet(4500);
        assert_eq!(later.properties.u32(PropertyId::MessageExpiryInterval), Some(7));
        assert_eq!(later.properties.user_property("a"), Some("b"));
        assert!(!later.dup && later.packet_id.is_none() && later.retain);
        assert!(!message.is_expired(10_999) && message.is_expired(11_000));
    }
}
