//! Readings that a route's rules drop because of their timestamp. They are acknowledged and lost, as configured. Each sensor has one log line an
//! hour. Pure, except for the log.

use edge_bridge::escape::Escaped;
use edge_filter::DropReason;

use crate::run::log::once_an_hour::OnceAnHour;

/// Rate limit of the log lines about such readings.
#[derive(Debug, Default)]
pub(crate) struct TimeDrops {
    lines: OnceAnHour,
}

impl TimeDrops {
    /// Counts a dropped reading. Returns whether it gets a log line.
    pub(crate) fn note(&mut self, up_ms: u64, sensor: &str, reason: DropReason) -> bool {
        if !is_for_time(reason) || !self.lines.may_say(up_ms, sensor) {
            return false;
        }
        tracing::warn!(
            sensor = %format_args!("\"{}\"", Escaped(sensor)),
            reason = reason.as_str(),
            "acknowledged readings are dropped for their time: time_guard"
        );
        true
    }
}

/// Returns whether a reading is dropped only because of its timestamp, so that no sent reading represents it.
pub(crate) fn is_for_time(reason: DropReason) -> bool {
    use DropReason as D;
    matches!(reason, D::OutOfOrder | D::Future | D::DuplicateTimestamp | D::Late)
}

#[cfg(test)]
mod tests {
    use crate::run::log::once_an_hour::AGAIN_MS;

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
}
