//! Messages of a history that are not decoded: each arrives as it was sent.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Content, Message, Records, Whole};
use super::Rule;

/// Messages that are not decoded: each is one that was sent, and a copy is marked.
pub(super) fn judge(records: &Records, say: &mut impl FnMut(Rule, String)) {
    let topics: BTreeMap<&str, &str> = sent(records).map(|(m, to)| (m.payload.as_str(), to)).collect();
    let mut by_payload: BTreeMap<&str, BTreeMap<Vec<u64>, &Whole>> = BTreeMap::new();
    for whole in &records.wholes {
        match topics.get(whole.payload.as_str()) {
            None => say(Rule::Invented, format!("{whole:?}")),
            Some(topic) if *topic != whole.topic => say(Rule::Value, format!("{whole:?} is of {topic}")),
            Some(_) => {}
        }
        let numbers = whole.id.split('-').filter_map(|part| u64::from_str_radix(part, 16).ok());
        by_payload.entry(&whole.payload).or_default().insert(numbers.collect(), whole);
    }
    for copies in by_payload.values() {
        // The first was first in the queue, too.
        for copy in copies.values().skip(1).filter(|copy| !copy.pd) {
            say(Rule::Copy, format!("it came before, and not marked is {copy:?}"));
        }
    }
}

fn sent(records: &Records) -> impl Iterator<Item = (&Message, &str)> {
    records.messages.iter().filter_map(|message| match &message.content {
        Content::Whole(topic) => Some((message, topic.as_str())),
        Content::Readings(_) => None,
    })
}

pub(super) fn missing(records: &Records) -> Vec<String> {
    let arrived: BTreeSet<&str> = records.wholes.iter().map(|whole| whole.payload.as_str()).collect();
    let acked = sent(records).filter(|(message, _)| message.acked.is_some());
    let missing = acked.filter(|(message, _)| !arrived.contains(message.payload.as_str()));
    missing.map(|(message, topic)| format!("{} is not at {topic}", message.payload)).collect()
}
