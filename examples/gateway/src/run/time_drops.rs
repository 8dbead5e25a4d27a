//! Readings that a route's rules drop for their time: acknowledged, and lost as configured. Each sensor has a line in the
//! log, once an hour. Pure, but for that.

use std::collections::HashMap;

use edge_filter::DropReason;

/// How long a sensor's line is not repeated.
const AGAIN_MS: u64 = 3_600_000;
/// Further sensors within the hour have no line of their own; they are counted.
const SENSORS_MAX: usize = 10_000;

/// When each sensor's line was written, on the axis of `Now::up_ms`.
#[derive(Debug, Default)]
pub(crate) struct TimeDrops {
    said: HashMap<Box<str>, u64>,
    /// The first of them, once there is no room: before its hour is over a look would find nothing to forget.
    full_until_ms: u64,
}

impl TimeDrops {
    /// A reading was dropped. True if there is a line for it.
    pub(crate) fn note(&mut self, up_ms: u64, sensor: &str, reason: DropReason) -> bool {
        let is_said = |said_ms: &u64| up_ms.saturating_sub(*said_ms) < AGAIN_MS;
        if !is_for_time(reason) || self.said.get(sensor).is_some_and(is_said) {
            return false;
        }
        if self.said.len() >= SENSORS_MAX && up_ms >= self.full_until_ms {
            self.said.retain(|_, said_ms| is_said(said_ms));
            let first_ms = self.said.values().min();
            self.full_until_ms = first_ms.map_or(0, |first_ms| first_ms.saturating_add(AGAIN_MS));
        }
        if self.said.len() >= SENSORS_MAX {
            return false;
        }
        self.said.insert(sensor.into(), up_ms);
        tracing::warn!(
            sensor,
            reason = reason.as_str(),
            "acknowledged readings are dropped for their time: time_guard"
        );
        true
    }
}

/// Whether nothing that is sent stands for such a reading, and only its time is to blame.
pub(crate) fn is_for_time(reason: DropReason) -> bool {
    use DropReason as D;
    matches!(reason, D::OutOfOrder | D::Future | D::DuplicateTimestamp | D::Late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_has_one_line_an_hour_and_only_for_its_time() {
        let mut drops = TimeDrops::default();
        let late = DropReason::OutOfOrder;
        assert!(!drops.note(0, "a", DropReason::InDeadband));
        assert!(drops.note(0, "a", late) && drops.note(0, "b", late));
        assert!(!drops.note(AGAIN_MS - 1, "a", DropReason::Future));
        assert!(drops.note(AGAIN_MS, "a", DropReason::Future));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut drops = TimeDrops::default();
        let lines =
            (0..SENSORS_MAX + 5).filter(|n| drops.note(0, &n.to_string(), DropReason::Future)).count();
        assert_eq!((lines, drops.said.len()), (SENSORS_MAX, SENSORS_MAX));
        assert!(drops.note(AGAIN_MS, "later", DropReason::Future));
        assert_eq!(drops.said.len(), 1);
    }
}
