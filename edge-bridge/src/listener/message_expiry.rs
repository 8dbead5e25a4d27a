//! Message expiry (§3.3.2.3.3): a message that waited longer than its interval is not delivered, and a sent message carries the rest of its
//! interval.

use super::message::Message;
use crate::wire::Publish;

impl Message {
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Returns the packet to send now, whose Message Expiry Interval is the remaining time (\[MQTT-3.3.2-6\]).
    pub(super) fn packet(&self, now_ms: u64) -> Publish {
        let Some(at_ms) = self.expires_ms else { return self.publish.clone() };
        let left_s = u32::try_from(at_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX);
        Publish { properties: self.publish.properties.with_expiry_s(left_s), ..self.publish.clone() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::listener::memory::shared_payloads::SharedPayloads;
    use crate::wire::{PropertiesBuilder, PropertyId, QoS, Utf8, Value};

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
