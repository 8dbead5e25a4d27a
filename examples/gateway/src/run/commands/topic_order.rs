//! Order of the commands of each local topic: only the first may be delivered, and the others wait for its outcome. Pure.

use std::collections::{HashMap, VecDeque};

use edge_bridge::wire::Utf8;

use super::command::Ticket;

#[derive(Debug, Default)]
pub(super) struct TopicOrder(HashMap<Utf8, VecDeque<Ticket>>);

impl TopicOrder {
    pub(super) fn push(&mut self, topic: &Utf8, ticket: Ticket) {
        self.0.entry(topic.clone()).or_default().push_back(ticket);
    }

    pub(super) fn first(&self, topic: &Utf8) -> Option<Ticket> {
        self.0.get(topic)?.front().copied()
    }

    pub(super) fn len(&self, topic: &Utf8) -> usize {
        self.0.get(topic).map_or(0, VecDeque::len)
    }

    /// Returns the commands of a topic after its first `count`.
    pub(super) fn beyond(&self, topic: &Utf8, count: usize) -> Vec<Ticket> {
        self.0.get(topic).into_iter().flatten().skip(count).copied().collect()
    }

    pub(super) fn remove(&mut self, topic: &Utf8, ticket: Ticket) {
        let Some(line) = self.0.get_mut(topic) else { return };
        line.retain(|one| *one != ticket);
        if line.is_empty() {
            self.0.remove(topic);
        }
    }

    /// Topics, with the number of commands of each.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&Utf8, usize)> {
        self.0.iter().map(|(topic, line)| (topic, line.len()))
    }
}
