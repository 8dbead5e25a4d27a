//! Parked messages that are refused for themselves while their topic goes on: poison, and what is too large. For the list only.

use std::collections::BTreeMap;

use super::by_hand::ParkedTopic;
use crate::wire::{ReasonCode, Utf8};

/// Topics at most; further ones are not listed.
const TOPICS_MAX: usize = 256;

/// Topics with such messages, as far as known.
#[derive(Debug, Default)]
pub(super) struct Apart {
    topics: BTreeMap<Utf8, Entry>,
}

#[derive(Debug)]
struct Entry {
    reason: ReasonCode,
    /// Messages parked, and those of them parked since the present sweep began.
    parked: u64,
    parked_since: u64,
}

impl Apart {
    /// A row was parked. `reason`: where it is not the one known of the topic.
    pub(super) fn on_parked(&mut self, topic: &Utf8, reason: Option<ReasonCode>, messages: u64) {
        if !self.topics.contains_key(topic) && self.topics.len() >= TOPICS_MAX {
            return;
        }
        // A copy: the topic's own bytes are a slice of a larger buffer.
        let name = Utf8::try_from(topic.to_string()).unwrap_or_default();
        let fresh = Entry { reason: ReasonCode::UNSPECIFIED_ERROR, parked: 0, parked_since: 0 };
        let entry = self.topics.entry(name).or_insert(fresh);
        entry.reason = reason.unwrap_or(entry.reason);
        entry.parked += messages;
        entry.parked_since += messages;
    }

    /// A parked row of this topic was leased.
    pub(super) fn on_swept(&mut self, topic: &Utf8, messages: u64) {
        if let Some(entry) = self.topics.get_mut(topic) {
            entry.parked = entry.parked.saturating_sub(messages);
        }
    }

    /// Rows of this topic were not parked, but wait in their place.
    pub(super) fn on_left(&mut self, topic: &Utf8, messages: u64) {
        if let Some(entry) = self.topics.get_mut(topic) {
            entry.parked = entry.parked.saturating_sub(messages);
            entry.parked_since = entry.parked_since.saturating_sub(messages);
        }
    }

    /// A row that was leased stays parked, whatever it was parked for.
    pub(super) fn stays(&mut self, topic: &Utf8, messages: u64) {
        if self.topics.contains_key(topic) {
            self.on_parked(topic, None, messages);
        }
    }

    pub(super) fn on_sweep_begins(&mut self) {
        self.topics.values_mut().for_each(|entry| entry.parked_since = 0);
    }

    /// Every parked row has been looked at: what is counted beyond those parked since has gone.
    pub(super) fn on_sweep_over(&mut self) {
        self.topics.values_mut().for_each(|entry| entry.parked = entry.parked_since);
        self.topics.retain(|_, entry| entry.parked > 0);
    }

    /// As lines of the list. `sweep_in_ms`: until the next sweep.
    pub(super) fn list(&self, sweep_in_ms: Option<u64>) -> impl Iterator<Item = ParkedTopic> + '_ {
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
