//! Random histories of one sensor.

use edge_filter::Quality;
use proptest::prelude::*;

pub(crate) const START: i64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) value: f64,
    pub(crate) quality: Quality,
}

/// A history: a random walk in small steps with jumps, gaps, duplicates, clock steps, NaN and changes of status.
pub(crate) fn history() -> impl Strategy<Value = Vec<Row>> {
    let dt = prop_oneof![
        12 => 1..2_000_i64,
        1 => Just(0),
        1 => -50_000..0_i64,
        1 => Just(-600_000),
        1 => Just(4_000_000),
        1 => Just(3_000_000_000), // the future
    ];
    let step = prop_oneof![12 => -0.45..0.45, 2 => -20.0..20.0, 1 => Just(0.0)];
    let special = prop_oneof![
        14 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(Some(f64::NEG_INFINITY)),
    ];
    let quality = prop_oneof![
        14 => Just(Quality::GOOD),
        2 => Just(Quality::BAD),
        1 => Just(Quality(0x808C_0000)),
        1 => Just(Quality::UNCERTAIN),
    ];
    prop::collection::vec((dt, step, special, quality), 1..200).prop_map(|rows| {
        let (mut time, mut walk) = (START, 20.0);
        let row = |(dt, step, special, quality): (i64, f64, Option<f64>, Quality)| {
            let at = time + dt;
            // A time in the future is one reading's mistake, all others move the sensor's clock.
            time = if dt > 1_000_000_000 { time } else { at };
            walk += step;
            Row { time: at, value: special.unwrap_or(walk), quality }
        };
        rows.into_iter().map(row).collect()
    })
}
