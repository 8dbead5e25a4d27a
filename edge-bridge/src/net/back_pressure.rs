//! Back-pressure: while the queue of a subscription is full the link reads nothing for a moment, so that the hub's messages wait in the network. It
//! is bounded in time, since the acknowledgements of what is published come by the same stream: whoever takes longer misses messages, and
//! they are asked for again.

use std::sync::Arc;

use super::subscription_queue::SubscriptionQueue;

/// Milliseconds for which nothing is read at most, each time that a queue becomes full.
const PAUSE_MS: u64 = 1_000;

#[derive(Debug)]
struct Full {
    queue: Arc<SubscriptionQueue>,
    /// End of the pause; set when it is first looked at.
    until_ms: Option<u64>,
}

/// Queues that are full, and the end of the pause for each.
#[derive(Debug, Default)]
pub(super) struct BackPressure {
    full: Vec<Full>,
}

impl BackPressure {
    /// This queue has become full.
    pub(super) fn add(&mut self, queue: &Arc<SubscriptionQueue>) {
        self.full.push(Full { queue: queue.clone(), until_ms: None });
    }

    /// Returns the time until which nothing is to be read; `None` if that is over.
    pub(super) fn until_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.full.retain(|full| full.queue.is_full());
        let until = self.full.iter_mut().map(|full| *full.until_ms.get_or_insert(now_ms + PAUSE_MS));
        until.max().filter(|until_ms| now_ms < *until_ms)
    }
}
