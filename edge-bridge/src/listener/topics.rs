//! Topics: the filters of all clients, and the retained message of each topic.

use super::client::ClientKey;
use super::config::Config;
use super::message::Message;
use super::retained::Retained;
use super::subscriptions::Subscriptions;
use crate::wire::Utf8;

/// Bytes of memory of a filter beside its text, which is stored twice.
const FILTER_OVERHEAD: usize = 256;
/// Bytes of memory of a group beside them. The members of a group pay for it each, because any of them may be its last.
const GROUP_OVERHEAD: usize = 256;

/// Comparisons of a filter with a topic that count as one copy of a message. Few, as many levels make one long.
const COMPARISONS: usize = 16;

/// Filters and retained messages, see the [module](self).
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: Retained,
    /// Work for subscribers so far, in copies of messages; comparisons of filters and topics count as parts of one.
    pub(super) copies: u64,
    /// Comparisons that are not counted in `copies` yet.
    comparisons: usize,
}

impl Topics {
    pub(super) fn new(config: &Config) -> Self {
        let retained = Retained::new(config.max_retained, config.max_retained_bytes);
        Self { subscriptions: Subscriptions::default(), retained, copies: 0, comparisons: 0 }
    }

    /// Counts comparisons of topics and filters, and of other things that cost as little.
    pub(super) fn compared(&mut self, comparisons: usize) {
        self.comparisons += comparisons;
        self.copies += (self.comparisons / COMPARISONS) as u64;
        self.comparisons %= COMPARISONS;
    }

    /// Retains a message, or removes the topic's retained message if the payload is empty. Returns `false` at the limit of retained messages.
    pub(super) fn retain(
        &mut self,
        now_ms: u64,
        topic: &str,
        message: &Message,
        publisher: Option<&Utf8>,
    ) -> bool {
        if self.retained.keep(topic, message, publisher) {
            return true;
        }
        let looked_at = self.retained.expire(now_ms);
        self.compared(looked_at);
        looked_at > 0 && self.retained.keep(topic, message, publisher)
    }

    /// Estimates the memory of a client's filters, in bytes. Walks over them.
    pub(super) fn filter_bytes(&self, client: ClientKey) -> usize {
        self.subscriptions.count(client) * FILTER_OVERHEAD
            + self.subscriptions.shared_count(client) * GROUP_OVERHEAD
            + 2 * self.subscriptions.bytes(client)
    }
}
