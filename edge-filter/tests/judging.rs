//! Promise 13: in a pipeline, judging stages mark or drop what they state, transforming stages alter what they state,
//! and every reading is accounted for; a snapshot at any row changes nothing.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::check::{Alignment, Hampel, RangeAction};
use edge_filter::{DropReason, EmitReason, Outcome, Pipeline, Quality, Reading, Rule, Snapshot, Value};

fn pipeline(stages: &str) -> Pipeline {
    Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")).unwrap()
}

/// Every 10 s; what became of each reading, as text.
fn outcomes(stages: &str, values: &[f64]) -> Vec<String> {
    let mut p = pipeline(stages);
    let sensor = p.intern("s");
    let outcomes = (0..).step_by(10_000).zip(values).map(|(time, &value)| {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        match p.process(reading, time, &mut |_| ()) {
            Outcome::Emit(emit) => format!("{:?} {}", emit.value, severity(emit.quality)),
            Outcome::Drop(reason) => reason.to_string(),
            Outcome::Held => "held".into(),
        }
    });
    let outcomes: Vec<String> = outcomes.collect();
    assert!(p.stats().is_balanced());
    assert_eq!(p.stats().input, values.len() as u64);
    outcomes
}

fn severity(quality: Quality) -> &'static str {
    match (quality.is_good(), quality.is_uncertain()) {
        (true, _) => "good",
        (_, true) => "uncertain",
        _ => "bad",
    }
}

#[test]
fn each_judging_stage_marks_or_drops() {
    for (stage, values, expected) in [
        (
            "{ rate_of_change = { suspect_per_s = 1.0, fail_per_s = 2.0 } }",
            &[0.0, 15.0, 40.0][..],
            &["F64(0.0) good", "F64(15.0) uncertain", "F64(40.0) bad"][..],
        ),
        (
            "{ rate_of_change = { fail_per_s = 2.0, action = \"drop\" } }",
            &[0.0, 40.0, 41.0],
            &["F64(0.0) good", "rate_of_change", "F64(41.0) good"],
        ),
        (
            "{ flat_line = { suspect_s = 10, fail_s = 20, sampling_ms = 10000, tolerance = 0.1, action = \"drop\" } }",
            &[5.0, 5.0, 5.0, 6.0],
            &["F64(5.0) good", "F64(5.0) uncertain", "flat_line", "F64(6.0) good"],
        ),
        (
            "{ attenuated_signal = { check = \"range\", suspect = 1.0, period_ms = 20000, min_obs = 2 } }",
            &[5.0, 5.5, 9.0],
            &["F64(5.0) good", "F64(5.5) uncertain", "F64(9.0) good"],
        ),
        (
            "{ hampel = { window = 3, action = \"drop\" } }",
            &[1.0, 2.0, 1.5, 100.0, 1.8],
            &["F64(1.0) good", "F64(2.0) good", "F64(1.5) good", "outlier", "F64(1.8) good"],
        ),
        (
            "{ jump_reject = { max_step = 5.0, accept_after = 1, action = \"drop\" } }",
            &[20.0, 85.0, 21.0, 85.0, 86.0],
            &["F64(20.0) good", "jump", "F64(21.0) good", "jump", "F64(86.0) good"],
        ),
        (
            "{ jump_reject = { max_step = 5.0, accept_after = 2, action = \"drop\" } }",
            &[20.0, 85.0, 21.0, 85.0, 86.0, 87.0],
            &["F64(20.0) good", "jump", "F64(21.0) good", "jump", "jump", "F64(87.0) good"],
        ),
        (
            "{ gross_range = { fail = [0, 50] } }, { jump_reject = { max_step = 5.0 } }",
            &[20.0, 85.0, 21.0],
            &["F64(20.0) good", "F64(85.0) bad", "F64(21.0) good"],
        ),
        ("{ scale = { raw = [4, 20], unit = [0, 100] } }", &[12.0], &["F64(50.0) good"]),
    ] {
        assert_eq!(outcomes(stage, values), expected, "{stage}");
    }
}

/// A number that the scale makes too large for one is bad, also behind a stage that looks ahead.
#[test]
fn promise_13_no_number_that_a_scale_overflows_leaves_as_good() {
    let scale = "{ scale = { factor = 1e300 } }";
    assert_eq!(outcomes(scale, &[2.0, -1e300, 1e300]), ["F64(2e300) good", "F64(-inf) bad", "F64(inf) bad"]);
    let mut p = pipeline(&format!("{{ spike = {{ fail = 1e308 }} }}, {scale}"));
    let sensor = p.intern("s");
    let mut emitted = Vec::new();
    for (time, value) in [(0, 2.0), (1_000, 1e300), (2_000, 3.0), (3_000, 4.0)] {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        let outcome = p.process(reading, time, &mut |e| emitted.push((e.time, severity(e.quality))));
        assert_eq!(outcome, Outcome::Held);
    }
    assert_eq!(emitted, [(0, "good"), (1_000, "bad"), (2_000, "good")]);
}

/// A value that is no number is only uncertain by the rule's own choice, and a scale does not know better.
#[test]
fn a_value_that_is_no_number_keeps_its_quality_through_a_scale() {
    let rules = "[[rule]]\nmatch = \"#\"\nnan_is_bad = false\nstages = [ { scale = { factor = 2.0 } } ]\n";
    let mut p = Pipeline::from_toml(rules).unwrap();
    let sensor = p.intern("s");
    for (time, value) in [(0, f64::NAN), (1_000, f64::INFINITY)] {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        let Outcome::Emit(emit) = p.process(reading, time, &mut |_| ()) else { panic!("{value}") };
        assert_eq!(emit.quality, Quality::UNCERTAIN, "{value}");
    }
}

/// A boolean among booleans is no outlier, whichever way the window lies, and stays a boolean.
#[test]
fn no_boolean_is_replaced_by_a_median() {
    for alignment in ["causal", "centered"] {
        let stage =
            format!("{{ hampel = {{ window = 3, action = \"replace\", alignment = \"{alignment}\" }} }}");
        let mut p = pipeline(&stage);
        let sensor = p.intern("s");
        for (time, yes) in [false, false, false, true, false].into_iter().enumerate() {
            let reading =
                Reading { sensor, time: time as i64, value: Value::Bool(yes), quality: Quality::GOOD };
            let Outcome::Emit(emit) = p.process(reading, 0, &mut |_| ()) else { panic!("{time}") };
            assert_eq!((emit.value, emit.quality), (Value::Bool(yes), Quality::GOOD), "{alignment} {time}");
        }
    }
}

/// A gap ends the past of the tests also where the first reading behind it is out of range.
#[test]
fn a_gap_whose_first_reading_is_dropped_is_a_gap() {
    let stages =
        "{ gross_range = { fail = [0.0, 50.0], action = \"drop\" } }, { jump_reject = { max_step = 5.0 } }";
    let mut p = pipeline(stages);
    let sensor = p.intern("s");
    let mut qualities = Vec::new();
    for (time, value) in [(0, 20.0), (4_000_000, 85.0), (4_010_000, 30.0)] {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        if let Outcome::Emit(emit) = p.process(reading, time, &mut |_| ()) {
            qualities.push(emit.quality);
        }
    }
    assert_eq!(qualities, [Quality::GOOD; 2]);
}

/// Actions of the other checks are taken for outliers, too.
#[test]
fn an_action_for_outliers_is_the_one_that_was_asked_for() {
    for (action, expected) in [(RangeAction::Mark, "emit"), (RangeAction::Drop, "outlier")] {
        let hampel = Hampel::new(3, 3.0, Alignment::Causal).unwrap();
        let mut p = Pipeline::builder().rule("#", Rule::new().hampel(hampel, action)).unwrap().build();
        let sensor = p.intern("s");
        let outcomes = [(0, 1.0), (10, 2.0), (20, 1.5), (30, 100.0)].map(|(time, value)| {
            let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
            match p.process(reading, time, &mut |_| ()) {
                Outcome::Emit(emit) => (emit.quality.is_bad(), "emit".to_owned()),
                Outcome::Drop(reason) => (false, reason.to_string()),
                Outcome::Held => (false, "held".into()),
            }
        });
        assert_eq!(outcomes[3], (action == RangeAction::Mark, expected.into()), "{action:?}");
        assert!(p.stats().is_balanced());
    }
}

#[test]
fn a_counter_becomes_a_total_over_wraps_and_resets() {
    let mut p = pipeline(
        "{ counter = { width_bits = 16, max_rate_per_s = 100 } }, { deadband = { absolute = 1000 } }",
    );
    let sensor = p.intern("energy");
    let mut seen = Vec::new();
    for (time, raw) in
        [(0, 65_000_u64), (10_000, 65_500), (20_000, 464), (30_000, 2_464), (40_000, 3), (50_000, 70_000)]
    {
        let reading = Reading { sensor, time, value: Value::U64(raw), quality: Quality::GOOD };
        seen.push(match p.process(reading, time, &mut |_| ()) {
            Outcome::Emit(emit) => (emit.value.as_f64(), emit.reason.to_string()),
            Outcome::Drop(reason) => (None, reason.to_string()),
            Outcome::Held => (None, "held".into()),
        });
    }
    let name = |reason: EmitReason| reason.to_string();
    assert_eq!(
        seen,
        [
            (Some(0.0), name(EmitReason::First)),
            (None, DropReason::InDeadband.to_string()),
            (None, DropReason::InDeadband.to_string()),
            (Some(3000.0), name(EmitReason::Deadband)),
            (Some(3000.0), name(EmitReason::CounterReset)),
            (Some(3000.0), name(EmitReason::StatusChange)),
        ]
    );
}

/// A reading that is older than the last one, of its time, or ahead of the clock says nothing of what the register counted since: it moves no
/// total, and the one that it shows is not that of its time.
#[test]
fn promise_13_a_late_reading_counts_nothing() {
    let mut p = pipeline("{ counter = { width_bits = 16, max_rate_per_s = 1000 } }");
    let sensor = p.intern("energy");
    let mut total = |time, raw, quality| {
        let reading = Reading { sensor, time, value: Value::U64(raw), quality };
        match p.process(reading, 60_000, &mut |_| ()) {
            Outcome::Emit(emit) => (emit.value.as_f64(), emit.quality, emit.reason),
            other => panic!("{other:?}"),
        }
    };
    let (good, substitute) = (Quality::GOOD, Quality::UNCERTAIN_SUBSTITUTE);
    assert_eq!(total(10_000, 100, good), (Some(0.0), good, EmitReason::First));
    assert_eq!(total(20_000, 200, good), (Some(100.0), good, EmitReason::Passthrough));
    assert_eq!(total(15_000, 150, good), (Some(100.0), substitute, EmitReason::Late));
    assert_eq!(total(20_000, 250, good), (Some(100.0), substitute, EmitReason::SameTime));
    assert_eq!(total(120_001, 900, good), (Some(100.0), substitute, EmitReason::Future));
    for quality in [Quality::UNCERTAIN_SUB_NORMAL, Quality::BAD] {
        assert_eq!(total(16_000, 160, quality), (Some(100.0), quality, EmitReason::Late), "as it was");
    }
    assert_eq!(total(30_000, 300, good), (Some(200.0), good, EmitReason::Passthrough));
}

#[test]
fn a_snapshot_at_any_row_changes_nothing_that_follows() {
    let stages = "{ rate_of_change = { suspect_per_s = 0.3, fail_per_s = 0.7, action = \"drop\" } }, \
        { flat_line = { suspect_s = 20, fail_s = 40, sampling_ms = 10000, tolerance = 0.5 } }, \
        { attenuated_signal = { suspect = 0.5, period_ms = 60000, min_obs = 3 } }, \
        { hampel = { window = 5, n_sigma = 2.0, alignment = \"centered\", action = \"replace\" } }, \
        { jump_reject = { max_step = 5.0, action = \"drop\" } }, { spike = { suspect = 4.0, fail = 6.0 } }, \
        { scale = { factor = 2.0 } }, { deadband = { absolute = 1.0 } }";
    let mixed = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40
    };
    let value = |i| if (50..58).contains(&i) { 3.0 } else { (mixed(i) % 17) as f64 * 0.6 };
    let values: Vec<f64> = (0..120).map(value).collect();
    let run = |cut: Option<usize>| {
        let mut p = pipeline(stages);
        let mut sensor = p.intern("s");
        let mut seen = Vec::new();
        for (i, &value) in values.iter().enumerate() {
            if cut == Some(i) {
                let mut bytes = Vec::new();
                ciborium::into_writer(&p.snapshot(), &mut bytes).unwrap();
                let snapshot: Snapshot = ciborium::from_reader(&bytes[..]).unwrap();
                p = pipeline(stages);
                p.restore(snapshot).unwrap();
                sensor = p.intern("s");
            }
            let time = 10_000 * i as i64;
            let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
            let mut released = Vec::new();
            let outcome = p.process(reading, time, &mut |e| released.push(e));
            seen.push(format!("{released:?} {outcome:?}"));
        }
        seen
    };
    let whole = run(None);
    for reason in ["RateOfChange", "Jump", "reason: Deadband", "Quality(1083244544)", "Held"] {
        assert!(whole.iter().any(|seen| seen.contains(reason)), "the series meets {reason}: {whole:?}");
    }
    for cut in 0..values.len() {
        assert_eq!(run(Some(cut)), whole, "cut at {cut}");
    }
    println!("executed judging_snapshot_cuts: {} cases", values.len());
}

/// The pipeline with other stages, after a clean restart.
fn restarted(before: &Pipeline, stages: &str) -> Pipeline {
    let mut bytes = Vec::new();
    ciborium::into_writer(&before.snapshot(), &mut bytes).unwrap();
    let mut after = pipeline(stages);
    assert!(after.restore(ciborium::from_reader(&bytes[..]).unwrap()).unwrap().is_empty());
    after
}

/// Gives the values of the seconds from `from` on. Returns how many were dropped.
fn dropped(p: &mut Pipeline, from: i64, values: impl IntoIterator<Item = f64>) -> u64 {
    let (sensor, before) = (p.intern("s"), p.stats().dropped());
    for (second, value) in (from..).zip(values) {
        let reading =
            Reading { sensor, time: second * 1000, value: Value::F64(value), quality: Quality::GOOD };
        let _ = p.process(reading, second * 1000, &mut |_| ());
    }
    p.stats().dropped() - before
}

/// A longer window is not full because the shorter one of the last run was: ten equal values are no ten minutes.
#[test]
fn promise_13_a_longer_flat_line_after_a_restart_begins_anew() {
    let flat = |seconds: u32| {
        format!(
            "{{ flat_line = {{ suspect_s = {seconds}, fail_s = {seconds}, sampling_ms = 1000, tolerance = 0.5, action = \"drop\" }} }}"
        )
    };
    let mut before = pipeline(&flat(10));
    assert_eq!(dropped(&mut before, 0, (0..700).map(|second| f64::from(second % 4))), 0);
    assert_eq!(dropped(&mut before, 700, [1.0; 10]), 0);
    let mut same = restarted(&before, &flat(10));
    assert_eq!(dropped(&mut same, 710, [1.0; 10]), 10, "the same window goes on");
    let mut longer = restarted(&before, &flat(600));
    assert_eq!(dropped(&mut longer, 710, [1.0; 700]), 100, "flat from the 601st on");
}

/// Figures that the other check did not keep are computed from the readings of the period.
#[test]
fn promise_13_another_measure_of_spread_after_a_restart_knows_the_period() {
    let attenuated = |check: &str| {
        format!(
            "{{ attenuated_signal = {{ check = \"{check}\", fail = 1.0, period_ms = 60000, action = \"drop\" }} }}"
        )
    };
    let walk = |seconds: std::ops::Range<u8>| seconds.map(|second| f64::from(second % 10));
    let checks = ["std", "range", "std", "range"];
    let mut p = pipeline(&attenuated(checks[0]));
    // 0, 1 and 2 are not spread enough.
    assert_eq!(dropped(&mut p, 0, walk(0..60)), 3);
    for (n, check) in (1..).zip(&checks[1..]) {
        p = restarted(&p, &attenuated(check));
        assert_eq!(dropped(&mut p, n * 60, walk(60..90)), 0, "{check}");
        assert_eq!(dropped(&mut p, n * 60 + 30, [5.0; 29]), 0, "{check}");
        assert_eq!(dropped(&mut p, n * 60 + 59, [7.0]), 0, "{check}");
    }
    assert_eq!(dropped(&mut p, 240, [7.0; 90]), 32, "the last other value leaves the period");
}
