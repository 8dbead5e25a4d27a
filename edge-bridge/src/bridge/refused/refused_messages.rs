//! Counts of parked messages that were refused one by one while their topic is accepted, such as poison and too large ones. Used only for the
//! operator's list.

use std::collections::BTreeMap;

use crate::bridge::parked::parked_list::ParkedTopic;
use crate::wire::{ReasonCode, Utf8};

/// Most topics that are counted; further ones are not listed.
const TOPICS_MAX: usize = 256;

/// Topics with parked single messages, as far as known.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct RefusedMessages {
    topics: BTreeMap<Utf8, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    reason: ReasonCode,
    /// Parked messages, by weight; with the part of them that was parked since the present sweep began.
    parked: u64,
    parked_since: u64,
}

impl RefusedMessages {
    /// Counts parked messages. `reason` is the refusal's reason; `None` keeps the known reason of the topic.
    pub(in crate::bridge) fn on_parked(&mut self, topic: &Utf8, reason: Option<ReasonCode>, messages: u64) {
        if !self.topics.contains_key(topic) && self.topics.len() >= TOPICS_MAX {
            return;
        }
        // A copy: the topic's own bytes are a slice of a larger buffer.
        let name = topic.detached();
        let fresh = Entry { reason: ReasonCode::UNSPECIFIED_ERROR, parked: 0, parked_since: 0 };
        let entry = self.topics.entry(name).or_insert(fresh);
        entry.reason = reason.unwrap_or(entry.reason);
        entry.parked += messages;
        entry.parked_since += messages;
    }

    /// Uncounts a parked row of this topic that was leased.
    pub(in crate::bridge) fn on_swept(&mut self, topic: &Utf8, messages: u64) {
        if let Some(entry) = self.topics.get_mut(topic) {
            entry.parked = entry.parked.saturating_sub(messages);
        }
    }

    /// Uncounts rows of this topic that could not be parked and stay in their lanes.
    pub(in crate::bridge) fn on_left(&mut self, topic: &Utf8, messages: u64) {
        if let Some(entry) = self.topics.get_mut(topic) {
            entry.parked = entry.parked.saturating_sub(messages);
            entry.parked_since = entry.parked_since.saturating_sub(messages);
        }
    }

    /// Counts a leased row that goes back to the parked ones, if single messages of its topic are counted.
    pub(in crate::bridge) fn stays(&mut self, topic: &Utf8, messages: u64) {
        if self.topics.contains_key(topic) {
            self.on_parked(topic, None, messages);
        }
    }

    pub(in crate::bridge) fn on_sweep_begins(&mut self) {
        self.topics.values_mut().for_each(|entry| entry.parked_since = 0);
    }

    /// Handles the end of a sweep that met every parked row: only messages parked since its begin are still counted.
    pub(in crate::bridge) fn on_sweep_over(&mut self) {
        self.topics.values_mut().for_each(|entry| entry.parked = entry.parked_since);
        self.topics.retain(|_, entry| entry.parked > 0);
    }

    /// Returns the entries of the list. `sweep_in_ms`: milliseconds to the next sweep, `None` if none is planned.
    pub(in crate::bridge) fn list(&self, sweep_in_ms: Option<u64>) -> impl Iterator<Item = ParkedTopic> + '_ {
        let found = self.topics.iter().filter(|(_, entry)| entry.parked > 0);
        found.map(move |(name, entry)| ParkedTopic {
            topic: name.clone(),
            reason: entry.reason,
            held: 0,
            held_readings: 0,
            parked: entry.parked,
            retry_in_ms: sweep_in_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> Utf8 {
        Utf8::try_from(format!("t/{n}")).unwrap()
    }

    fn parked(refused: &RefusedMessages) -> Vec<(String, u8, u64)> {
        refused.list(None).map(|line| (line.topic.to_string(), line.reason.get(), line.parked)).collect()
    }

    #[test]
    fn a_sweep_leaves_what_was_parked_since_it_began() {
        let mut refused = RefusedMessages::default();
        refused.on_parked(&topic(1), Some(ReasonCode::PACKET_TOO_LARGE), 5);
        refused.on_parked(&topic(2), None, 3);
        assert_eq!(parked(&refused), [("t/1".into(), 0x95, 5), ("t/2".into(), 0x80, 3)]);
        refused.on_sweep_begins();
        refused.on_swept(&topic(1), 2);
        assert_eq!(parked(&refused)[0].2, 3);
        // One of them is parked again, for a reason that is not told; two of t/1 and all of t/2 have gone.
        refused.stays(&topic(1), 1);
        assert_eq!(parked(&refused)[0], ("t/1".into(), 0x95, 4));
        refused.on_sweep_over();
        assert_eq!(parked(&refused), [("t/1".into(), 0x95, 1)]);
        assert_eq!(refused.list(Some(7)).map(|line| line.retry_in_ms).collect::<Vec<_>>(), [Some(7)]);
    }

    #[test]
    fn what_waits_in_its_place_is_not_parked() {
        let mut refused = RefusedMessages::default();
        refused.on_parked(&topic(1), None, 5);
        refused.on_left(&topic(1), 2);
        assert_eq!(parked(&refused)[0].2, 3);
        refused.on_sweep_over();
        assert_eq!(parked(&refused)[0].2, 3);
        refused.on_left(&topic(1), 3);
        assert!(parked(&refused).is_empty());
        // A topic that is not known stays so.
        refused.stays(&topic(2), 1);
        assert!(parked(&refused).is_empty());
    }

    #[test]
    fn topics_are_bounded_and_known_ones_go_on() {
        let mut refused = RefusedMessages::default();
        (0..=TOPICS_MAX).for_each(|n| refused.on_parked(&topic(n), None, 1));
        assert_eq!(parked(&refused).len(), TOPICS_MAX);
        refused.on_parked(&topic(0), None, 1);
        assert_eq!(parked(&refused)[0].2, 2);
    }

    /// A topic of which nothing is parked any more makes room for another.
    #[test]
    fn a_sweep_that_met_none_of_a_topic_forgets_it() {
        let mut refused = RefusedMessages::default();
        (0..TOPICS_MAX).for_each(|n| refused.on_parked(&topic(n), None, 1));
        refused.on_sweep_begins();
        refused.on_sweep_over();
        refused.on_parked(&topic(TOPICS_MAX), None, 1);
        assert_eq!(parked(&refused).len(), 1);
    }
}
