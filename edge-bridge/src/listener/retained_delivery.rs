//! Delivery of retained messages to new subscribers (§3.3.1.3), in portions: a SUBSCRIBE may name a hundred filters that each match all retained
//! messages. Its walk over them, in the order of their topics, goes on in [`handle_timeout`](Listener::handle_timeout), one portion of one client at a
//! time, so that other clients wait for one portion only. A client that does not read gets no portion: nothing is looked for that it has no room for.
//! Each message comes once for all filters of a SUBSCRIBE, as live messages do, and before a newer one of its topic. A walk goes on in the client's next
//! connection, and is not [saved](Listener::save).

use std::collections::{BTreeMap, VecDeque};

use super::delivery::{Delivery, Tag};
use super::message::Message;
use super::retained_walk::{Step, Walk, Wanted, for_subscriber};
use super::{ClientKey, Listener, turn_size};
use crate::ingest::Ingest;
use crate::wire::{Publish, QoS};

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
        filters: BTreeMap<Box<str>, Wanted>,
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
        let retained = self.topics.retained.get(newer.topic.as_str());
        let Some(retained) = retained.filter(|retained| !retained.message.is_expired(now_ms)) else { return };
        let mut comparisons = 0;
        let walks = client.retained.walks.iter_mut();
        let take = |walk: &mut Walk| walk.take(&client.id, retained, &mut comparisons);
        let taken: Vec<_> = walks.filter_map(take).collect();
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
            let step = walk.step(now_ms, &client.id, &self.topics.retained, &mut comparisons);
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
        self.topics.copies += 1;
        if self.may_receive(key, &message.publish.topic) {
            self.enqueue(now_ms, key, Delivery::new(message, Tag::default()));
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
