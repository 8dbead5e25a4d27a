//! Handling of SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11).

use std::collections::BTreeMap;

use super::retained_walk::Wanted;
use super::shared_subscriptions::SharedSubscriptions;
use super::{ClientKey, Event, Listener, Output};
use crate::ingest::Ingest;
use crate::puback_chain::ConnectionId;
use crate::wire::{
    PropertyId, QoS, ReasonCode, RetainHandling, SharedFilter, Subscribe, Subscription, Unsubscribe,
};

impl<I: Ingest> Listener<I> {
    pub(super) fn on_subscribe(&mut self, now_ms: u64, id: ConnectionId, subscribe: &Subscribe) {
        let Some(key) = self.connections.client(id) else { return };
        let identifier = subscribe.properties.u32(PropertyId::SubscriptionIdentifier);
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        // By filter: one that is named again has the last options.
        let mut with_retained = BTreeMap::new();
        let mut first_refused = None;
        for subscription in &subscribe.filters {
            match self.subscribe(key, subscription, identifier) {
                Ok(is_new) => {
                    reasons.push(granted(subscription.qos));
                    let is_shared = SharedSubscriptions::is_shared(&subscription.filter);
                    let wanted = !is_shared
                        && match subscription.retain_handling {
                            RetainHandling::Send => true,
                            RetainHandling::SendIfNew => is_new,
                            RetainHandling::DoNotSend => false,
                        };
                    if wanted {
                        let wanted = Wanted { qos: subscription.qos, no_local: subscription.no_local };
                        with_retained.insert(subscription.filter.as_str().into(), wanted);
                    }
                }
                Err(reason) => {
                    first_refused.get_or_insert_with(|| (subscription.filter.detached(), reason));
                    reasons.push(reason);
                }
            }
        }
        let refused = reasons.iter().filter(|reason| reason.is_error()).count();
        self.stats.filters_refused += refused as u64;
        if let Some(client) = self.clients.get(key) {
            let granted = reasons.len() - refused;
            let client = client.id.clone();
            let event = Event::Subscribed { connection: id, client, granted, refused, first_refused };
            self.outputs.push_back(Output::Event(event));
        }
        if let Some(state) = self.connections.get_mut(id) {
            state.session.suback(now_ms, subscribe.packet_id, reasons);
        }
        self.connections.touch(id);
        self.note_change(key, false);
        self.account_filters(key);
        self.watch_figures(now_ms, key);
        if !with_retained.is_empty() {
            self.begin_retained(now_ms, key, with_retained, identifier);
        }
    }

    /// Adds or replaces a subscription. Returns `true` if it is new, and the SUBACK's reason code if it is refused.
    pub(super) fn subscribe(
        &mut self,
        client: ClientKey,
        subscription: &Subscription,
        identifier: Option<u32>,
    ) -> Result<bool, ReasonCode> {
        let filter = subscription.filter.as_str();
        // In 3.1.1 the codec takes any filter. Granted as a plain filter it would match nothing.
        let shared = SharedFilter::parse(filter).map_err(|_| ReasonCode::TOPIC_FILTER_INVALID)?;
        if shared.is_some() && !self.config.session.shared_subscription_available {
            return Err(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        let subscriptions = &mut self.topics.subscriptions;
        let is_full = subscriptions.count(client) >= self.config.max_subscriptions;
        if is_full && !subscriptions.contains(client, filter) {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        Ok(subscriptions.insert(client, subscription, identifier))
    }

    pub(super) fn on_unsubscribe(&mut self, now_ms: u64, id: ConnectionId, unsubscribe: &Unsubscribe) {
        let Some(state) = self.connections.get_mut(id) else { return };
        let Some(key) = state.client else { return };
        if let Some(client) = self.clients.get_mut(key) {
            unsubscribe.filters.iter().for_each(|filter| client.retained.remove(filter));
        }
        let reasons = unsubscribe.filters.iter().map(|filter| {
            if self.topics.subscriptions.remove(key, filter.as_str()) {
                ReasonCode::SUCCESS
            } else {
                ReasonCode::NO_SUBSCRIPTION_EXISTED
            }
        });
        let reasons = reasons.collect();
        state.session.unsuback(now_ms, unsubscribe.packet_id, reasons);
        self.connections.touch(id);
        self.note_change(key, false);
        self.account_filters(key);
    }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        QoS::AtLeastOnce => ReasonCode::GRANTED_QOS_1,
        QoS::ExactlyOnce => ReasonCode::GRANTED_QOS_2,
    }
}
