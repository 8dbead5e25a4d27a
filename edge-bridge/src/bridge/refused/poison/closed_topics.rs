//! Topics of messages found to be poison, until the hub accepts a message of the topic.

use std::collections::HashMap;

use crate::wire::Utf8;

/// Number of messages of one topic at which the hub closed, without an accepted one of it in between, from which the whole topic counts as refused.
const MESSAGES_MAX: u32 = 2;
/// Most topics that are counted; at the limit another one is forgotten.
const TOPICS_MAX: usize = 256;

/// Number of messages at which the hub closed, by topic.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct ClosedTopics(HashMap<Utf8, u32>);

impl ClosedTopics {
    /// Counts a message at which the hub closed. Returns whether its topic is refused by that.
    pub(in crate::bridge) fn on_blamed(&mut self, topic: &Utf8) -> bool {
        if self.0.len() >= TOPICS_MAX
            && !self.0.contains_key(topic)
            && let Some(other) = self.0.keys().next().cloned()
        {
            self.0.remove(&other);
        }
        // A copy: the topic's own bytes are a slice of a larger buffer.
        let messages = self.0.entry(topic.detached()).or_default();
        *messages = messages.saturating_add(1);
        *messages >= MESSAGES_MAX
    }

    /// Returns whether the hub closed at a message of the topic, and accepted none since.
    pub(in crate::bridge) fn is_suspect(&self, topic: &Utf8) -> bool {
        self.0.contains_key(topic)
    }

    /// Forgets a topic of which the hub accepted a message.
    pub(in crate::bridge) fn on_accepted(&mut self, topic: &Utf8) {
        self.0.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> Utf8 {
        Utf8::try_from(format!("t/{n}")).unwrap()
    }

    #[test]
    fn the_second_message_of_a_topic_counts_for_all_of_it_unless_one_was_accepted_in_between() {
        let mut topics = ClosedTopics::default();
        assert!(!topics.on_blamed(&topic(1)) && !topics.on_blamed(&topic(2)));
        assert!(topics.is_suspect(&topic(2)));
        topics.on_accepted(&topic(2));
        assert!(!topics.is_suspect(&topic(2)));
        assert!(topics.on_blamed(&topic(1)) && !topics.on_blamed(&topic(2)));
    }

    #[test]
    fn topics_are_bounded() {
        let mut topics = ClosedTopics::default();
        let refused = (0..2 * TOPICS_MAX).filter(|n| topics.on_blamed(&topic(*n))).count();
        assert_eq!(refused, 0);
        assert_eq!(topics.0.len(), TOPICS_MAX);
    }
}
