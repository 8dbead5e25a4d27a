//! Downsamplers: all readings of a sensor at once.

use super::case::Config;
use super::rows::{Row, by_sensor};
use crate::error::Error;
use edge_filter::downsample;

pub(super) fn kept(kind: &str, config: &Config<'_>, rows: &[Row]) -> Result<Vec<usize>, Error> {
    let n_out = config.count("n_out")?;
    let ratio = config.maybe_count("minmax_ratio")?.unwrap_or(4);
    let mut kept = Vec::new();
    for indices in by_sensor(rows) {
        let of_sensor = || indices.iter().filter_map(|&i| rows.get(i));
        let times: Vec<i64> = of_sensor().map(|row| row.time).collect();
        let values: Vec<f64> = of_sensor().map(|row| row.value).collect();
        let chosen = match kind {
            "lttb" => downsample::lttb(&times, &values, n_out),
            "minmaxlttb" => downsample::minmaxlttb(&times, &values, n_out, ratio),
            "m4" => downsample::m4(&times, &values, n_out),
            _ => downsample::minmax(&times, &values, n_out),
        };
        let chosen = chosen.map_err(|error| config.refused(&error))?;
        kept.extend(chosen.iter().filter_map(|&i| indices.get(i)));
    }
    Ok(kept)
}
