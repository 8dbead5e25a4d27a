//! Validation of a configuration: each value within its range, by the name and the figure that were given.

use super::{BYTES_MIN, Config, MIB, Order, ROW_BYTES_MAX, SEGMENT_EXTRA_BYTES, StoreKind};
use crate::error::ConfigError;
use crate::row::{LANES_MAX, Lane};
use crate::store::SEGMENT_BYTES_MAX;

const ACK_WITHIN_MS_MAX: u64 = 3_600_000;

impl Config {
    /// Checks the values against each other; `Queue::open` does it too.
    ///
    /// # Errors
    /// The first setting outside its limits, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("lanes", u64::from(self.lanes), 1, LANES_MAX as u64)?;
        within("ack_within", self.ack_within_ms, 1, ACK_WITHIN_MS_MAX)?;
        within("commit_bytes", self.commit_bytes, 1, 1024 * MIB)?;
        within("row_bytes_max", self.row_bytes_max as u64, 1, ROW_BYTES_MAX as u64)?;
        within("cursor_lag", self.cursor_lag, 1, 1_000_000)?;
        within("max_unwritten_bytes", self.max_unwritten_bytes, 4096, 1024 * MIB)?;
        let segment_min = self.row_bytes_max as u64 + SEGMENT_EXTRA_BYTES;
        within("segment_bytes", self.segment_bytes, segment_min, SEGMENT_BYTES_MAX)?;
        limit_of_messages(self.max_messages)?;
        limit_of_bytes(self.max_bytes)?;
        limit_of_age(self.max_age_ms)?;
        if self.key.is_some() && self.store == StoreKind::Redb {
            let problem = "redb keeps rows as they are: only the ring store encrypts".to_owned();
            return Err(ConfigError { key: "encryption", problem });
        }
        for at in 0..self.lanes {
            self.validate_lane(Lane(at)).map_err(|ConfigError { key, problem }| ConfigError {
                key,
                problem: format!("{problem} (lane {at})"),
            })?;
        }
        Ok(())
    }

    fn validate_lane(&self, lane: Lane) -> Result<(), ConfigError> {
        // A share of the queue's limits is in range if they are: what is refused here was set for the lane.
        let limits = self.lane_limits(lane);
        limit_of_messages(limits.messages)?;
        limit_of_bytes(limits.bytes)?;
        limit_of_age(limits.max_age_ms)?;
        if let Order::LiveFirst { backlog_one_in, behind_rows } = limits.order {
            within("backlog_one_in", u64::from(backlog_one_in), 2, 1_000)?;
            within("behind_rows", u64::from(behind_rows), 1, 10_000)?;
        }
        Ok(())
    }
}

fn limit_of_messages(messages: u64) -> Result<(), ConfigError> {
    within("max_messages", messages, 1, u64::MAX / 4)
}

fn limit_of_bytes(bytes: u64) -> Result<(), ConfigError> {
    within("max_bytes", bytes, BYTES_MIN, 1024 * 1024 * MIB)
}

fn limit_of_age(age_ms: Option<u64>) -> Result<(), ConfigError> {
    let problem = || "less than 1 ms, at which every row is too old; leave it out for no limit".to_owned();
    if age_ms == Some(0) { Err(ConfigError { key: "max_age", problem: problem() }) } else { Ok(()) }
}

fn within(key: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError { key, problem: format!("{value} is outside {min} to {max}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LaneConfig;

    /// A lane that goes may come back, and has its limits then.
    #[test]
    fn limits_of_a_lane_that_is_not_there_wait_for_it() {
        let config = Config::default().lane(Lane(2), LaneConfig::default().max_messages(7));
        config.validate().unwrap();
        assert_eq!(config.lanes(3).lane_limits(Lane(2)).messages, 7);
    }

    #[test]
    fn an_impossible_value_is_named_with_its_limit() {
        let error = Config::default().max_bytes(u64::MAX).validate().unwrap_err();
        assert_eq!(error.to_string(), "max_bytes: 18446744073709551615 is outside 33 to 1099511627776");
        let error = Config::default().max_bytes(10).validate().unwrap_err();
        assert_eq!(error.to_string(), "max_bytes: 10 is outside 33 to 1099511627776");
        let own = Config::default().lane(Lane(1), LaneConfig::default().max_bytes(10));
        let error = own.validate().unwrap_err();
        assert_eq!(error.to_string(), "max_bytes: 10 is outside 33 to 1099511627776 (lane 1)");
        let error = Config::default().lanes(5).validate().unwrap_err();
        assert_eq!(error.to_string(), "lanes: 5 is outside 1 to 4");
        assert_eq!(Config::default().max_messages(0).validate().unwrap_err().key, "max_messages");
        let age = Config::default().max_age(std::time::Duration::from_micros(999));
        assert_eq!(age.validate().unwrap_err().key, "max_age");
        let age = LaneConfig::default().max_age(std::time::Duration::ZERO);
        assert_eq!(Config::default().lane(Lane(0), age).validate().unwrap_err().key, "max_age");
        assert_eq!(Config::default().segment_bytes(4096).validate().unwrap_err().key, "segment_bytes");
        let error = Config::default().segment_bytes(SEGMENT_BYTES_MAX + 1).validate().unwrap_err();
        assert_eq!(error.to_string(), "segment_bytes: 67108865 is outside 393216 to 67108864");
        let all_backlog = Order::LiveFirst { backlog_one_in: 1, behind_rows: 64 };
        assert_eq!(Config::default().order(all_backlog).validate().unwrap_err().key, "backlog_one_in");
        Config::default().max_messages(1).max_bytes(100).validate().unwrap();
    }
}
