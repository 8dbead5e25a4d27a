//! Back-pressure: while the queue of a subscription is full the link reads nothing for a moment, so that the hub's messages wait in the network.
//! The pause is short, because PUBACKs for published messages come by the same stream. If the application takes longer, messages stay
//! unacknowledged, and the hub sends them again on a new connection.

use std::sync::Arc;

use super::subscription_queue::SubscriptionQueue;

/// Longest pause in milliseconds each time that a queue becomes full.
const PAUSE_MS: u64 = 1_000;

#[derive(Debug)]
struct Full {
    queue: Arc<SubscriptionQueue>,
    /// Up time at which the pause ends; `None` until it is first read.
    until_ms: Option<u64>,
}

/// Queues that are full, and the end of the pause for each.
#[derive(Debug, Default)]
pub(super) struct BackPressure {
    full: Vec<Full>,
}

impl BackPressure {
    /// Adds a queue that has become full.
    pub(super) fn add(&mut self, queue: &Arc<SubscriptionQueue>) {
        self.full.push(Full { queue: queue.clone(), until_ms: None });
    }

    /// Up time until which the link reads nothing; `None` if it may read.
    pub(super) fn until_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.full.retain(|full| full.queue.is_full());
        let until = self.full.iter_mut().map(|full| *full.until_ms.get_or_insert(now_ms + PAUSE_MS));
        until.max().filter(|until_ms| now_ms < *until_ms)
    }
}
