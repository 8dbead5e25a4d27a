//! Settings that are in force for a lane.

use std::time::Duration;

use super::Queue;
use crate::config::OnFull;
use crate::row::Lane;

impl Queue {
    /// Returns the age limit of a lane's rows, `None` without one, as [`crate::Queue::max_age`].
    #[must_use]
    pub fn max_age(&self, lane: Lane) -> Option<Duration> {
        self.queue.max_age(lane)
    }

    /// Returns the policy of a full lane, as [`crate::Queue::on_full`].
    #[must_use]
    pub fn on_full(&self, lane: Lane) -> Option<OnFull> {
        self.queue.on_full(lane)
    }
}
