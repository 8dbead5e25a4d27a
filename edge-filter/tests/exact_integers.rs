//! Promise 13 for integers that `f64` has no place for: stages that hold readings keep their error bounds.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use edge_filter::reduce::{Reducer, SegmentHold, SwingingDoor};
use edge_filter::time::TimeGuard;
use edge_filter::{EmitReason, Outcome, Pipeline, Quality, Reading, Rule, Value};
use support::Rng;
use support::history::START;

fn pipeline(reducer: Reducer) -> Pipeline {
    Pipeline::builder()
        .rule("#", Rule::new().time_guard(TimeGuard::strict()).reducer(reducer))
        .unwrap()
        .build()
}

/// A walk of integers about numbers that `f64` has no place for, as offsets. It was: each rounded, so that steps of 100 were none.
#[test]
fn integers_beyond_2_pow_53_keep_the_bounds() {
    let (mut rng, mut offset) = (Rng::from_env(), 0_i64);
    let mut step = |n: i64| {
        offset += rng.pick(&[-2, -1, 0, 0, 1, 2, 40, -40]);
        (START + n * 1_000, offset)
    };
    let walk: Vec<(i64, i64)> = (0..3_000).map(&mut step).collect();
    let kept = |reducer: Reducer, value: &dyn Fn(i64) -> Value<'static>| {
        let (mut p, mut kept) = (pipeline(reducer), Vec::new());
        let sensor = p.intern("s");
        let zero = exact(&value(0));
        for &(time, offset) in &walk {
            let reading = Reading { sensor, time, value: value(offset), quality: Quality::GOOD };
            let outcome = p.process(reading, time, &mut |e| kept.push((e.time, exact(&e.value) - zero)));
            if let Outcome::Emit(e) = outcome {
                kept.push((e.time, exact(&e.value) - zero));
            }
        }
        p.flush(&mut |e| kept.push((e.time, exact(&e.value) - zero)));
        kept
    };
    let door = || Reducer::from(SwingingDoor::new(2.5).unwrap());
    let about_zero = kept(door(), &Value::I64);
    assert!(about_zero.len() * 2 < walk.len(), "{}", about_zero.len());
    let about: [&dyn Fn(i64) -> Value<'static>; 3] = [
        &|offset| Value::I64((1 << 60) + offset),
        &|offset| Value::I64(i64::MIN + 1_000_000 + offset),
        &|offset| Value::U64((u64::MAX - 1_000_000).wrapping_add_signed(offset)),
    ];
    for value in about {
        assert_eq!(kept(door(), value), about_zero, "as about 0");
        let kept = kept(SegmentHold::new(2.5).unwrap().into(), value);
        for &(time, offset) in &walk {
            let (_, held) = kept[kept.partition_point(|(at, _)| *at <= time) - 1];
            assert!(held.abs_diff(offset.into()) <= 2, "{held} stands for {offset} at {time}");
        }
    }
}

/// As a constant that `f64` has a place for: its run ends at the interval.
#[test]
fn a_segment_hold_repeats_a_large_integer_after_its_interval() {
    let hold = SegmentHold::new(2.5).unwrap().max_interval_ms(10_000).unwrap();
    let (mut p, mut kept) = (pipeline(hold.into()), Vec::new());
    let sensor = p.intern("s");
    for n in 0..=30 {
        let time = START + n * 1_000;
        let reading = Reading { sensor, time, value: Value::U64(1 << 60), quality: Quality::GOOD };
        if let Outcome::Emit(e) = p.process(reading, time, &mut |_| {}) {
            kept.push((n, e.reason));
        }
    }
    assert_eq!(kept.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 10, 20, 30], "{kept:?}");
    assert!(kept.iter().skip(1).all(|(_, reason)| *reason == EmitReason::MaxInterval), "{kept:?}");
}

fn exact(value: &Value<'_>) -> i128 {
    match *value {
        Value::I64(v) => v.into(),
        Value::U64(v) => v.into(),
        ref other => other.as_f64().unwrap() as i128,
    }
}
