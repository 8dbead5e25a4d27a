//! Limits of one consumer's backlog.

use super::millis;

/// Limits of one consumer, in each lane, besides the lane's. A consumer that is slower than they allow is moved forward
/// alone, before its rows could evict those of others: the oldest unleased ones count as dropped for it, with a gap
/// record. They hold after every commit; between two commits rows that wait may exceed them.
///
/// Configuration, not state: given with [`Queue::consumer_with`](crate::Queue::consumer_with) after each open, also for a
/// consumer that is dead but not forgotten. Until then only the lane's limits apply.
///
/// ```
/// # use edge_queue::{Config, ConsumerConfig, Queue, StoreKind};
/// # use std::time::Duration;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let q = Queue::open("", Config::default().store(StoreKind::Memory))?;
/// let limits = ConsumerConfig::default().max_messages(50_000).lease_time(Duration::from_secs(60));
/// let dashboard = q.consumer_with("dashboard", limits)?;
/// # assert_eq!(dashboard.name(), "dashboard");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ConsumerConfig {
    pub(crate) max_messages: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_age_ms: Option<u64>,
    pub(crate) lease_ms: Option<u64>,
}

impl ConsumerConfig {
    /// Most messages (by weight) queued for the consumer in a lane, at least 1. Default: the lane's limit. Costs at most 64 KiB
    /// of RAM per lane.
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> ConsumerConfig {
        self.max_messages = Some(messages.max(1));
        self
    }

    /// Most bytes queued for the consumer in a lane, as [`Config::max_bytes`](super::Config::max_bytes) counts them, at least 1.
    /// Does not move the consumer forward while the lane's totals are not exact, such as after damage, until they were counted
    /// anew. Default: the lane's limit. Costs as `max_messages`.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> ConsumerConfig {
        self.max_bytes = Some(bytes.max(1));
        self
    }

    /// Rows older than this are skipped when the consumer reaches them, and count as expired for it alone. The shortest of this,
    /// the lane's and the row's own limit applies. A consumer that never asks for rows is bounded by messages and bytes only.
    /// Default: none.
    #[must_use]
    pub fn max_age(mut self, age: std::time::Duration) -> ConsumerConfig {
        self.max_age_ms = Some(millis(age));
        self
    }

    /// Sets the time limit of the consumer's leases, at least 1 ms: a row that is neither acknowledged nor given back within it
    /// returns to its place by itself and goes out again, to another handle of the consumer perhaps. The old
    /// [`Lease`](crate::Lease) changes nothing any more, so choose more time than a hub ever takes, because a row that is
    /// acknowledged late is sent twice. Default: no limit.
    #[must_use]
    pub fn lease_time(mut self, time: std::time::Duration) -> ConsumerConfig {
        self.lease_ms = Some(millis(time).max(1));
        self
    }
}
