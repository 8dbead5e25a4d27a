//! List of refused topics for operators, collected from topics in back-off, single refused messages and a refused link.

use std::collections::BTreeMap;

use crate::bridge::packing::pack::Pack;
use crate::bridge::parked::parked_list::ParkedTopic;
use crate::bridge::spool::{Left, Spool};
use crate::bridge::uplink::{Uplink, weight_of};
use crate::wire::{ReasonCode, Utf8};

use super::refused_topics::Refusals;

impl<P: Pack> Uplink<P> {
    /// Lists the refused topics in alphabetical order, each once.
    pub(in crate::bridge) fn refused_list(&self, now_ms: u64, spool: &impl Spool) -> Vec<ParkedTopic> {
        let known = self.refusals.list(now_ms, spool).into_iter().map(|topic| (topic.topic.clone(), topic));
        let mut list: BTreeMap<Utf8, ParkedTopic> = known.collect();
        for (due_ms, message) in &self.retries.waiting {
            let reason = message.reason.unwrap_or(ReasonCode::UNSPECIFIED_ERROR);
            let topic = list
                .entry(message.topic().clone())
                .or_insert_with(|| ParkedTopic::new(message.topic(), reason));
            let retry_in_ms = due_ms.saturating_sub(now_ms);
            topic.held += 1;
            topic.held_readings += weight_of(message, spool);
            topic.retry_in_ms = Some(topic.retry_in_ms.map_or(retry_in_ms, |in_ms| in_ms.min(retry_in_ms)));
        }
        for tried in self.link.tried() {
            let topic = list
                .entry(tried.clone())
                .or_insert_with(|| ParkedTopic::new(tried, ReasonCode::NOT_AUTHORIZED));
            topic.retry_in_ms = self.link.due_ms().map(|due_ms| due_ms.saturating_sub(now_ms));
        }
        list.into_values().collect()
    }

    /// Subtracts rows that could not be parked, and stay in their lanes, from the counts of parked rows.
    pub(in crate::bridge) fn note_left(&mut self, spool: &mut impl Spool) {
        for Left { count, rows, weight } in spool.take_left() {
            if count.of_message {
                self.refused_messages.on_left(&count.topic, weight);
            } else {
                self.refusals.on_left(&count.topic, rows);
            }
        }
    }
}

impl Refusals {
    pub(in crate::bridge) fn list(&self, now_ms: u64, spool: &impl Spool) -> Vec<ParkedTopic> {
        let topics = self.topics.iter().map(|(name, topic)| ParkedTopic {
            topic: name.clone(),
            reason: topic.reason,
            held: topic.held.len(),
            held_readings: topic.held.iter().map(|held| weight_of(&held.message, spool)).sum(),
            parked: topic.parked.saturating_sub(topic.left),
            retry_in_ms: topic.may_probe().then(|| topic.due_ms.saturating_sub(now_ms)),
        });
        topics.collect()
    }
}
