//! Limits of one lane, set where they differ from those of the queue.

use super::{OnFull, Order, millis};

/// Limits of one lane where they differ from the queue's.
///
/// ```
/// # use edge_queue::{Config, Lane, LaneConfig, OnFull, Order};
/// let telemetry = LaneConfig::default().order(Order::live_first()).on_full(OnFull::DropOldest);
/// let alarms = LaneConfig::default().max_messages(10_000).on_full(OnFull::Reject);
/// let config = Config::default().lane(Lane::ALARM, alarms).lane(Lane::TELEMETRY, telemetry);
/// # config.validate()?;
/// # Ok::<(), edge_queue::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LaneConfig {
    pub(super) max_messages: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_age_ms: Option<u64>,
    pub(super) on_full: Option<OnFull>,
    pub(super) order: Option<Order>,
}

impl LaneConfig {
    /// Sets the lane's limit of messages, as [`Config::max_messages`](super::Config::max_messages).
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> LaneConfig {
        self.max_messages = Some(messages);
        self
    }

    /// Sets the lane's limit of bytes, as [`Config::max_bytes`](super::Config::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> LaneConfig {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets the age limit of the lane's rows, as [`Config::max_age`](super::Config::max_age).
    #[must_use]
    pub fn max_age(mut self, age: std::time::Duration) -> LaneConfig {
        self.max_age_ms = Some(millis(age));
        self
    }

    /// Sets the policy of the full lane, as [`Config::on_full`](super::Config::on_full).
    #[must_use]
    pub fn on_full(mut self, policy: OnFull) -> LaneConfig {
        self.on_full = Some(policy);
        self
    }

    /// Order of delivery, as [`Config::order`](super::Config::order).
    #[must_use]
    pub fn order(mut self, order: Order) -> LaneConfig {
        self.order = Some(order);
        self
    }
}
