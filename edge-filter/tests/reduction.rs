//! Promise 13 on whole recorded series: the rows kept are those that an independent program keeps (ten lines of Python
//! per filter, counts below), and the reductions are what the filters are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::{
    Deadband, DeadbandState, Quality, SegmentHold, SegmentHoldState, SwingingDoor, SwingingDoorState, Verdict,
};

type Rows = [(i64, f64)];

fn deadband(rows: &Rows, tolerance: f64) -> usize {
    let (stage, mut state) = (Deadband::absolute(tolerance).unwrap(), DeadbandState::default());
    rows.iter().filter(|(time, v)| stage.check(&mut state, *v, Quality::GOOD, *time).is_some()).count()
}

fn swinging_door(rows: &Rows, deviation: f64) -> usize {
    let (stage, mut state, mut kept) =
        (SwingingDoor::new(deviation).unwrap(), SwingingDoorState::default(), 0);
    for &(time, v) in rows {
        let verdict = stage.check(&mut state, v, Quality::GOOD, time, &mut |_| kept += 1);
        kept += usize::from(matches!(verdict, Verdict::Emit(_)));
    }
    stage.flush(&mut state, &mut |_| kept += 1);
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
        let kept =
            [deadband(&rows, tolerance), swinging_door(&rows, tolerance), segment_hold(&rows, tolerance)];
        assert_eq!(kept, expected, "{name} at {percent} %");
        println!(
            "{name} at {percent} % of span: of {} rows deadband, door, segments keep {kept:?}",
            rows.len()
        );
    }
}

#[test]
fn segments_keep_less_than_a_deadband_at_the_same_error() {
    let rows = support::series("nab_machine_temp");
    let ratio = |percent: f64| {
        let tolerance = percent / 100.0 * span(&rows);
        deadband(&rows, tolerance) as f64 / segment_hold(&rows, tolerance) as f64
    };
    assert!(ratio(0.5) >= 1.3 && ratio(2.0) >= 2.0, "{} {}", ratio(0.5), ratio(2.0));
}

#[test]
fn on_ramps_a_swinging_door_keeps_a_tenth_of_what_a_deadband_keeps() {
    // Ramps of 500 readings up and down over the span, with noise of 0.02 % of it.
    let mut rng = support::Rng(7);
    let noise = |rng: &mut support::Rng| (rng.below(2001) as f64 / 1000.0 - 1.0) * 0.0002;
    let ramp = |i: i64| if i / 500 % 2 == 0 { i % 500 } else { 500 - i % 500 };
    let rows: Vec<_> = (0..20_000).map(|i| (i * 1000, ramp(i) as f64 / 500.0 + noise(&mut rng))).collect();
    let (deadband, door) = (deadband(&rows, 0.0025), swinging_door(&rows, 0.0025));
    assert!(deadband >= 10 * door, "deadband {deadband}, door {door}");
    println!("20000 rows of ramps at 0.25 %: deadband {deadband}, door {door}");
}
