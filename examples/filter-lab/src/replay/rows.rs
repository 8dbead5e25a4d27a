//! The readings of a replay.

use crate::error::Error;
use edge_csv::{Lines, TimeUnit, places};
use edge_filter::Quality;
use std::collections::HashMap;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) time: i64,
    /// Numbered in the order of appearance.
    pub(super) sensor: usize,
    pub(super) value: f64,
    pub(super) quality: Quality,
}

/// Reads `ts_ms,sensor,value,quality`; other columns are not looked at.
pub(super) fn read(file: &Path) -> Result<Vec<Row>, Error> {
    let mut lines = Lines::open(file)?.time_unit(Some(TimeUnit::Milliseconds));
    let header = lines.header()?;
    let places = places(&lines, &header, ["ts_ms", "sensor", "value", "quality"])?;
    let (mut sensors, mut rows) = (HashMap::<String, usize>::new(), Vec::new());
    while let Some(cells) = lines.cells(&header)? {
        let [Some(time), Some(name), Some(value), Some(quality)] = places.map(|place| cells.get(place))
        else {
            continue;
        };
        let sensor = match sensors.get(name.text.as_ref()) {
            Some(sensor) => *sensor,
            None => {
                sensors.insert(name.text.clone().into_owned(), sensors.len());
                sensors.len() - 1
            }
        };
        let (time, value, quality) = (time.time()?, value.number()?, Quality(quality.quality()?));
        rows.push(Row { time, sensor, value, quality });
    }
    Ok(rows)
}

/// Returns a state for each sensor.
pub(super) fn states<S: Default>(rows: &[Row]) -> Vec<S> {
    let sensors = rows.iter().map(|row| row.sensor + 1).max().unwrap_or(0);
    std::iter::repeat_with(S::default).take(sensors).collect()
}

/// The indices of each sensor's rows.
pub(super) fn by_sensor(rows: &[Row]) -> Vec<Vec<usize>> {
    let mut indices = states::<Vec<usize>>(rows);
    for (index, row) in rows.iter().enumerate() {
        if let Some(of) = indices.get_mut(row.sensor) {
            of.push(index);
        }
    }
    indices
}
