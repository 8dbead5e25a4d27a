//! Limit alarms: one state per sensor, as an EPICS record has it.

use super::case::Config;
use super::rows::{Row, states};
use crate::error::Error;
use edge_filter::alarm::{AlarmLevel, ExclusiveAlarm, ExclusiveAlarmState, ExclusiveState};
use std::fmt::Write as _;

pub(super) fn table(config: &Config<'_>, rows: &[Row]) -> Result<String, Error> {
    let refused = |error| config.refused(&error);
    let mut alarm = ExclusiveAlarm::new(config.maybe_number("hyst")?.unwrap_or(0.0)).map_err(refused)?;
    let levels = [
        ("hihi", AlarmLevel::HighHigh),
        ("high", AlarmLevel::High),
        ("low", AlarmLevel::Low),
        ("lolo", AlarmLevel::LowLow),
    ];
    for (key, level) in levels {
        if let Some(limit) = config.maybe_number(key)? {
            alarm = alarm.limit(level, limit).map_err(refused)?;
        }
    }
    let mut sensors: Vec<(ExclusiveAlarmState, Option<ExclusiveState>)> = states(rows);
    let mut table = String::from("idx,state\n");
    for (index, row) in rows.iter().enumerate() {
        let Some((state, last)) = sensors.get_mut(row.sensor) else { continue };
        let now = alarm.check(state, row.value, row.quality);
        if last.replace(now) != Some(now) {
            let _ = writeln!(table, "{index},{}", now.as_str());
        }
    }
    Ok(table)
}
