//! Message on its way from a publisher to local subscribers.

use super::memory::shared_payloads::SharedPayloads;
use crate::wire::{PropertyId, Publish, Value};

/// Message for delivery, with the time of its expiry. It owns its bytes, because a slice would keep a whole receive buffer alive as long as an
/// absent client's session.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) publish: Publish,
    /// Up time of its expiry, in milliseconds (§3.3.2.3.3); `None` if the message does not expire.
    pub(super) expires_ms: Option<u64>,
}

impl Message {
    /// Makes a message of those parts of `publish` that are not bound to its connection.
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

    /// Returns whether both messages have the same contents and neither expires.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.publish == other.publish && self.expires_ms.is_none() && other.expires_ms.is_none()
    }

    /// Adds the identifiers of the subscriptions for which a copy is made (§3.3.2.3.8).
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

    /// Returns the bytes of memory of the message while it waits.
    pub(super) fn bytes(&self) -> usize {
        let publish = &self.publish;
        publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len()
    }
}
