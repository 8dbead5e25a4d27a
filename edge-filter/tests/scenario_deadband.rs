//! Promise 13: the written scenario of the deadband, row by row, through the whole pipeline.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::check::{Range, RangeAction};
use edge_filter::reduce::Deadband;
use edge_filter::{
    DropReason as D, EmitReason as E, ErrorBound, LossBound, Outcome, Pipeline, Quality, Reading, Rule, Value,
};

const GOOD: Quality = Quality::GOOD;
const BAD: Quality = Quality::BAD;

type Row = (f64, Quality, i64, Result<E, D>);

fn run(pipeline: &mut Pipeline, rows: &[Row]) {
    let sensor = pipeline.intern("line2/temp");
    for (row, &(value, quality, time, expected)) in rows.iter().enumerate() {
        let reading = Reading { sensor, time, value: Value::F64(value), quality };
        let mut extra = Vec::new();
        let found = match pipeline.process(reading, time, &mut |e| extra.push(e)) {
            Outcome::Emit(e) => {
                assert!(!e.synthetic && e.time == time && e.sensor == sensor, "row {row}");
                assert!(
                    !e.quality.is_good() || matches!(e.value, Value::F64(v) if v.is_finite()),
                    "row {row}"
                );
                Ok(e.reason)
            }
            Outcome::Drop(reason) => Err(reason),
            Outcome::Held => panic!("row {row}: no stage holds"),
        };
        assert_eq!(found, expected, "row {row}: {value} {quality} @{time}");
        assert!(extra.is_empty() && pipeline.stats().is_balanced(), "row {row}");
    }
}

fn with(rule: Rule) -> Pipeline {
    Pipeline::builder().rule("#", rule).unwrap().build()
}

#[test]
fn promise_13_the_written_scenario() {
    let mut p = Pipeline::from_toml(
        r##"
        [defaults]
        max_gap_ms = 3600000
        out_of_order = "drop"
        same_time = "drop"
        [[rule]]
        match = "#"
        stages = [ { deadband = { absolute = 1.0 } } ]
        "##,
    )
    .unwrap();
    let rows = [
        (10.0, GOOD, 0, Ok(E::First)),
        (10.5, GOOD, 1, Err(D::InDeadband)),
        (11.0, GOOD, 2, Err(D::InDeadband)), // strict
        (11.1, GOOD, 3, Ok(E::Deadband)),
        (11.1, BAD, 4, Ok(E::StatusChange)),
        (50.0, BAD, 5, Err(D::BadQuality)),
        (11.2, GOOD, 6, Ok(E::StatusChange)), // the reference is 11.2
        (11.9, GOOD, 6, Err(D::DuplicateTimestamp)),
        (20.0, GOOD, 5, Err(D::OutOfOrder)),
        (f64::NAN, GOOD, 7, Ok(E::NanEnter)),
        (f64::NAN, GOOD, 8, Err(D::BadQuality)),
        (12.0, GOOD, 9, Ok(E::NanExit)),
        (12.2, GOOD, 7_200_009, Ok(E::FirstAfterGap)),
    ];
    run(&mut p, &rows);
    assert_eq!(p.stats().emitted(), 7);
    assert_eq!(p.stats().dropped_by(D::BadQuality), 2);
    let rule = p.rule(0).unwrap();
    let loss = LossBound::Open { span_ms: Some(60_000), more: 2 };
    assert_eq!((rule.error_bound(), rule.loss_bound()), (ErrorBound::Absolute(1.0), loss));
}

#[test]
fn the_same_scenario_with_nan_as_uncertain() {
    let rule = Rule::new()
        .normalise(edge_filter::check::Normalise::default().nan_is_bad(false))
        .reducer(Deadband::absolute(1.0).unwrap());
    let rows = [
        (10.0, GOOD, 0, Ok(E::First)),
        (f64::NAN, GOOD, 7, Ok(E::NanEnter)),
        (f64::NAN, GOOD, 8, Err(D::InDeadband)),
        (f64::INFINITY, GOOD, 9, Ok(E::NanEnter)),
        (f64::INFINITY, GOOD, 10, Err(D::InDeadband)),
        (10.2, GOOD, 11, Ok(E::NanExit)), // and the reference is 10.2
        (11.1, GOOD, 12, Err(D::InDeadband)),
        (11.3, GOOD, 13, Ok(E::Deadband)),
    ];
    run(&mut with(rule), &rows);
}

#[test]
fn a_restart_survives_the_range_check() {
    // The first reading after the gap is dropped for its range; the next one still passes, or a consumer would hold
    // a value from before the gap.
    let range = Range::new(0.0, 100.0).unwrap().action(RangeAction::Drop);
    let rule = Rule::new().range(range).reducer(Deadband::absolute(1.0).unwrap());
    let gap = 3_600_001;
    let rows = [
        (10.0, GOOD, 0, Ok(E::First)),
        (500.0, GOOD, gap, Err(D::OutOfRange)),
        (10.0, GOOD, gap + 1, Ok(E::FirstAfterGap)),
        (10.0, GOOD, gap + 2, Err(D::InDeadband)),
    ];
    run(&mut with(rule), &rows);
}

#[test]
fn late_readings_that_pass_leave_the_state_alone() {
    let rule = Rule::new().reducer(Deadband::absolute(1.0).unwrap());
    let rows = [
        (10.0, GOOD, 1000, Ok(E::First)),
        (90.0, GOOD, 999, Ok(E::Late)),
        (10.9, GOOD, 1001, Err(D::InDeadband)), // still compared with 10
    ];
    run(&mut with(rule), &rows);
}

#[test]
fn a_slow_ramp_is_reported_at_every_step_of_the_tolerance() {
    // 0..20 in steps of 0.1 at 0.5: comparing with the last sample would report one reading, comparing with the
    // last emitted value reports every sixth step.
    let mut p = with(Rule::new().reducer(Deadband::absolute(0.5).unwrap()));
    let sensor = p.intern("ramp");
    let mut emitted = 0;
    for step in 0..=200_i64 {
        let value = Value::I64(step).as_f64().map(|v| Value::F64(v / 10.0)).unwrap();
        let reading = Reading { sensor, time: step, value, quality: GOOD };
        emitted += usize::from(matches!(p.process(reading, step, &mut |_| ()), Outcome::Emit(_)));
    }
    assert!((34..=41).contains(&emitted), "{emitted}");
}

#[test]
fn counters_texts_and_booleans_pass_exactly_when_they_change() {
    let mut p = with(Rule::new().reducer(Deadband::absolute(1.0).unwrap()));
    let mut check = |name: &str, rows: &[(Value<'static>, bool)]| {
        let sensor = p.intern(name);
        for (row, (value, passes)) in rows.iter().enumerate() {
            let time = i64::try_from(row).unwrap();
            let reading = Reading { sensor, time, value: value.clone(), quality: GOOD };
            let outcome = p.process(reading, time, &mut |_| ());
            assert_eq!(matches!(outcome, Outcome::Emit(_)), *passes, "{name} row {row}");
        }
    };
    let big = 1_u64 << 60;
    check("counter", &[(big.into(), true), ((big + 1).into(), false), ((big + 2).into(), true)]);
    check("mode", &[("run".into(), true), ("run".into(), false), ("stop".into(), true), (1.0.into(), true)]);
    check("door", &[(true.into(), true), (true.into(), false), (false.into(), true)]);
}
