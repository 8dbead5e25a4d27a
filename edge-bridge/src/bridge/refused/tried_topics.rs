//! Topics of the probes of a refused link, in the order of their last probe. As many are remembered as a search for the next probe sees at once:
//! if fewer were, those that are forgotten first would be probed again and again, and others never.

use std::collections::BTreeMap;

use crate::wire::Utf8;

/// Most topics that are remembered; at the limit the one that was probed longest ago is forgotten.
pub(super) const TOPICS_MAX: usize = 1_536;
/// Most bytes of their names, likewise.
const BYTES_MAX: usize = 512 * 1024;

/// Topics that the hub refused as not authorized, see the [module](self).
#[derive(Debug, Clone, Default)]
pub(super) struct TriedTopics {
    /// Number of each topic's last probe.
    by_topic: BTreeMap<Utf8, u64>,
    bytes: usize,
    /// Number of probes so far.
    probes: u64,
}

impl TriedTopics {
    /// Adds a topic that the hub refused now. Returns whether it is a new one.
    pub(super) fn add(&mut self, topic: &Utf8) -> bool {
        self.probes += 1;
        if let Some(last) = self.by_topic.get_mut(topic) {
            *last = self.probes;
            return false;
        }
        // A copy: the topic's own bytes are a slice of a larger buffer.
        self.by_topic.insert(topic.detached(), self.probes);
        self.bytes += topic.len();
        while self.by_topic.len() > TOPICS_MAX || self.bytes > BYTES_MAX && self.by_topic.len() > 1 {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_topic.iter().min_by_key(|(_, last)| **last).map(|(topic, _)| topic.clone());
        if let Some(topic) = oldest {
            self.by_topic.remove(&topic);
            self.bytes -= topic.len();
        }
    }

    /// Returns the number of the topic's last probe; 0 if it was not probed.
    pub(super) fn rank(&self, topic: &Utf8) -> u64 {
        self.by_topic.get(topic).copied().unwrap_or(0)
    }

    pub(super) fn contains(&self, topic: &Utf8) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// Returns so many topics at most, the last one that was probed first.
    pub(super) fn latest(&self, count: usize) -> Vec<&Utf8> {
        let mut topics: Vec<_> = self.by_topic.iter().collect();
        topics.sort_unstable_by_key(|(_, last)| std::cmp::Reverse(**last));
        topics.into_iter().take(count).map(|(topic, _)| topic).collect()
    }

    /// Returns the topics in the order of their last probe.
    pub(super) fn into_order(self) -> Vec<Utf8> {
        let mut topics: Vec<_> = self.by_topic.into_iter().collect();
        topics.sort_unstable_by_key(|(_, last)| *last);
        topics.into_iter().map(|(topic, _)| topic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> Utf8 {
        Utf8::try_from(format!("t/{n}")).unwrap()
    }

    #[test]
    fn the_latest_topics_are_remembered_in_the_order_of_their_last_probe() {
        let mut tried = TriedTopics::default();
        assert!((0..TOPICS_MAX).all(|n| tried.add(&topic(n))));
        assert!(!tried.add(&topic(0)) && tried.add(&topic(TOPICS_MAX)));
        assert!(!tried.contains(&topic(1)) && tried.contains(&topic(0)));
        assert_eq!([0, 1, 2].map(|n| tried.rank(&topic(n))), [TOPICS_MAX as u64 + 1, 0, 3]);
        assert_eq!(tried.latest(2), [&topic(TOPICS_MAX), &topic(0)]);
        assert_eq!(tried.latest(usize::MAX).len(), TOPICS_MAX);
        let order = tried.into_order();
        assert_eq!((&order[0], &order[TOPICS_MAX - 2]), (&topic(2), &topic(0)));
        assert_eq!(order.last(), Some(&topic(TOPICS_MAX)));
    }

    #[test]
    fn long_names_take_no_more_memory() {
        let long = |n: usize| Utf8::try_from(format!("{n:05}/{}", "x".repeat(60_000))).unwrap();
        let mut tried = TriedTopics::default();
        (0..100).for_each(|n| assert!(tried.add(&long(n))));
        assert!(
            tried.bytes <= BYTES_MAX && tried.by_topic.keys().map(Utf8::len).sum::<usize>() == tried.bytes
        );
        assert!(tried.contains(&long(99)) && !tried.contains(&long(0)));
    }
}
