//! Code of an embedder, as the design promises it, and the way of a Sparkplug device's sensors.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::check::Normalise;
use edge_filter::reduce::{Deadband, DeadbandState};
use edge_filter::{Emit, EmitReason, Outcome, Pipeline, Quality, QualityScheme, Reading, Value};

#[test]
fn the_snippets_of_the_design_compile_and_run() -> Result<(), Box<dyn std::error::Error>> {
    let (time, now_ms, value, quality) = (0, 0, Value::F64(20.0), Quality::GOOD);
    let mut out = Vec::new();
    let mut p = Pipeline::from_toml(include_str!("data/rules.toml"))?;
    let sensor = p.intern("line2/temp");
    match p.process(Reading { sensor, time, value, quality }, now_ms, &mut |e| out.push(e)) {
        Outcome::Emit(e) => out.push(e),
        Outcome::Held | Outcome::Drop(_) => {}
    }
    p.tick(p.next_deadline().unwrap(), &mut |e| out.push(e));
    p.flush(&mut |e| out.push(e));
    assert_eq!(out.iter().map(|e| e.reason).collect::<Vec<_>>(), [EmitReason::First, EmitReason::Stale]);
    assert_eq!(p.name(sensor), Some("line2/temp"));

    let (value, mut state) = (20.0, DeadbandState::default());
    let db = Deadband::absolute(0.5)?;
    let why = db.check(&mut state, value, quality, time);
    assert_eq!(why, Some(EmitReason::First));
    Ok(())
}

#[test]
fn sparkplug_qualities_leave_as_opc_ua_codes() {
    let mut p = Pipeline::from_toml(include_str!("data/rules.toml")).unwrap();
    let sensor = p.intern("spBv1.0/g/DDATA/n/d/temp");
    let mut found: Vec<(EmitReason, u32)> = Vec::new();
    for (time, raw) in
        [(0, 192), (1, 192), (2, 500), (3, 192), (4, 0), (5, 0), (6, 7), (7, 0x8000_0201), (8, 192)]
    {
        let reading = Reading { sensor, time, value: Value::F64(20.0), quality: Quality(raw) };
        if let Outcome::Emit(Emit { reason, quality, .. }) = p.process(reading, time, &mut |_| ()) {
            found.push((reason, quality.0));
        }
    }
    let change = EmitReason::StatusChange;
    let bad = 0x8000_0000;
    assert_eq!(
        found,
        [(EmitReason::First, 0), (change, 0x4090_0000), (change, 0), (change, bad), (change, 0)]
    );
    assert_eq!(p.stats().unknown_quality, 1);
}

#[test]
fn emits_may_borrow_the_reading_or_be_kept_for_ever() {
    fn assert_send<T: Send + 'static>(_: &T) {}
    let mut p = Pipeline::from_toml(include_str!("data/rules.toml")).unwrap();
    assert_send(&p);
    let sensor = p.intern("line2/mode");
    let kept: Vec<Emit<'static>> = {
        let text = String::from("running");
        let reading = Reading { sensor, time: 0, value: Value::from(text.as_str()), quality: Quality::GOOD };
        let Outcome::Emit(e) = p.process(reading, 0, &mut |_| ()) else { panic!("the first passes") };
        assert_eq!(e.value, Value::from("running"));
        let mut kept = Vec::new();
        p.tick(30_000, &mut |e| kept.push(e));
        kept
    };
    assert_eq!(kept[0].value, Value::from("running"));
}

/// A sensor that no rule is for passes, and what its quality could not be read as is counted all the same.
#[test]
fn qualities_that_nobody_knows_are_counted_without_a_rule_too() {
    let mut p = Pipeline::builder().normalise(Normalise::new(QualityScheme::Sparkplug)).build();
    let sensor = p.intern("line2/temp");
    for (time, raw, counted) in [(0, 192, 0), (1, 500, 0), (2, 0, 0), (3, 7, 1), (4, 501, 2)] {
        let reading = Reading { sensor, time, value: Value::F64(20.0), quality: Quality(raw) };
        let outcome = p.process(reading, time, &mut |_| ());
        assert!(matches!(outcome, Outcome::Emit(Emit { reason: EmitReason::Passthrough, .. })), "{raw}");
        assert_eq!(p.stats().unknown_quality, counted, "{raw}");
    }
}

#[test]
fn a_flush_of_one_sensor_emits_what_it_holds_and_nothing_of_others() {
    let mut p = Pipeline::from_toml(
        "[[rule]]\nmatch = \"#\"\nstages = [ { sample = { every_n = 10, pick = \"last\" } } ]\n",
    )
    .unwrap();
    let sensors = [p.intern("a"), p.intern("b")];
    for (time, sensor) in [(1, 0), (2, 1), (3, 0), (4, 1)] {
        let reading =
            Reading { sensor: sensors[sensor], time, value: Value::F64(time as f64), quality: Quality::GOOD };
        let _ = p.process(reading, time, &mut |_| ());
    }
    let mut out = Vec::new();
    p.flush_sensor(sensors[1], &mut |e| out.push((e.sensor, e.time, e.reason)));
    assert_eq!(out, [(sensors[1], 4, EmitReason::Flush)]);
    p.flush_sensor(sensors[1], &mut |e| panic!("flushed twice: {e:?}"));
    p.flush(&mut |e| out.push((e.sensor, e.time, e.reason)));
    assert_eq!(out.last(), Some(&(sensors[0], 3, EmitReason::Flush)));
}
