//! Refused topics at whose messages the hub closes the connection. Each of their attempts is one message, and the next attempt takes the next held
//! one, so that a message that is bad by itself does not decide for its topic.

use crate::bridge::message::Message;
use crate::wire::{ReasonCode, Utf8};

use super::refused_topics::Refusals;

impl Refusals {
    /// Handles a message at which the hub closed the connection, as one that it [refused](Self::on_refused).
    pub(in crate::bridge) fn on_closed(
        &mut self,
        now_ms: u64,
        message: Message,
        reason: ReasonCode,
        out: usize,
    ) -> Option<Message> {
        let (name, serial) = (message.topic().clone(), message.serial);
        let back = self.on_refused(now_ms, message, reason, out);
        if let Some(topic) = self.topics.get_mut(&name) {
            topic.closed_at = Some(serial);
        }
        back
    }

    /// Returns whether the topic is refused because the hub closes at its messages.
    pub(in crate::bridge) fn is_closed_at(&self, name: &Utf8) -> bool {
        self.topics.get(name).is_some_and(|topic| !topic.is_healing() && topic.closed_at.is_some())
    }

    /// Makes the next attempts on all these topics due, because the hub, and not the topics, may have been at fault.
    pub(in crate::bridge) fn retry_closed(&mut self, now_ms: u64) {
        for topic in self.topics.values_mut().filter(|topic| topic.closed_at.is_some()) {
            topic.backoff.reset();
            topic.due_ms = topic.due_ms.min(now_ms);
        }
    }

    /// Holds a message of a refused topic that was in flight or about to be sent. Does nothing for another topic.
    pub(in crate::bridge) fn hold_back(&mut self, message: Message) {
        if let Some(topic) = self.topics.get_mut(message.topic()) {
            topic.out = topic.out.saturating_sub(1);
            self.held_bytes += message.bytes;
            topic.hold(message, None);
        }
    }
}
