//! Promise 13 on whole recorded series: the rows kept are those that an independent program keeps (ten lines of Python
//! per filter, counts below), and the reductions are what the filters are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::Quality;
use edge_filter::reduce::{
    Deadband, DeadbandState, ReleasedReading, SegmentHold, SegmentHoldState, SwingingDoor, SwingingDoorState,
    Verdict,
};

type Rows = [(i64, f64)];

/// The times of what is kept.
fn deadband(rows: &Rows, tolerance: f64) -> Vec<i64> {
    let (stage, mut state) = (Deadband::absolute(tolerance).unwrap(), DeadbandState::default());
    let passes = |&(time, v): &(i64, f64)| stage.check(&mut state, v, Quality::GOOD, time).map(|_| time);
    rows.iter().filter_map(passes).collect()
}

fn swinging_door(rows: &Rows, deviation: f64) -> Vec<i64> {
    let (stage, mut state, mut kept) =
        (SwingingDoor::new(deviation).unwrap(), SwingingDoorState::default(), Vec::new());
    for &(time, v) in rows {
        let mut sink = |released: ReleasedReading| kept.push(released.time);
        if let Verdict::Emit(_) = stage.check(&mut state, v, Quality::GOOD, time, &mut sink) {
            kept.push(time);
        }
    }
    stage.flush(&mut state, &mut |released| kept.push(released.time));
    kept
}

/// OPC UA Part 4: further from the last that was kept than the deadband.
fn plain_deadband(rows: &Rows, tolerance: f64) -> Vec<i64> {
    let mut kept: Vec<(i64, f64)> = Vec::new();
    for &(time, v) in rows {
        if kept.last().is_none_or(|last| (last.1 - v).abs() > tolerance) {
            kept.push((time, v));
        }
    }
    kept.iter().map(|row| row.0).collect()
}

/// The slope check in its plainest form: every reading since the start of the line is looked at again, and allows the
/// slopes `(v ± deviation - a) / (t - t_a)`.
fn plain_door(rows: &Rows, deviation: f64) -> Vec<i64> {
    let (mut start, mut kept) = (0, vec![rows[0].0]);
    for now in 2..rows.len() {
        let (t_a, a) = rows[start];
        let slope = |at: usize, off: f64| (rows[at].1 + off - a) / (rows[at].0 - t_a) as f64;
        let allows = |at: usize| (slope(at, -deviation)..=slope(at, deviation)).contains(&slope(now, 0.0));
        if !(start + 1..now).all(allows) {
            start = now - 1;
            kept.push(rows[start].0);
        }
    }
    kept.push(rows[rows.len() - 1].0);
    kept
}

fn segment_hold(rows: &Rows, deviation: f64) -> usize {
    let (stage, mut state, mut kept) = (SegmentHold::new(deviation).unwrap(), SegmentHoldState::default(), 0);
    for &(time, v) in rows {
        let verdict = stage.check(&mut state, v, Quality::GOOD, time, &mut |_| kept += 1);
        kept += usize::from(matches!(verdict, Verdict::Emit(_)));
    }
    stage.flush(&mut state, &mut |_| kept += 1);
    kept
}

/// From the 0.1 to the 99.9 percentile, so that one outlier does not set the scale.
fn span(rows: &Rows) -> f64 {
    let mut values: Vec<f64> = rows.iter().map(|row| row.1).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[(part * (values.len() - 1) as f64) as usize];
    at(0.999) - at(0.001)
}

#[test]
fn promise_13_whole_series_keep_the_rows_of_the_reference() {
    for (name, percent, expected) in [
        ("nab_machine_temp", 0.5, [16_144, 16_248, 12_057]),
        ("nab_machine_temp", 1.0, [10_611, 11_786, 5_963]),
        ("nab_machine_temp", 2.0, [3_251, 4_364, 1_415]),
        ("nab_rds_cpu", 0.5, [3_468, 3_688, 3_412]),
        ("nab_rds_cpu", 2.0, [2_799, 2_937, 2_046]),
    ] {
        let rows = support::series(name);
        let tolerance = percent / 100.0 * span(&rows);
        let kept = [
            deadband(&rows, tolerance).len(),
            swinging_door(&rows, tolerance).len(),
            segment_hold(&rows, tolerance),
        ];
        assert_eq!(kept, expected, "{name} at {percent} %");
        println!(
            "{name} at {percent} % of span: of {} rows deadband, door, segments keep {kept:?}",
            rows.len()
        );
    }
}

/// The first of the series: the plain door looks at every line again and again.
fn rounded(name: &str, decimals: i32) -> Vec<(i64, f64)> {
    let ten = 10_f64.powi(decimals);
    support::series(name).into_iter().take(2000).map(|(time, v)| (time, (v * ten).round() / ten)).collect()
}

/// Of decimals at a round tolerance many are exactly on the edge: there rounding decides.
#[test]
fn promise_13_the_very_rows_of_the_definitions_are_kept_at_round_tolerances_too() {
    let mut compared = 0;
    for (name, decimals) in [("nab_machine_temp_3k", 1), ("nab_rds_cpu", 2), ("nab_rds_cpu", 1)] {
        let rows = rounded(name, decimals);
        for tolerance in [0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0] {
            assert!(deadband(&rows, tolerance) == plain_deadband(&rows, tolerance), "{name} {tolerance}");
            assert!(swinging_door(&rows, tolerance) == plain_door(&rows, tolerance), "{name} {tolerance}");
            compared += 2;
        }
    }
    println!("executed filter rows at round tolerances: {compared} cases");
}

/// Negative control: values that are off by less than anybody would see keep other rows.
#[test]
fn the_comparison_of_rows_sees_the_last_digits() {
    let rows = rounded("nab_rds_cpu", 1);
    let off: Vec<_> = rows.iter().map(|&(time, v)| (time, v + 1e-9 * (time / 300_000 % 2) as f64)).collect();
    assert!(swinging_door(&off, 0.1) != plain_door(&rows, 0.1));
    assert!(deadband(&off, 0.1) != plain_deadband(&rows, 0.1));
}

#[test]
fn segments_keep_less_than_a_deadband_at_the_same_error() {
    let rows = support::series("nab_machine_temp");
    let ratio = |percent: f64| {
        let tolerance = percent / 100.0 * span(&rows);
        deadband(&rows, tolerance).len() as f64 / segment_hold(&rows, tolerance) as f64
    };
    assert!(ratio(0.5) >= 1.3 && ratio(2.0) >= 2.0, "{} {}", ratio(0.5), ratio(2.0));
}

/// A slow swing with as much noise as gives the reductions that were measured of a thermocouple whose recording is not
/// free to be copied (SKAB: 12.5 times by the deadband, 29.3 times by segments).
#[test]
fn on_a_thermocouple_segments_keep_half_of_what_a_deadband_keeps() {
    let mut rng = support::Rng(11);
    let noise = |rng: &mut support::Rng| (0..4).map(|_| rng.below(2001) as f64 / 1000.0 - 1.0).sum::<f64>();
    let rows: Vec<_> =
        (0..9_405).map(|i| (i * 1000, (i as f64 / 1500.0).sin() + noise(&mut rng) * 0.0033)).collect();
    let span = span(&rows);
    let mut steps: Vec<f64> = rows.windows(2).map(|w| (w[1].1 - w[0].1).abs() / span).collect();
    steps.sort_by(f64::total_cmp);
    let tolerance = 0.005 * span;
    let (deadband, segments) = (deadband(&rows, tolerance).len(), segment_hold(&rows, tolerance));
    println!(
        "9405 rows, median step {:.5} of the span, at 0.5 %: deadband {deadband}, segments {segments}",
        steps[steps.len() / 2]
    );
    assert!(deadband >= 2 * segments, "deadband {deadband}, segments {segments}");
}

#[test]
fn on_ramps_a_swinging_door_keeps_a_tenth_of_what_a_deadband_keeps() {
    // Ramps of 4700 readings up and down over the span, with noise of 0.02 % of it.
    let mut rng = support::Rng(7);
    let noise = |rng: &mut support::Rng| (rng.below(2001) as f64 / 1000.0 - 1.0) * 0.0002;
    let ramp = |i: i64| if i / 4700 % 2 == 0 { i % 4700 } else { 4700 - i % 4700 };
    let rows: Vec<_> = (0..20_000).map(|i| (i * 1000, ramp(i) as f64 / 4700.0 + noise(&mut rng))).collect();
    let (deadband, door) = (deadband(&rows, 0.0025).len(), swinging_door(&rows, 0.0025).len());
    println!("20000 rows of ramps at 0.25 %: deadband {deadband}, door {door}");
    assert!(deadband >= 10 * door, "deadband {deadband}, door {door}");
}
