//! Configuration of a second queue beside the first: see [`Queue::open_beside`](crate::Queue::open_beside).

use super::{Config, LaneConfig, OnFault, Order, ROW_BYTES_MAX, SEGMENT_EXTRA_BYTES};
use crate::row::LANES_MAX;

impl Config {
    /// Returns the configuration of the second queue: the same limits and policy, one lane in the order of pushes, and rows that
    /// are larger by `more_bytes`, as far as any queue takes them. No receipt says `Volatile` even while the disk fails, because a row leaves the first queue
    /// only when it is stored in the second.
    pub(crate) fn beside(&self, more_bytes: usize) -> Config {
        let row_bytes_max = self.row_bytes_max.saturating_add(more_bytes).min(ROW_BYTES_MAX);
        let segment_min = (row_bytes_max as u64).saturating_add(SEGMENT_EXTRA_BYTES);
        Config {
            lanes: 1,
            lane: [LaneConfig::default(); LANES_MAX],
            order: Order::Fifo,
            // Rows come with what is left of their time.
            max_age_ms: None,
            on_fault: OnFault::Withhold,
            row_bytes_max,
            segment_bytes: self.segment_bytes.max(segment_min),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_valid_has_a_valid_queue_beside_it() {
        let least = Config::default().row_bytes_max(100).segment_bytes(100 + SEGMENT_EXTRA_BYTES);
        let own = Config::default().lane(crate::row::Lane(1), LaneConfig::default().max_messages(7));
        let most = Config::default().row_bytes_max(ROW_BYTES_MAX).segment_bytes(32 << 20);
        for config in [
            Config::default(),
            least,
            most,
            own,
            Config::default().lanes(4),
            Config::default().max_messages(1),
        ] {
            config.validate().unwrap();
            config.beside(64).validate().unwrap();
        }
    }
}
