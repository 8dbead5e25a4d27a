//! Topics: the filters of all clients, and the retained message of each topic.

use super::client::ClientKey;
use super::config::Config;
use super::message::Message;
use super::retained::Retained;
use super::subscriptions::Subscriptions;

/// Bytes of memory of a filter beside its text, which is stored twice.
const FILTER_OVERHEAD: usize = 256;
/// Bytes of memory of a group beside them. The members of a group pay for it each, because any of them may be its last.
const GROUP_OVERHEAD: usize = 256;

/// Filters and retained messages, see the [module](self).
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: Retained,
    /// Number of copies made for subscribers so far.
    pub(super) copies: u64,
}

impl Topics {
    pub(super) fn new(config: &Config) -> Self {
        let retained = Retained::new(config.max_retained, config.max_retained_bytes);
        Self { subscriptions: Subscriptions::default(), retained, copies: 0 }
    }

    /// Retains a message, or removes the topic's retained message if the payload is empty. Returns `false` at the limit of retained messages.
    pub(super) fn retain(&mut self, now_ms: u64, topic: &str, message: &Message) -> bool {
        self.retained.keep(topic, message) || {
            self.retained.expire(now_ms);
            self.retained.keep(topic, message)
        }
    }

    /// Estimates the memory of a client's filters, in bytes. Walks over them.
    pub(super) fn filter_bytes(&self, client: ClientKey) -> usize {
        self.subscriptions.count(client) * FILTER_OVERHEAD
            + self.subscriptions.shared_count(client) * GROUP_OVERHEAD
            + 2 * self.subscriptions.bytes(client)
    }
}
