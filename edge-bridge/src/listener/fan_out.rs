//! Fan-out: delivery of a message to all its subscribers (§3.3.4, §4.3, §4.9).

use super::client::Client;
use super::delivery::{Delivery, Tag};
use super::events::PublishId;
use super::message::Message;
use super::subscriptions::Receivers;
use super::{ClientKey, Listener};
use crate::ingest::Ingest;
use crate::puback_chain::ConnectionId;
use crate::session::{PublishError, Token};
use crate::wire::{Publish, QoS, ReasonCode};

impl<I: Ingest> Listener<I> {
    /// Delivers a message to every subscriber that may receive it, and to one of each group, and retains it if its retain flag is set.
    pub(super) fn distribute(
        &mut self,
        now_ms: u64,
        publish: &Publish,
        publisher: Option<ClientKey>,
        origin: Option<PublishId>,
    ) {
        let topic = publish.topic.as_str();
        self.topics.compared(self.topics.subscriptions.compared_filters());
        let receivers = self.topics.subscriptions.receivers(topic, publisher);
        if receivers.is_empty() && !publish.retain {
            return;
        }
        let message = Message::new(now_ms, publish, self.accounts.payloads());
        if publish.retain && self.config.session.retain_available {
            let publisher = publisher.and_then(|key| self.clients.get(key)).map(|client| &client.id);
            let is_kept = self.topics.retain(now_ms, topic, &message, publisher);
            self.stats.retain_refused += u64::from(!is_kept);
        }
        self.spread(now_ms, &message, receivers, origin);
    }

    /// Delivers a message, without retaining it.
    pub(super) fn spread(
        &mut self,
        now_ms: u64,
        message: &Message,
        Receivers { subscribers, groups }: Receivers,
        origin: Option<PublishId>,
    ) {
        let publish = &message.publish;
        for (key, wants) in subscribers {
            // Also of one that gets nothing: it is looked at for each message.
            self.topics.copies += 1;
            if !self.may_receive(key, &publish.topic) {
                continue;
            }
            self.give_overtaken(now_ms, key, publish, publish.qos.min(wants.qos));
            let mut message = message.clone();
            message.publish.qos = publish.qos.min(wants.qos);
            message.publish.retain = publish.retain && wants.retain_as_published;
            message.identify(&wants.identifiers);
            self.enqueue(now_ms, key, Delivery::new(message, Tag::of(origin)));
        }
        for group in groups {
            self.deliver_to_group(now_ms, message, Tag { origin, group: Some(group) });
        }
    }

    /// Queues a message for a client, and sends it if the client can take it now. The caller counts it as work of the turn.
    pub(super) fn enqueue(&mut self, now_ms: u64, key: ClientKey, delivery: Delivery) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.connection.is_none() && delivery.message.publish.qos == QoS::AtMostOnce {
            return;
        }
        self.tracking.add(delivery.tag.origin);
        if client.waiting.len() == 0 {
            client.sent_ms = now_ms;
        }
        let is_saved = client.expiry_s > 0 && delivery.message.publish.qos != QoS::AtMostOnce;
        client.waiting.push(delivery);
        match client.connection {
            None => self.changes += u64::from(is_saved),
            Some(_) => self.exchanges += u64::from(is_saved),
        }
        self.send_waiting(now_ms, key);
        while self.holds_too_much(key) && self.take_least(key) {}
        self.account_client(key);
        // From who holds most: an absent client's backlog must not cost another one its command.
        while self.accounts.waiting_bytes() > self.config.max_queued_bytes_total
            && let Some(largest) = self.accounts.most_waiting()
            && self.drop_least(largest)
        {}
    }

    fn holds_too_much(&self, key: ClientKey) -> bool {
        let Some(Client { waiting, .. }) = self.clients.get(key) else { return false };
        waiting.unsent() > self.config.max_queued || waiting.unsent_bytes() > self.config.max_queued_bytes
    }

    /// Drops the waiting message that a client needs least: the oldest, QoS 0 first. Returns `false` if none waits.
    fn drop_least(&mut self, key: ClientKey) -> bool {
        let is_dropped = self.take_least(key);
        self.account_client(key);
        is_dropped
    }

    /// Drops a message as [`drop_least`](Self::drop_least) does, for callers that account for the client themselves.
    pub(super) fn take_least(&mut self, key: ClientKey) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Some(least) = client.waiting.pop_least() else { return false };
        self.stats.dropped_full += 1;
        self.tracking.dropped(least.tag.origin);
        true
    }

    /// Sends waiting messages to a client, as far as its Receive Maximum and its limit of unwritten bytes allow.
    pub(super) fn pump(&mut self, now_ms: u64, key: ClientKey) {
        self.send_waiting(now_ms, key);
        self.plan_portion(now_ms, key);
        self.account_client(key);
    }

    fn send_waiting(&mut self, now_ms: u64, key: ClientKey) {
        while let Some(delivery) = self.next_delivery(now_ms, key) {
            if delivery.message.is_expired(now_ms) {
                self.stats.dropped_expired += 1;
                self.tracking.dropped(delivery.tag.origin);
                continue;
            }
            let Some(id) = self.clients.get(key).and_then(|client| client.connection) else { return };
            let Some(state) = self.connections.get_mut(id) else { return };
            match state.session.publish(now_ms, delivery.tag.token(), &delivery.message.packet(now_ms)) {
                Ok(()) => {
                    self.stats.sent += 1;
                    self.tracking.written(delivery.tag.origin);
                    if delivery.message.publish.qos == QoS::AtMostOnce {
                        self.tracking.sent(delivery.tag.origin);
                    }
                }
                // \[MQTT-3.1.2-25\]: as if it had been sent. Any other error says that it can never be.
                Err(error) => {
                    self.stats.dropped_too_large += u64::from(matches!(error, PublishError::TooLarge { .. }));
                    self.tracking.dropped(delivery.tag.origin);
                }
            }
            self.account_connection(id);
            self.connections.touch(id);
        }
    }

    /// Takes the oldest waiting message if the client can take it now, otherwise `None`.
    fn next_delivery(&mut self, now_ms: u64, key: ClientKey) -> Option<Delivery> {
        let client = self.clients.get_mut(key)?;
        let (id, qos) = (client.connection?, client.waiting.next_qos()?);
        let state = self.connections.get_mut(id)?;
        let wrote = state.session.release_unknown_ids(now_ms, qos);
        let can_take = state.can_take(qos, self.config.max_unwritten_bytes);
        if wrote {
            self.connections.touch(id);
        }
        if !can_take {
            return None;
        }
        if self.accounts.own_bytes() > self.config.max_memory {
            // What waits shares its bytes with all other copies; of what is sent, a small message does not.
            self.accounts.defer(key);
            return None;
        }
        client.sent_ms = now_ms;
        client.waiting.pop()
    }

    pub(super) fn on_acked(&mut self, now_ms: u64, id: ConnectionId, token: Token, reason: ReasonCode) {
        if reason.is_error() {
            self.tracking.dropped(Tag::from(token).origin);
        } else {
            self.tracking.acknowledged(Tag::from(token).origin);
        }
        let Some(state) = self.connections.get_mut(id) else { return };
        state.caught_up_ms = now_ms;
        if let Some(key) = state.client {
            self.exchanges += u64::from(self.lasts(key));
            self.pump(now_ms, key);
        }
    }

    /// Handles the end of an exchange of QoS 2, which makes room for the next message. `by_peer`: by its PUBCOMP.
    pub(super) fn on_completed(&mut self, now_ms: u64, id: ConnectionId, by_peer: bool) {
        let Some(state) = self.connections.get_mut(id) else { return };
        if by_peer {
            state.caught_up_ms = now_ms;
        }
        if let Some(key) = state.client {
            self.pump(now_ms, key);
        }
    }

    pub(super) fn on_unsendable(&mut self, token: Token) {
        self.stats.dropped_too_large += 1;
        self.tracking.dropped(Tag::from(token).origin);
    }

    /// Settles deliveries that will never reach their client as dropped.
    pub(super) fn abandon(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.tracking.dropped(delivery.tag.origin);
        }
    }
}
