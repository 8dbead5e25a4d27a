//! Choice of the member of a [shared subscription](super::shared_subscriptions) that gets a message, and hand-over of messages from a member that will
//! not acknowledge them to another.
//!
//! The member is chosen by its room when the message comes, so that one that does not read stops nobody: first come, in turns, members that can
//! take it at once; then connected ones for which it can wait; then, for messages of QoS 1, absent ones with a session. Only when the
//! queues of all are full does one of them lose its oldest message.

use std::collections::HashSet;

use super::client::Client;
use super::connection::Connection;
use super::delivery::{Delivery, Tag};
use super::message::Message;
use super::subscription_options::Options;
use super::{ClientKey, Config, Listener};
use crate::ingest::Ingest;
use crate::wire::QoS;

/// Room of a member for a message, the best first; of equals the one with fewer waiting messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    /// The member can take the message at once.
    AtOnce,
    /// It is connected, and the message can wait for it.
    Behind(usize),
    /// It is absent, and the message can wait for it.
    Absent(usize),
    /// Its queue is full, so that it loses another message.
    Full { is_absent: bool, waiting: usize },
}

impl Room {
    /// Returns the room of a client for a message of so many bytes; `None` if it cannot get it.
    fn of(
        client: &Client,
        connection: Option<&Connection>,
        (qos, bytes): (QoS, usize),
        config: &Config,
    ) -> Option<Self> {
        let waiting = client.waiting.len();
        let is_full = client.waiting.unsent() >= config.max_queued
            || client.waiting.unsent_bytes() + bytes > config.max_queued_bytes;
        // A connection that is closing makes its client an absent one.
        let Some(state) = connection.filter(|state| state.session.is_open()) else {
            let room = if is_full { Self::Full { is_absent: true, waiting } } else { Self::Absent(waiting) };
            return (qos != QoS::AtMostOnce && client.expiry_s > 0).then_some(room);
        };
        if waiting == 0 && !state.gone && state.can_take(qos, config.max_unwritten_bytes) {
            return Some(Self::AtOnce);
        }
        Some(if is_full { Self::Full { is_absent: false, waiting } } else { Self::Behind(waiting) })
    }

    fn is_connected(self) -> bool {
        matches!(self, Self::AtOnce | Self::Behind(_))
    }
}

impl<I: Ingest> Listener<I> {
    /// Delivers a message to a member of a group, if one can get it.
    pub(super) fn deliver_to_group(&mut self, now_ms: u64, message: &Message, tag: Tag) {
        if let Some((key, options, _)) = self.choose(tag, message) {
            self.give(now_ms, key, options, message.clone(), tag);
        }
    }

    /// Gives deliveries that their client will not acknowledge to other members of their groups. Returns those that nobody takes.
    #[must_use]
    pub(super) fn hand_over(&mut self, now_ms: u64, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        deliveries.into_iter().filter_map(|delivery| self.hand_over_to(now_ms, delivery, |_| true)).collect()
    }

    /// Gives messages that wait for an absent client to members that are connected. Those of its own subscriptions, and those that nobody
    /// can take, wait on.
    pub(super) fn hand_over_waiting(&mut self, now_ms: u64, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.waiting.iter().all(|delivery| delivery.tag.group.is_none()) {
            return;
        }
        let waiting: Vec<_> = client.waiting.drain().collect();
        // Otherwise it would count twice, and cost others their messages.
        self.account_client(key);
        // Groups of which no connected member has room: its members are looked at once for each topic.
        let mut full = HashSet::new();
        let mut left = Vec::new();
        for delivery in waiting {
            // Who may receive it depends on the topic.
            let whose = delivery.tag.group.map(|group| (group, delivery.message.publish.topic.clone()));
            if whose.as_ref().is_some_and(|whose| full.contains(whose)) {
                left.push(delivery);
                continue;
            }
            let is_expired = delivery.message.is_expired(now_ms);
            let stays = self.hand_over_to(now_ms, delivery, Room::is_connected);
            if stays.is_some() && !is_expired {
                full.extend(whose);
            }
            left.extend(stays);
        }
        if let Some(client) = self.clients.get_mut(key) {
            left.into_iter().for_each(|delivery| client.waiting.push(delivery));
        }
    }

    /// Returns the delivery if no member with acceptable room takes it.
    fn hand_over_to(
        &mut self,
        now_ms: u64,
        delivery: Delivery,
        is_acceptable: impl Fn(Room) -> bool,
    ) -> Option<Delivery> {
        let tag = delivery.tag;
        if tag.group.is_none() || delivery.message.is_expired(now_ms) {
            return Some(delivery);
        }
        let chosen = self.choose(tag, &delivery.message).filter(|(_, _, room)| is_acceptable(*room));
        let Some((key, options, _)) = chosen else { return Some(delivery) };
        self.give(now_ms, key, options, delivery.for_another().message, tag);
        self.tracking.moved(tag.origin);
        None
    }

    fn give(&mut self, now_ms: u64, key: ClientKey, options: Options, mut message: Message, tag: Tag) {
        if let Some(group) = tag.group {
            self.topics.subscriptions.shared.choose(group, key);
        }
        message.publish.qos = message.publish.qos.min(options.qos);
        message.publish.retain &= options.retain_as_published;
        message.identify(options.identifier.as_slice());
        self.topics.copies += 1;
        self.enqueue(now_ms, key, Delivery::new(message, tag));
    }

    /// Returns the member with the most room among those that may receive the message. Walks over all members if none can take it at once.
    fn choose(&mut self, tag: Tag, message: &Message) -> Option<(ClientKey, Options, Room)> {
        let Self { topics, clients, connections, access, config, .. } = self;
        let (group, topic) = (tag.group?, message.publish.topic.as_str());
        if !topics.subscriptions.shared.is_for(group, topic) {
            return None;
        }
        let mut best: Option<(ClientKey, Options, Room)> = None;
        for (key, options) in topics.subscriptions.shared.in_turn(group) {
            topics.copies += 1;
            let Some(client) = clients.get(key) else { continue };
            let connection = client.connection.and_then(|id| connections.get(id));
            let qos = message.publish.qos.min(options.qos);
            let Some(room) = Room::of(client, connection, (qos, message.bytes()), config) else { continue };
            if best.as_ref().is_some_and(|(.., best)| *best <= room) {
                continue;
            }
            let may = access.authorize.as_mut().map(|rules| rules.may_receive(client.reference(), topic));
            if may.unwrap_or(true) {
                best = Some((key, options, room));
                if room == Room::AtOnce {
                    break;
                }
            }
        }
        best
    }
}
