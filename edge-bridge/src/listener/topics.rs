//! Topics: the filters of all clients, and the message that is retained under each name.

use super::client::ClientKey;
use super::config::Config;
use super::message::Message;
use super::retained::Retained;
use super::subscriptions::{Match, Subscriptions};
use crate::wire::{ReasonCode, SharedFilter, Subscription};

/// Memory of a filter beside its text, which is kept twice.
const FILTER_OVERHEAD: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Topics {
    subscriptions: Subscriptions,
    retained: Retained,
}

impl Topics {
    pub(super) fn new(config: &Config) -> Self {
        let retained = Retained::new(config.max_retained, config.max_retained_bytes);
        Self { subscriptions: Subscriptions::default(), retained }
    }

    /// Adds or replaces a subscription of a client that may have `max` of them. Returns whether it is a new one.
    pub(super) fn subscribe(
        &mut self,
        client: ClientKey,
        subscription: &Subscription,
        identifier: Option<u32>,
        max: usize,
    ) -> Result<bool, ReasonCode> {
        let filter = subscription.filter.as_str();
        // A 3.1.1 client is told 0x80. Granted as a plain filter it would match nothing.
        if SharedFilter::parse(filter) != Ok(None) {
            return Err(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if self.subscriptions.count(client) >= max && !self.subscriptions.contains(client, filter) {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        Ok(self.subscriptions.insert(client, subscription, identifier))
    }

    /// Returns whether there was such a subscription.
    pub(super) fn unsubscribe(&mut self, client: ClientKey, filter: &str) -> bool {
        self.subscriptions.remove(client, filter)
    }

    /// Ends all subscriptions of a client.
    pub(super) fn remove_client(&mut self, client: ClientKey) {
        self.subscriptions.remove_client(client);
    }

    /// The clients for a message that `publisher` sent, each once, in their order.
    pub(super) fn subscribers(
        &self,
        topic: &str,
        publisher: Option<ClientKey>,
    ) -> impl ExactSizeIterator<Item = (ClientKey, Match)> + use<> {
        self.subscriptions.matching(topic, publisher).into_iter()
    }

    /// Retains a message, or ends that of its topic if the payload is empty. `false` if there is no room for it.
    pub(super) fn retain(&mut self, now_ms: u64, topic: &str, message: &Message) -> bool {
        self.retained.keep(topic, message) || {
            self.retained.expire(now_ms);
            self.retained.keep(topic, message)
        }
    }

    /// Retained messages for a new subscription. Cost: a walk over all.
    pub(super) fn retained_for(&self, now_ms: u64, filter: &str) -> Vec<Message> {
        self.retained.matching(now_ms, filter)
    }

    /// Number of retained messages.
    pub(super) fn retained(&self) -> usize {
        self.retained.len()
    }

    /// Memory of the retained messages, in bytes, about.
    pub(super) fn retained_bytes(&self) -> usize {
        self.retained.bytes()
    }

    /// Memory of a client's filters, in bytes, about. Cost: a walk over them.
    pub(super) fn filter_bytes(&self, client: ClientKey) -> usize {
        self.subscriptions.count(client) * FILTER_OVERHEAD + 2 * self.subscriptions.bytes(client)
    }
}
