//! Walks of a client over the retained messages: what of them is still to be given for the filters of its SUBSCRIBEs. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::message::Message;
use super::retained::{Retained, RetainedMessage};
use crate::wire::{QoS, matches};

/// Most comparisons of a topic with a filter in one step.
const COMPARISONS_MAX: usize = 1024;
/// Bytes of memory of a filter or topic beside its text.
const TEXT_OVERHEAD: usize = 96;

/// Walks of a client that are not at their end, one for each SUBSCRIBE, the oldest first. Each of the client's filters is in one at most, which bounds
/// them.
#[derive(Debug, Default)]
pub(super) struct PendingRetained {
    pub(super) walks: VecDeque<Walk>,
    /// Set while the client is in the list of those whose portion is due.
    pub(super) is_due: bool,
}

/// Options of a filter that count for retained messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) qos: QoS,
    /// Set if messages of the client itself are not wanted.
    pub(super) no_local: bool,
}

/// Walk over the retained messages for the filters of one SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Walk {
    filters: BTreeMap<Box<str>, Wanted>,
    identifier: Option<u32>,
    /// Topic of the last message that was looked at; `None` at the beginning.
    after: Option<Box<str>>,
    /// Topics behind it whose messages were given before a newer message of theirs.
    given: BTreeSet<Box<str>>,
    /// Bytes of memory of filters and topics.
    bytes: usize,
}

/// Result of a step of a walk.
pub(super) enum Step {
    Found(Message),
    /// As many comparisons as a step may make found nothing.
    Nothing,
    End,
}

impl PendingRetained {
    /// Adds the filters of a SUBSCRIBE. Those that are there already begin again.
    pub(super) fn add(&mut self, filters: BTreeMap<Box<str>, Wanted>, identifier: Option<u32>) {
        filters.keys().for_each(|filter| self.remove(filter));
        let bytes = filters.keys().map(|filter| bytes(filter)).sum();
        self.walks.push_back(Walk { filters, identifier, after: None, given: BTreeSet::new(), bytes });
    }

    /// Removes a filter, whose retained messages are not wanted any more.
    pub(super) fn remove(&mut self, filter: &str) {
        for walk in &mut self.walks {
            if walk.filters.remove(filter).is_some() {
                walk.bytes -= bytes(filter);
            }
        }
        self.walks.retain(|walk| !walk.filters.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    /// Bytes of memory of the walks.
    pub(super) fn bytes(&self) -> usize {
        self.walks.iter().map(|walk| walk.bytes).sum()
    }
}

impl Walk {
    /// Returns the QoS at which `client` wants a message, at most its own; `None` if no filter matches. Counts the comparisons.
    fn qos(&self, client: &str, retained: &RetainedMessage, comparisons: &mut usize) -> Option<QoS> {
        let publish = &retained.message.publish;
        let own = publish.qos;
        let is_theirs = retained.publisher.as_ref().is_some_and(|publisher| publisher.as_str() == client);
        let mut found = None;
        for (filter, wanted) in &self.filters {
            *comparisons += 1;
            if !(wanted.no_local && is_theirs) && matches(filter, &publish.topic) {
                found = found.max(Some(own.min(wanted.qos)));
                if found == Some(own) {
                    break;
                }
            }
        }
        found
    }

    /// Goes on to the next message that `client` wants.
    pub(super) fn step(
        &mut self,
        now_ms: u64,
        client: &str,
        retained: &Retained,
        comparisons: &mut usize,
    ) -> Step {
        let mut at = None;
        let mut step = Step::End;
        for (topic, retained) in retained.after(self.after.as_deref()) {
            at = Some(topic);
            let is_wanted = !self.given.contains(topic) && !retained.message.is_expired(now_ms);
            let qos = if is_wanted { self.qos(client, retained, comparisons) } else { None };
            *comparisons += 1;
            if let Some(qos) = qos {
                step = Step::Found(for_subscriber(&retained.message, qos, self.identifier));
                break;
            }
            if *comparisons >= COMPARISONS_MAX {
                step = Step::Nothing;
                break;
            }
        }
        if let Some(at) = at {
            self.after = Some(at.into());
        }
        step
    }

    /// Takes a retained message out of the rest of the walk. `None` if `client` does not want it, or was given it.
    pub(super) fn take(
        &mut self,
        client: &str,
        retained: &RetainedMessage,
        comparisons: &mut usize,
    ) -> Option<Message> {
        let topic = retained.message.publish.topic.as_str();
        if self.after.as_deref().is_some_and(|after| topic <= after) || self.given.contains(topic) {
            return None;
        }
        let qos = self.qos(client, retained, comparisons)?;
        self.bytes += bytes(topic);
        self.given.insert(topic.into());
        Some(for_subscriber(&retained.message, qos, self.identifier))
    }
}

fn bytes(text: &str) -> usize {
    text.len() + TEXT_OVERHEAD
}

/// Returns the message as a subscriber gets it.
pub(super) fn for_subscriber(message: &Message, qos: QoS, identifier: Option<u32>) -> Message {
    let mut message = message.clone();
    message.publish.retain = true;
    message.publish.qos = qos;
    message.identify(identifier.as_slice());
    message
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{Properties, Publish, Utf8};

    fn message(topic: &'static str) -> Message {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic: Utf8::from_static(topic),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(b"1"),
        };
        Message { publish, expires_ms: None }
    }

    fn added(pending: &mut PendingRetained, filters: &[&str]) {
        let wanted = Wanted { qos: QoS::AtMostOnce, no_local: false };
        pending.add(filters.iter().map(|filter| ((*filter).into(), wanted)).collect(), None);
    }

    /// One for each topic that changes meanwhile, and as long as a topic may be: a client that does not read gathers them.
    #[test]
    fn topics_that_were_given_before_their_turn_count_once_and_filters_until_they_are_removed() {
        let mut retained = Retained::new(10, 1_000);
        for topic in ["a/1", "a/22", "b"] {
            assert!(retained.keep(topic, &message(topic), None));
        }
        let mut pending = PendingRetained::default();
        added(&mut pending, &["a/+", "c"]);
        let of_filters = 3 + 1 + 2 * TEXT_OVERHEAD;
        assert_eq!(pending.bytes(), of_filters);
        let walk = pending.walks.front_mut().unwrap();
        let mut take = |topic| walk.take("client", retained.get(topic).unwrap(), &mut 0).is_some();
        assert_eq!(["a/22", "a/22", "b", "a/1"].map(&mut take), [true, false, false, true]);
        let given = 4 + 3 + 2 * TEXT_OVERHEAD;
        assert_eq!(pending.bytes(), of_filters + given);
        pending.remove("c");
        assert_eq!(pending.bytes(), 3 + TEXT_OVERHEAD + given);
        added(&mut pending, &["a/+"]);
        assert_eq!(pending.bytes(), 3 + TEXT_OVERHEAD, "it begins again");
    }
}
