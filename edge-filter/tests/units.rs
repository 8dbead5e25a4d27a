//! Promise 13: with another unit a sensor's name stands for another quantity, so no stage compares one with the other.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

use edge_filter::{Outcome, Pipeline, Quality, Reading, Value};

/// Every 10 s; what left of each series, with its quality, where the unit changes between the two.
fn emitted(stages: &str, before: &[f64], after: &[f64]) -> Vec<(f64, u32)> {
    let mut p = Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")).unwrap();
    let (sensor, mut out) = (p.intern("s"), Vec::new());
    for (place, &value) in before.iter().chain(after).enumerate() {
        if place == before.len() {
            p.unit_changed(sensor, &mut |emit| out.push((emit.value.as_f64().unwrap(), emit.quality.0)));
            out.clear();
        }
        let time = place as i64 * 10_000;
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        let mut made = Vec::new();
        let outcome = p.process(reading, time, &mut |emit| made.push(emit));
        let own = if let Outcome::Emit(emit) = outcome { Some(emit) } else { None };
        out.extend(made.into_iter().chain(own).map(|emit| (emit.value.as_f64().unwrap(), emit.quality.0)));
    }
    assert!(p.stats().is_balanced());
    out
}

#[test]
fn no_test_compares_two_units() {
    for stage in [
        "{ rate_of_change = { suspect_per_s = 1.0, fail_per_s = 2.0 } }",
        "{ rate_of_change = { fail_per_s = 2.0, action = \"drop\" } }",
        "{ flat_line = { suspect_s = 20, fail_s = 30, sampling_ms = 10000, tolerance = 200.0 } }",
        "{ attenuated_signal = { check = \"std\", suspect = 100.0, period_ms = 60000, min_obs = 4 } }",
        "{ attenuated_signal = { check = \"range\", suspect = 100.0, period_ms = 60000, min_obs = 4 } }",
        "{ hampel = { window = 3, min_scale = 1.0, action = \"replace\" } }",
        "{ jump_reject = { max_step = 5.0, action = \"drop\" } }",
    ] {
        let after = emitted(stage, &[20.0, 20.5, 20.0], &[68.0, 68.5]);
        assert_eq!(after, [(68.0, 0), (68.5, 0)], "{stage}");
    }
    // These judge by later ones: of each unit's own.
    for stage in [
        "{ spike = { suspect = 5.0, action = \"drop\" } }",
        "{ hampel = { window = 3, min_scale = 1.0, alignment = \"centered\", action = \"replace\" } }",
    ] {
        let after = emitted(stage, &[20.0, 20.5, 20.0], &[68.0, 68.5, 68.0]);
        assert_eq!(after, [(68.0, 0), (68.5, 0)], "{stage}");
    }
}

/// A total of Wh and kWh is none.
#[test]
fn a_total_is_of_one_unit() {
    let stage = "{ counter = { width_bits = 32, max_rate_per_s = 100.0 } }";
    assert_eq!(emitted(stage, &[5_000.0, 5_900.0], &[6.0, 7.0]), [(0.0, 0), (1.0, 0)]);
}

/// The value of a unit is not repeated as one of the next.
#[test]
fn silence_behind_a_change_of_unit_repeats_no_value_of_the_old_one() {
    let stages = "{ gross_range = { fail = [0.0, 100.0], action = \"drop\" } }, { stale = { timeout_ms = 60000, heartbeat_ms = 30000 } }";
    let mut p = Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")).unwrap();
    let sensor = p.intern("s");
    for (value, time) in [(20.0, 0), (680.0, 10_000)] {
        if time > 0 {
            p.unit_changed(sensor, &mut |_| ());
        }
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        let _ = p.process(reading, time, &mut |_| ());
    }
    let mut repeated = Vec::new();
    p.tick(1_000_000, &mut |emit| repeated.push(emit));
    assert_eq!(repeated, []);
}

/// A value that was emitted without the stages says nothing of the quantity: a total goes on.
#[test]
fn behind_what_passed_beside_the_stages_a_reading_passes_and_a_total_goes_on() {
    let stages =
        "{ counter = { width_bits = 32, max_rate_per_s = 100.0 } }, { deadband = { absolute = 1000.0 } }";
    let mut p = Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")).unwrap();
    let sensor = p.intern("s");
    let mut totals = Vec::new();
    for (value, time) in [(5_u64, 0), (15, 10_000), (25, 20_000)] {
        if time == 20_000 {
            p.passed_beside(sensor, &mut |_| ());
        }
        let reading = Reading { sensor, time, value: Value::U64(value), quality: Quality::GOOD };
        totals.push(match p.process(reading, time, &mut |_| ()) {
            Outcome::Emit(emit) => emit.value.as_f64(),
            _ => None,
        });
    }
    assert_eq!(totals, [Some(0.0), None, Some(20.0)]);
}
