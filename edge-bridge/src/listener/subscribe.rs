//! SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11).

use super::offline_queue::Delivery;
use super::{ClientKey, Event, Listener, Output};
use crate::chain::ConnectionId;
use crate::ingest::Ingest;
use crate::wire::{PropertyId, QoS, ReasonCode, RetainHandling, Subscribe, Subscription, Unsubscribe};

impl<I: Ingest> Listener<I> {
    pub(super) fn on_subscribe(&mut self, now_ms: u64, id: ConnectionId, subscribe: &Subscribe) {
        let Some(key) = self.connections.client(id) else { return };
        let identifier = subscribe.properties.u32(PropertyId::SubscriptionIdentifier);
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        let mut with_retained = Vec::new();
        for subscription in &subscribe.filters {
            match self.topics.subscribe(key, subscription, identifier, self.config.max_subscriptions) {
                Ok(is_new) => {
                    reasons.push(granted(subscription.qos));
                    let wanted = match subscription.retain_handling {
                        RetainHandling::Send => true,
                        RetainHandling::SendIfNew => is_new,
                        RetainHandling::DoNotSend => false,
                    };
                    if wanted {
                        with_retained.push(subscription);
                    }
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let refused = reasons.iter().filter(|reason| reason.is_error()).count();
        if let Some(client) = self.clients.get(key) {
            let granted = reasons.len() - refused;
            let client = client.id.clone();
            let event = Event::Subscribed { connection: id, client, granted, refused };
            self.outputs.push_back(Output::Event(event));
        }
        if let Some(state) = self.connections.get_mut(id) {
            state.session.suback(now_ms, subscribe.packet_id, reasons);
        }
        self.connections.touch(id);
        self.account_filters(key);
        for subscription in with_retained {
            self.send_retained(now_ms, key, subscription, identifier);
        }
    }

    pub(super) fn on_unsubscribe(&mut self, now_ms: u64, id: ConnectionId, unsubscribe: &Unsubscribe) {
        let Some(state) = self.connections.get_mut(id) else { return };
        let Some(key) = state.client else { return };
        let reasons = unsubscribe.filters.iter().map(|filter| {
            if self.topics.unsubscribe(key, filter.as_str()) {
                ReasonCode::SUCCESS
            } else {
                ReasonCode::NO_SUBSCRIPTION_EXISTED
            }
        });
        let reasons = reasons.collect();
        state.session.unsuback(now_ms, unsubscribe.packet_id, reasons);
        self.connections.touch(id);
        self.account_filters(key);
    }

    fn send_retained(
        &mut self,
        now_ms: u64,
        key: ClientKey,
        subscription: &Subscription,
        identifier: Option<u32>,
    ) {
        for mut message in self.topics.retained_for(now_ms, subscription.filter.as_str()) {
            message.publish.retain = true;
            message.publish.qos = message.publish.qos.min(subscription.qos);
            message.identify(identifier.as_slice());
            self.enqueue(now_ms, key, Delivery { message, origin: None });
        }
    }
}

fn granted(qos: QoS) -> ReasonCode {
    if qos == QoS::AtMostOnce { ReasonCode::GRANTED_QOS_0 } else { ReasonCode::GRANTED_QOS_1 }
}
