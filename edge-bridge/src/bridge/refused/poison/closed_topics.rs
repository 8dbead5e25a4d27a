//! Topics of messages found to be poison, until the hub accepts a message of the topic.

use std::collections::HashMap;

use crate::wire::Utf8;

/// Number of messages of one topic at which the hub closed, without an accepted one of it in between, from which the whole topic counts as refused.
const MESSAGES_MAX: u32 = 2;
/// Most topics that are counted; at the limit the one that was counted first is forgotten.
const TOPICS_MAX: usize = 256;

/// Topics at whose messages the hub closed.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct ClosedTopics {
    by_topic: HashMap<Utf8, Closes>,
    /// Number of topics that were ever counted.
    topics: u64,
}

#[derive(Debug, Clone)]
struct Closes {
    messages: u32,
    /// Number of the topic, in the order in which they were first counted.
    nth: u64,
}

impl ClosedTopics {
    /// Counts a message at which the hub closed. Returns whether its topic is refused by that.
    pub(in crate::bridge) fn on_blamed(&mut self, topic: &Utf8) -> bool {
        if let Some(closes) = self.by_topic.get_mut(topic) {
            closes.messages = closes.messages.saturating_add(1);
            return closes.messages >= MESSAGES_MAX;
        }
        if self.by_topic.len() >= TOPICS_MAX
            && let Some((first, _)) = self.by_topic.iter().min_by_key(|(_, closes)| closes.nth)
        {
            let first = first.clone();
            self.by_topic.remove(&first);
        }
        self.topics += 1;
        // A copy: the topic's own bytes are a slice of a larger buffer.
        self.by_topic.insert(topic.detached(), Closes { messages: 1, nth: self.topics });
        false
    }

    /// Returns whether the hub closed at a message of the topic, and accepted none since.
    pub(in crate::bridge) fn is_suspect(&self, topic: &Utf8) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// Forgets a topic of which the hub accepted a message.
    pub(in crate::bridge) fn on_accepted(&mut self, topic: &Utf8) {
        self.by_topic.remove(topic);
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
        assert_eq!(topics.by_topic.len(), TOPICS_MAX);
        let is_kept = |n| topics.is_suspect(&topic(n));
        assert!(!is_kept(TOPICS_MAX - 1) && (TOPICS_MAX..2 * TOPICS_MAX).all(is_kept), "the last ones");
    }
}
