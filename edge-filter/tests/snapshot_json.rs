//! A snapshot is read back from JSON, which has no infinities, whatever numbers the sensors sent.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use edge_filter::{Pipeline, Quality, Snapshot};
use support::{Rng, feed};

const STAGES: [&str; 12] = [
    "{ deadband = { absolute = 1.0, send_previous = true } }",
    "{ on_change = {} }",
    "{ swinging_door = { deviation = 0.5 } }",
    "{ segment_hold = { deviation = 0.5 } }",
    "{ window = { width_ms = 3000, agg = \"std_pop\" } }",
    "{ window = { width_ms = 3000, agg = \"time_avg_sloped\" } }",
    "{ window = { width_ms = 3000, agg = \"mean\" } }",
    "{ sample = { every_n = 3, pick = \"max_abs_dev\" } }",
    "{ rate_of_change = { fail_per_s = 5.0 } }, { flat_line = { suspect_s = 1, fail_s = 2, sampling_ms = 400, tolerance = 9.0 } }",
    "{ attenuated_signal = { suspect = 3.0, period_ms = 20000 } }, { jump_reject = { max_step = 40.0 } }",
    "{ hampel = { window = 5, n_sigma = 2.0, alignment = \"centered\", action = \"replace\" } }, { spike = { fail = 30.0 } }",
    "{ counter = { width_bits = 32, max_rate_per_s = 1000 } }, { scale = { factor = 1e300 } }",
];
const NUMBERS: [f64; 10] = [0.0, 1.0, 20.5, -7.0, 1e300, -1e300, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY];

fn pipeline(stages: &str, nan_is_bad: bool) -> Pipeline {
    let alarm = "[[alarm]]\nmatch = \"#\"\nhigh = { limit = 30.0 }\n";
    let defaults = format!("[defaults]\nnan_is_bad = {nan_is_bad}\n");
    Pipeline::from_toml(&format!("{defaults}[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n{alarm}"))
        .unwrap()
}

#[test]
fn numbers_near_the_largest_do_not_cost_the_snapshot() {
    let mut rng = Rng(7);
    for (stages, nan_is_bad) in STAGES.into_iter().flat_map(|stages| [(stages, true), (stages, false)]) {
        for _ in 0..100 {
            let (mut whole, mut time) = (pipeline(stages, nan_is_bad), 1_000_000);
            let sensor = whole.intern("s");
            for _ in 0..rng.below(30) {
                time += 1 + rng.below(900) as i64;
                let value = NUMBERS[rng.below(NUMBERS.len() as u64) as usize];
                feed(&mut whole, sensor, (time, value.into(), Quality::GOOD), time);
            }
            let written = serde_json::to_string(&whole.snapshot()).unwrap();
            let read: Result<Snapshot, _> = serde_json::from_str(&written);
            let mut restored = pipeline(stages, nan_is_bad);
            restored.restore(read.unwrap_or_else(|why| panic!("{stages}: {why}: {written}"))).unwrap();
            for _ in 0..20 {
                time += 1 + rng.below(900) as i64;
                let value = NUMBERS[rng.below(4) as usize];
                let of = |p: &mut Pipeline| feed(p, sensor, (time, value.into(), Quality::GOOD), time);
                let (one, other) = (of(&mut whole), of(&mut restored));
                assert_eq!(format!("{one:?}"), format!("{other:?}"), "{stages} {nan_is_bad}");
            }
        }
    }
}
