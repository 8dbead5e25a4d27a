//! Delivery of retained messages to new subscribers (§3.3.1.3), in portions: a SUBSCRIBE may name a hundred filters that each match all retained
//! messages. Its walk over them, in the order of their topics, goes on in [`handle_timeout`](Listener::handle_timeout), one portion of one client at a
//! time, so that other clients wait for one portion only. A client that does not read gets no portion: nothing is looked for that it has no room for.
//! Each message comes once for all filters of a SUBSCRIBE, as live messages do, and before a newer one of its topic. A walk goes on in the client's next
//! connection, and is not [saved](Listener::save).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::delivery::{Delivery, Tag};
use super::message::Message;
use super::retained::Retained;
use super::{ClientKey, Listener, turn_size};
use crate::ingest::Ingest;
use crate::wire::{Publish, QoS, matches};

/// Most comparisons of a topic with a filter in one step.
const COMPARISONS_MAX: usize = 1024;
/// Bytes of memory of a filter or topic beside its text.
const TEXT_OVERHEAD: usize = 96;

/// Walks of a client that are not at their end, one for each SUBSCRIBE, the oldest first. Each of the client's filters is in one at most, which bounds
/// them.
#[derive(Debug, Default)]
pub(super) struct PendingRetained {
    walks: VecDeque<Walk>,
    /// Set while the client is in the list of those whose portion is due.
    is_due: bool,
}

/// Walk over the retained messages for the filters of one SUBSCRIBE.
#[derive(Debug)]
struct Walk {
    filters: BTreeMap<Box<str>, QoS>,
    identifier: Option<u32>,
    /// Topic of the last message that was looked at; `None` at the beginning.
    after: Option<Box<str>>,
    /// Topics behind it whose messages were given before a newer message of theirs.
    given: BTreeSet<Box<str>>,
    /// Bytes of memory of filters and topics.
    bytes: usize,
}

/// Result of a step of a walk.
enum Step {
    Found(Message),
    /// As many comparisons as a step may make found nothing.
    Nothing,
    End,
}

impl PendingRetained {
    /// Adds the filters of a SUBSCRIBE. Those that are there already begin again.
    fn add(&mut self, filters: BTreeMap<Box<str>, QoS>, identifier: Option<u32>) {
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

    fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    /// Bytes of memory of the walks.
    pub(super) fn bytes(&self) -> usize {
        self.walks.iter().map(|walk| walk.bytes).sum()
    }
}

impl Walk {
    /// Returns the QoS at which a message of a topic is wanted, at most its own; `None` if no filter matches. Counts the comparisons.
    fn qos(&self, topic: &str, own: QoS, comparisons: &mut usize) -> Option<QoS> {
        let mut found = None;
        for (filter, qos) in &self.filters {
            *comparisons += 1;
            if matches(filter, topic) {
                found = found.max(Some(own.min(*qos)));
                if found == Some(own) {
                    break;
                }
            }
        }
        found
    }

    /// Goes on to the next message that is wanted.
    fn step(&mut self, now_ms: u64, retained: &Retained, comparisons: &mut usize) -> Step {
        let mut at = None;
        let mut step = Step::End;
        for (topic, message) in retained.after(self.after.as_deref()) {
            at = Some(topic);
            let is_wanted = !self.given.contains(topic) && !message.is_expired(now_ms);
            let qos = if is_wanted { self.qos(topic, message.publish.qos, comparisons) } else { None };
            *comparisons += 1;
            if let Some(qos) = qos {
                step = Step::Found(for_subscriber(message, qos, self.identifier));
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

    /// Takes the retained message of a topic out of the rest of the walk. `None` if it is not wanted, or was given.
    fn take(&mut self, topic: &str, message: &Message, comparisons: &mut usize) -> Option<Message> {
        if self.after.as_deref().is_some_and(|after| topic <= after) || self.given.contains(topic) {
            return None;
        }
        let qos = self.qos(topic, message.publish.qos, comparisons)?;
        self.bytes += bytes(topic);
        self.given.insert(topic.into());
        Some(for_subscriber(message, qos, self.identifier))
    }
}

fn bytes(text: &str) -> usize {
    text.len() + TEXT_OVERHEAD
}

fn for_subscriber(message: &Message, qos: QoS, identifier: Option<u32>) -> Message {
    let mut message = message.clone();
    message.publish.retain = true;
    message.publish.qos = qos;
    message.identify(identifier.as_slice());
    message
}

/// Clients whose next portion is due, in turns.
#[derive(Debug, Default)]
pub(super) struct DuePortions {
    clients: VecDeque<ClientKey>,
    /// Up time at which the first of them became due.
    since_ms: u64,
}

impl DuePortions {
    /// Up time at which a portion is due; `None` if none is.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (!self.clients.is_empty()).then_some(self.since_ms)
    }
}

impl<I: Ingest> Listener<I> {
    /// Begins to give a client the retained messages of the filters of a SUBSCRIBE, the first portion at once.
    pub(super) fn begin_retained(
        &mut self,
        now_ms: u64,
        key: ClientKey,
        filters: BTreeMap<Box<str>, QoS>,
        identifier: Option<u32>,
    ) {
        self.topics.copies += filters.len() as u64;
        for message in self.sys_messages(now_ms, &filters) {
            let qos = message.publish.qos;
            self.give_one(now_ms, key, for_subscriber(&message, qos, identifier));
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        let is_first = client.retained.is_empty();
        client.retained.add(filters, identifier);
        if is_first {
            self.give_portion(now_ms, key);
        } else {
            self.plan_portion(now_ms, key);
            self.account_client(key);
        }
    }

    /// Gives the next client its portion, if one is due.
    pub(super) fn give_due_portion(&mut self, now_ms: u64) {
        let Some(key) = self.portions.clients.pop_front() else { return };
        if let Some(client) = self.clients.get_mut(key) {
            client.retained.is_due = false;
            self.give_portion(now_ms, key);
        }
    }

    /// Puts a client in the list of those whose portion is due, if it has a walk and can take more.
    pub(super) fn plan_portion(&mut self, now_ms: u64, key: ClientKey) {
        if !self.can_take_portion(key) {
            return;
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if !std::mem::replace(&mut client.retained.is_due, true) {
            if self.portions.clients.is_empty() {
                self.portions.since_ms = now_ms;
            }
            self.portions.clients.push_back(key);
        }
    }

    /// Gives a client the retained message of a topic before a newer one of that topic, which comes while the walk has not reached it.
    pub(super) fn give_overtaken(&mut self, now_ms: u64, key: ClientKey, newer: &Publish, qos: QoS) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let is_dropped = client.connection.is_none() && qos == QoS::AtMostOnce;
        if client.retained.is_empty() || is_dropped {
            return;
        }
        let topic = newer.topic.as_str();
        let Some(message) = self.topics.retained.get(topic).filter(|m| !m.is_expired(now_ms)) else { return };
        let mut comparisons = 0;
        let walks = client.retained.walks.iter_mut();
        let taken: Vec<_> = walks.filter_map(|walk| walk.take(topic, message, &mut comparisons)).collect();
        self.topics.compared(comparisons);
        // What replaces the retained message is that itself.
        for message in taken.into_iter().filter(|_| !newer.retain) {
            self.give_one(now_ms, key, message);
        }
    }

    fn give_portion(&mut self, now_ms: u64, key: ClientKey) {
        let copies = self.topics.copies;
        while self.can_take_portion(key) {
            if turn_size::is_spent(self.topics.copies - copies) {
                self.plan_portion(now_ms, key);
                break;
            }
            let Some(client) = self.clients.get_mut(key) else { return };
            let Some(walk) = client.retained.walks.front_mut() else { break };
            let mut comparisons = 0;
            let step = walk.step(now_ms, &self.topics.retained, &mut comparisons);
            self.topics.compared(comparisons);
            match step {
                Step::Found(message) => self.give_one(now_ms, key, message),
                Step::Nothing => {}
                Step::End => drop(client.retained.walks.pop_front()),
            }
        }
        self.account_client(key);
    }

    fn give_one(&mut self, now_ms: u64, key: ClientKey, message: Message) {
        if self.may_receive(key, &message.publish.topic) {
            self.enqueue(now_ms, key, Delivery { message, tag: Tag::default() });
        } else {
            self.topics.copies += 1;
        }
    }

    /// Returns whether a client has a walk, and a message would be sent to it now.
    fn can_take_portion(&self, key: ClientKey) -> bool {
        let Some(client) = self.clients.get(key).filter(|client| !client.retained.is_empty()) else {
            return false;
        };
        let state = client.connection.and_then(|id| self.connections.get(id));
        client.waiting.len() == 0
            && state.is_some_and(|state| state.can_take(QoS::AtMostOnce, self.config.max_unwritten_bytes))
    }
}
