//! Promise 13 on recorded data: the filter keeps exactly the rows that ten lines of plain code keep, and a real clock
//! step costs two rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::reduce::Deadband;
use edge_filter::time::TimeGuard;
use edge_filter::{DropReason, EmitReason, Outcome, Pipeline, Quality, Reading, Rule, Value};

/// The rule in its plainest form, for a series without any surprise.
fn naive(rows: &[(i64, f64)], tolerance: f64) -> Vec<(i64, f64)> {
    let mut kept: Vec<(i64, f64)> = Vec::new();
    for &(time, value) in rows {
        if kept.last().is_none_or(|last| (value - last.1).abs() > tolerance) {
            kept.push((time, value));
        }
    }
    kept
}

fn filter(p: &mut Pipeline, rows: &[(i64, f64)]) -> Vec<(i64, f64, EmitReason)> {
    let sensor = p.intern("machine_temp");
    let mut kept = Vec::new();
    for &(time, value) in rows {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        if let Outcome::Emit(e) = p.process(reading, time, &mut |e| panic!("{e:?}")) {
            kept.push((e.time, value, e.reason));
        }
    }
    assert!(p.stats().is_balanced());
    kept
}

fn pipeline(tolerance: f64) -> Pipeline {
    let rule = Rule::new().time_guard(TimeGuard::strict()).reducer(Deadband::absolute(tolerance).unwrap());
    Pipeline::builder().rule("#", rule).unwrap().build()
}

#[test]
fn promise_13_keeps_the_rows_that_the_plain_rule_keeps() {
    let rows = support::series("nab_machine_temp_3k");
    assert_eq!(rows.len(), 3000);
    let mut counts = Vec::new();
    for tolerance in [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0] {
        let expected = naive(&rows, tolerance);
        let found: Vec<_> = filter(&mut pipeline(tolerance), &rows).iter().map(|&(t, v, _)| (t, v)).collect();
        assert_eq!(found, expected, "tolerance {tolerance}");
        counts.push(expected.len());
    }
    assert!(counts.is_sorted_by(|a, b| a > b), "a wider tolerance keeps less: {counts:?}");
    println!("rows kept of 3000 at 0, 0.1, 0.5, 1, 2, 5, 20 degrees: {counts:?}");
}

#[test]
fn promise_13_every_row_is_within_the_tolerance_of_what_a_consumer_holds() {
    let rows = support::series("nab_machine_temp_3k");
    let mut kept = filter(&mut pipeline(1.0), &rows).into_iter().peekable();
    let mut held = f64::NAN;
    for (time, value) in rows {
        if kept.peek().is_some_and(|k| k.0 == time) {
            held = kept.next().unwrap().1;
        }
        assert!((held - value).abs() <= 1.0 * (1.0 + 1e-9), "@{time}");
    }
}

#[test]
fn a_real_clock_step_costs_two_rows_and_then_the_sensor_goes_on() {
    let rows = support::series("nab_machine_temp_clock_step");
    let step = rows.windows(2).position(|w| w[1].0 < w[0].0).unwrap() + 1;
    assert_eq!(rows[step].0 - rows[step - 1].0, -3_300_000);
    let mut p = pipeline(0.0);
    let kept = filter(&mut p, &rows);
    let (before, after) = rows.split_at(step);
    let mut expected = naive(before, 0.0);
    expected.extend(naive(&after[2..], 0.0));
    assert_eq!(kept.iter().map(|&(t, v, _)| (t, v)).collect::<Vec<_>>(), expected);
    assert_eq!(p.stats().dropped_by(DropReason::OutOfOrder), 2);
    let resets: Vec<_> = kept.iter().filter(|k| k.2 == EmitReason::ClockReset).map(|k| k.0).collect();
    assert_eq!(resets, [after[2].0]);

    // A caller that knows of the step loses none.
    let mut p = pipeline(0.0);
    let head = filter(&mut p, before).len();
    p.clock_stepped(0);
    assert_eq!(head + filter(&mut p, after).len(), naive(before, 0.0).len() + naive(after, 0.0).len());
}
