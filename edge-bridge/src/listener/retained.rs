//! Retained messages (§3.3.1.3), in RAM.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::message::Message;
use crate::wire::Utf8;

/// Bytes of memory of a retained message beside its contents.
const OVERHEAD: usize = 256;

/// Retained messages, one for each topic, bounded by count and bytes.
#[derive(Debug)]
pub(super) struct Retained {
    messages: BTreeMap<Box<str>, RetainedMessage>,
    bytes: usize,
    max: usize,
    max_bytes: usize,
    changes: u64,
    /// Up time before which none of the messages expires; `None` if none ever does.
    expires_ms: Option<u64>,
}

/// Message, and the identifier of the client that published it, for No Local; `None` for the application, and if it is not known.
#[derive(Debug)]
pub(super) struct RetainedMessage {
    pub(super) message: Message,
    pub(super) publisher: Option<Utf8>,
}

impl RetainedMessage {
    fn bytes(&self) -> usize {
        self.message.bytes() + self.publisher.as_ref().map_or(0, |publisher| publisher.len())
    }
}

impl Retained {
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self { messages: BTreeMap::new(), bytes: 0, max, max_bytes, changes: 0, expires_ms: None }
    }

    /// Removes the message of a topic, if there is one.
    pub(super) fn remove(&mut self, topic: &str) {
        if let Some(old) = self.messages.remove(topic) {
            self.bytes -= old.bytes();
            self.changes += 1;
        }
    }

    /// Retains a message, or removes the topic's if the payload is empty. Returns `false` if there is no room; the topic then has no retained
    /// message, because the old one is out of date.
    pub(super) fn keep(&mut self, topic: &str, message: &Message, publisher: Option<&Utf8>) -> bool {
        let old = self.messages.remove(topic);
        self.bytes -= old.as_ref().map_or(0, RetainedMessage::bytes);
        let ends = message.publish.payload.is_empty();
        let new = RetainedMessage { message: message.clone(), publisher: publisher.cloned() };
        let has_room = self.messages.len() < self.max && self.bytes + new.bytes() <= self.max_bytes;
        let is_kept = !ends && has_room;
        // The same again, as many publish it, is none, by whomever, and so is the end of what was not there: each change may cost a write.
        self.changes += u64::from(match &old {
            Some(old) => !is_kept || !old.message.is_same(message),
            None => is_kept,
        });
        if is_kept {
            self.bytes += new.bytes();
            self.expires_ms = earlier(self.expires_ms, message.expires_ms);
            self.messages.insert(topic.into(), new);
        }
        ends || has_room
    }

    /// Returns the retained message of a topic; `None` if there is none.
    pub(super) fn get(&self, topic: &str) -> Option<&RetainedMessage> {
        self.messages.get(topic)
    }

    /// Returns the messages of the topics behind one, in their order; with `None` all.
    pub(super) fn after(&self, topic: Option<&str>) -> impl Iterator<Item = (&str, &RetainedMessage)> {
        let from = topic.map_or(Bound::Unbounded, Bound::Excluded);
        self.messages.range::<str, _>((from, Bound::Unbounded)).map(|(topic, message)| (&**topic, message))
    }

    /// Removes expired messages, to make room. Returns the number of those that it looked at: all, or none if none can have expired.
    pub(super) fn expire(&mut self, now_ms: u64) -> usize {
        if self.expires_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return 0;
        }
        let (bytes, looked_at, mut next_ms) = (&mut self.bytes, self.messages.len(), None);
        self.messages.retain(|_, retained| {
            let keep = !retained.message.is_expired(now_ms);
            if keep {
                next_ms = earlier(next_ms, retained.message.expires_ms);
            } else {
                *bytes -= retained.bytes();
            }
            keep
        });
        self.expires_ms = next_ms;
        looked_at
    }

    /// Returns all messages, in the order of their topics.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RetainedMessage> {
        self.messages.values()
    }

    /// Number of changes since the start. The same message again is no change.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Estimates the memory of the messages, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.messages.len() * OVERHEAD
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

/// Returns the earlier of two times; `None` is never.
fn earlier(one_ms: Option<u64>, other_ms: Option<u64>) -> Option<u64> {
    [one_ms, other_ms].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{Properties, Publish, QoS, Utf8};

    fn message(payload: &'static str) -> Message {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic: Utf8::from_static("t"),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(payload.as_bytes()),
        };
        Message { publish, expires_ms: None }
    }

    #[test]
    fn bounded_by_count_and_bytes_and_empty_removes() {
        let mut retained = Retained::new(2, 12);
        assert!(retained.keep("a", &message("1234"), None));
        assert!(retained.keep("a", &message("12345"), None), "replaced, not added");
        assert!(!retained.keep("b", &message("1234567"), None), "bytes");
        assert!(retained.keep("b", &message("1"), None));
        assert!(!retained.keep("c", &message("1"), None), "count");
        assert!(retained.keep("a", &message(""), None));
        assert_eq!((retained.len(), retained.bytes), (1, 2));
        assert!(retained.keep("b", &message(""), None) && retained.bytes == 0);
    }

    #[test]
    fn the_name_of_the_publisher_counts() {
        let mut retained = Retained::new(2, 3);
        assert!(!retained.keep("a", &message("1"), Some(&Utf8::from_static("long"))));
        assert!(retained.keep("a", &message("1"), Some(&Utf8::from_static("x"))) && retained.bytes == 3);
        assert!(retained.keep("a", &message(""), None) && retained.bytes == 0);
    }

    #[test]
    fn what_expired_makes_room() {
        let mut retained = Retained::new(1, 100);
        assert!(retained.keep("a", &Message { expires_ms: Some(50), ..message("x") }, None));
        assert_eq!(retained.expire(49), 0);
        assert!(!retained.keep("b", &message("x"), None));
        assert_eq!(retained.expire(50), 1);
        assert!(retained.keep("b", &message("x"), None));
    }

    /// A message that finds no room costs a walk only if it may make some.
    #[test]
    fn messages_are_looked_at_only_when_one_can_have_expired() {
        let mut retained = Retained::new(3, 100);
        let until = |at_ms| Message { expires_ms: Some(at_ms), ..message("x") };
        for (topic, message) in [("a", message("x")), ("b", until(90)), ("c", until(60))] {
            assert!(retained.keep(topic, &message, None));
        }
        assert_eq!([59, 60, 60, 89, 90, 1_000].map(|now_ms| retained.expire(now_ms)), [0, 3, 0, 0, 2, 0]);
        assert_eq!((retained.len(), retained.bytes), (1, 2));
    }
}
