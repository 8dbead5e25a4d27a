//! Promises 13 and 14: silence is reported once, at its deadline, without scanning; and every sensor is bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::reduce::{Deadband, Pick, Reducer, Sample, SegmentHold, SwingingDoor};
use edge_filter::time::Stale;
use edge_filter::{Emit, EmitReason, Outcome, OverLimit, Pipeline, Quality, Rule, Value};
use support::feed;

const GOOD: Quality = Quality::GOOD;

fn pipeline() -> Pipeline {
    let rule = Rule::new().reducer(Deadband::absolute(1.0).unwrap()).stale(Stale::after_ms(30_000).unwrap());
    Pipeline::builder().rule("#", rule).unwrap().max_keys(20_000).build()
}

fn tick(p: &mut Pipeline, now: i64) -> Vec<Emit<'static>> {
    let mut out = Vec::new();
    p.tick(now, &mut |e| out.push(e));
    out
}

#[test]
fn promise_13_the_last_value_is_emitted_once_and_the_next_reading_passes() {
    let mut p = pipeline();
    let s = p.intern("line2/temp");
    assert_eq!(p.next_deadline(), None);
    feed(&mut p, s, (0, 20.0.into(), GOOD), 0);
    feed(&mut p, s, (1000, 20.4.into(), GOOD), 1000); // suppressed, yet a sign of life
    assert_eq!(p.next_deadline(), Some(30_000), "too early for a sensor that was seen since, never too late");
    assert!(tick(&mut p, 30_999).is_empty());
    assert_eq!(p.next_deadline(), Some(31_000));

    let out = tick(&mut p, 31_000);
    assert_eq!(out.len(), 1);
    let e = &out[0];
    assert_eq!((e.sensor, &e.value, e.quality), (s, &Value::F64(20.0), Quality(0x4090_0000)));
    assert_eq!((e.time, e.reason, e.synthetic), (1001, EmitReason::Stale, true));
    assert_eq!((p.next_deadline(), tick(&mut p, i64::MAX)), (None, vec![]));

    let out = feed(&mut p, s, (40_000, 20.0.into(), GOOD), 40_000);
    assert_eq!((out[0].reason, out[0].quality), (EmitReason::Recovered, GOOD));
    let stats = p.stats();
    assert_eq!(
        (stats.input, stats.emitted(), stats.dropped(), stats.synthetic, stats.stale),
        (3, 2, 1, 1, 1)
    );
}

/// The last reading may be shown, and is not the value that the sensor is said to hold.
#[test]
fn promise_13_a_silent_sensor_repeats_its_last_usable_value() {
    let deadband = Deadband::absolute(1.0).unwrap().uncertain_is_bad(true);
    let rule = Rule::new().reducer(deadband).stale(Stale::after_ms(30_000).unwrap());
    let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
    let s = p.intern("a");
    feed(&mut p, s, (0, 20.0.into(), GOOD), 0);
    assert_eq!(feed(&mut p, s, (1000, 99.0.into(), Quality::UNCERTAIN), 1000)[0].value, Value::F64(99.0));
    let out = tick(&mut p, 31_000);
    assert_eq!((out.len(), &out[0].value, out[0].reason), (1, &Value::F64(20.0), EmitReason::Stale));
}

#[test]
fn without_ticks_the_next_reading_reports_the_silence_before_itself() {
    let mut p = pipeline();
    let s = p.intern("a");
    feed(&mut p, s, (0, "run".into(), GOOD), 0);
    let out = feed(&mut p, s, (60_000, "run".into(), GOOD), 60_000);
    let seen: Vec<_> = out.iter().map(|e| (e.time, e.reason, e.synthetic)).collect();
    assert_eq!(seen, [(1, EmitReason::Stale, true), (60_000, EmitReason::Recovered, false)]);
    assert_eq!(out[0].value, Value::from("run"));
}

#[test]
fn promise_13_a_heartbeat_comes_after_what_is_held() {
    let stale = Stale::after_ms(30_000).unwrap().heartbeat_ms(10_000).unwrap();
    let reducers: [(Reducer, i64); 4] = [
        (SwingingDoor::new(0.5).unwrap().into(), 2_000),
        (Deadband::absolute(5.0).unwrap().send_previous(true).into(), 2_000),
        (SegmentHold::new(5.0).unwrap().into(), 1_000),
        (Sample::every_n(9).unwrap().pick(Pick::Last).into(), 2_000),
    ];
    for (reducer, held) in reducers {
        let rule = Rule::new().reducer(reducer.clone()).stale(stale);
        let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
        let s = p.intern("a");
        for (time, value) in [(0, 0.0), (1_000, 1.0), (2_000, 2.0)] {
            feed(&mut p, s, (time, value.into(), GOOD), time);
        }
        let seen: Vec<_> = tick(&mut p, 12_000).iter().map(|e| (e.time, e.reason)).collect();
        assert_eq!(seen, [(held, EmitReason::Flush), (2_001, EmitReason::Heartbeat)], "{reducer:?}");
        assert!(p.stats().is_balanced() && p.stats().held == 0);
    }
}

/// A window is told under its first instant, which is before the repeats that were told meanwhile. The report comes behind them.
#[test]
fn promise_13_a_sensor_with_a_window_is_reported_behind_its_heartbeats() {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 60000, agg = \"last\" } }, \
                 { stale = { timeout_ms = 30000, heartbeat_ms = 10000 } } ]";
    let mut p = Pipeline::from_toml(rules).unwrap();
    let s = p.intern("a");
    feed(&mut p, s, (1_000, 20.0.into(), GOOD), 1_000);
    feed(&mut p, s, (61_000, 21.0.into(), GOOD), 61_000);
    let mut times = Vec::new();
    for now in [72_000, 83_000, 91_000] {
        times.extend(tick(&mut p, now).into_iter().map(|emit| (emit.time, emit.reason.as_str())));
    }
    let heartbeats = [(61_001, "heartbeat"), (61_002, "heartbeat")];
    assert_eq!(times, [heartbeats[0], heartbeats[1], (60_000, "window_closed"), (61_003, "stale")]);
}

/// A value that was emitted before an uncertain one, or before what is no number, is not the last one.
#[test]
fn promise_13_a_heartbeat_repeats_no_value_before_the_last() {
    let stages = ["{ deadband = { absolute = 1.0, uncertain_as = \"bad\" } }", "{ on_change = {} }"];
    for (stage, value) in stages.into_iter().zip([99.0, f64::NAN]) {
        let rules = format!(
            "[[rule]]\nmatch = \"#\"\nnan_is_bad = false\n\
             stages = [ {stage}, {{ stale = {{ timeout_ms = 30000, heartbeat_ms = 10000 }} }} ]"
        );
        let mut p = Pipeline::from_toml(&rules).unwrap();
        let s = p.intern("a");
        feed(&mut p, s, (0, 20.0.into(), GOOD), 0);
        assert_eq!(feed(&mut p, s, (1000, value.into(), Quality::UNCERTAIN), 1000).len(), 1);
        assert_eq!(tick(&mut p, 12_000), [], "{stage}");
        assert_eq!(tick(&mut p, 32_000)[0].reason, EmitReason::Stale, "{stage}");
    }
}

#[test]
fn promise_13_no_heartbeat_follows_the_word_that_a_sensor_is_silent() {
    let rule = Rule::new().stale(Stale::after_ms(30_000).unwrap().heartbeat_ms(20_000).unwrap());
    let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
    let s = p.intern("a");
    feed(&mut p, s, (0, 1.0.into(), GOOD), 0);
    let mut reasons = |now| tick(&mut p, now).iter().map(|e| e.reason).collect::<Vec<_>>();
    assert_eq!(reasons(20_000), [EmitReason::Heartbeat]);
    assert_eq!(reasons(30_000), [EmitReason::Stale]);
    assert_eq!(reasons(40_000), [], "the next one would have been due now");
    assert_eq!((p.next_deadline(), tick(&mut p, i64::MAX)), (None, vec![]));
}

#[test]
fn promise_13_integers_that_were_held_come_out_as_they_went_in() {
    const BEYOND: u64 = (1 << 53) + 1;
    let reducers: [Reducer; 3] = [
        SwingingDoor::new(0.5).unwrap().into(),
        Deadband::absolute(5.0).unwrap().send_previous(true).into(),
        Sample::every_n(2).unwrap().pick(Pick::Last).into(),
    ];
    let kinds: [fn(u64) -> Value<'static>; 2] = [|n| Value::I64(-(n as i64)), Value::U64];
    for reducer in reducers {
        for kind in kinds {
            let rule = Rule::new().reducer(reducer.clone());
            let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
            let s = p.intern("a");
            let mut out = Vec::new();
            for (time, step) in [(0, 0), (1_000, 2), (2_000, 2), (3_000, 1_002), (4_000, 2)] {
                out.extend(feed(&mut p, s, (time, kind(BEYOND + step), GOOD), time));
            }
            p.flush(&mut |e| out.push(e));
            let offered = [0, 2, 1_002].map(|step| kind(BEYOND + step));
            assert!(out.len() > 2, "{reducer:?}");
            for emit in &out {
                assert!(offered.contains(&emit.value), "{reducer:?}: {emit:?}");
                assert_eq!(
                    std::mem::discriminant(&emit.value),
                    std::mem::discriminant(&offered[0]),
                    "{reducer:?}: {emit:?}"
                );
            }
        }
    }
}

#[test]
fn a_sensor_is_watched_from_its_first_reading_until_it_is_stale() {
    let silent = Rule::new().stale(Stale::after_ms(500).unwrap());
    let mut p =
        Pipeline::builder().rule("a", silent).unwrap().rule("#", Rule::new()).unwrap().max_keys(2).build();
    let (a, unwatched, beyond) = (p.intern("a"), p.intern("b"), p.intern("c"));
    assert_eq!([a, unwatched, beyond].map(|s| p.silence_ms(s)), [Some(500), None, None]);
    assert_eq!(p.watched().count(), 0, "never seen");
    for sensor in [a, unwatched, beyond] {
        feed(&mut p, sensor, (0, 20.0.into(), GOOD), 0);
    }
    assert_eq!(p.watched().collect::<Vec<_>>(), [a]);
    assert_eq!([a, unwatched, beyond].map(|s| p.is_watched(s)), [true, false, false]);
    let mut restored = pipeline();
    restored.restore(p.snapshot()).unwrap();
    assert_eq!(restored.watched().collect::<Vec<_>>(), [a]);
    tick(&mut p, 500);
    assert_eq!(p.watched().count(), 0);
    feed(&mut p, a, (600, 20.0.into(), GOOD), 600);
    assert!(p.is_watched(a));
}

#[test]
fn silence_does_not_make_a_bad_value_usable() {
    let mut p = pipeline();
    let s = p.intern("a");
    feed(&mut p, s, (0, 20.0.into(), GOOD), 0);
    feed(&mut p, s, (1, 0.0.into(), Quality::BAD), 1);
    assert_eq!(tick(&mut p, 100_000), vec![]);
    assert_eq!(p.stats().stale, 1);
    let out = feed(&mut p, s, (100_000, 0.0.into(), Quality::BAD), 100_000);
    assert_eq!(out[0].reason, EmitReason::Recovered);
}

#[test]
fn refused_readings_are_no_sign_of_life() {
    let mut p = pipeline();
    let s = p.intern("a");
    feed(&mut p, s, (1000, 20.0.into(), GOOD), 1000);
    for now in [10_000, 20_000, 30_000] {
        feed(&mut p, s, (1000, 20.0.into(), GOOD), now); // the broker delivers the same one again and again
    }
    assert_eq!(tick(&mut p, 31_000).len(), 1);
}

#[test]
fn many_sensors_are_due_at_once_and_none_is_scanned_before() {
    let mut p = pipeline();
    for i in 0..10_000_u32 {
        let s = p.intern(&format!("site/{i}"));
        feed(&mut p, s, (i64::from(i), 1.0.into(), GOOD), i64::from(i));
    }
    assert_eq!(p.next_deadline(), Some(30_000));
    assert_eq!(tick(&mut p, 30_099).len(), 100);
    assert_eq!(p.next_deadline(), Some(30_100));
    let rest = tick(&mut p, 1_000_000);
    assert_eq!(rest.len(), 9_900);
    assert!(rest.is_sorted_by_key(|e| e.sensor), "in the order of their deadlines");
}

#[test]
fn promise_12_a_name_that_is_too_long_is_passed_by_and_takes_no_place() {
    for policy in [OverLimit::Pass, OverLimit::EvictIdle] {
        let rule = Rule::new().reducer(Deadband::absolute(1.0).unwrap());
        let mut p = Pipeline::builder().rule("#", rule).unwrap().max_keys(2).over_limit(policy).build();
        let name = "n".repeat(Pipeline::NAME_BYTES_MAX);
        let (a, b) = (p.intern("a"), p.intern(&name));
        assert_eq!(p.intern(&format!("{name}n")), Pipeline::UNFILTERED);
        assert_eq!((p.number("a"), p.number(&name)), (Some(a), Some(b)), "nobody was forgotten for it");
        assert_eq!((p.stats().names_refused, p.stats().evicted), (1, 0));
        for time in [0, 1] {
            assert_eq!(feed(&mut p, Pipeline::UNFILTERED, (time, 1.0.into(), GOOD), time).len(), 1);
        }
    }
}

#[test]
fn promise_12_a_flood_of_names_costs_savings_and_never_data() {
    let rule = Rule::new().reducer(Deadband::absolute(1.0).unwrap());
    let mut p = Pipeline::builder().rule("#", rule).unwrap().max_keys(100).build();
    for i in 0..10_000_u32 {
        let s = p.intern(&format!("bot/{i}"));
        assert_eq!(s == Pipeline::UNFILTERED, i >= 100);
        let out = feed(&mut p, s, (0, f64::NAN.into(), GOOD), 0);
        assert_eq!(out.len(), 1, "never lost");
        assert!(out[0].quality.is_bad(), "no NaN leaves as good, filtered or not");
    }
    let stats = p.stats();
    assert_eq!((p.sensors(), p.max_keys()), (100, 100));
    assert_eq!((stats.over_limit, stats.names_refused), (9_900, 9_900));
    assert!(stats.is_balanced());
    let reading = edge_filter::Reading { sensor: 7_777, time: 0, value: 1.0.into(), quality: GOOD };
    assert!(matches!(p.process(reading, 0, &mut |_| ()), Outcome::Emit(_)), "a number nobody gave out");
}

proptest::proptest! {
    #![proptest_config(support::config(256))]

    /// A caller that wakes at every deadline and one that never does see the same per sensor, alarms included.
    #[test]
    fn ticks_decide_when_something_is_seen_and_never_what(
        rows in proptest::collection::vec((0..3_u32, 0..20_000_i64, 90.0..100.0, 0..6_u32), 1..100),
    ) {
        let run = |ticks: bool| {
            let limit = edge_filter::alarm::Limit::at(95.0).unwrap().deadband(1.5).unwrap();
            let limit = limit.on_delay_ms(10_000).unwrap().off_delay_ms(5_000).unwrap();
            let alarm = edge_filter::alarm::LimitAlarm::new().with(edge_filter::alarm::AlarmLevel::High, limit).unwrap();
            let rule = Rule::new().reducer(Deadband::absolute(1.0).unwrap()).stale(Stale::after_ms(30_000).unwrap());
            let mut p = Pipeline::builder().rule("#", rule).unwrap().alarm("#", alarm).unwrap().build();
            let mut seen = vec![(Vec::new(), Vec::new()); 3];
            for name in ["a", "b", "c"] {
                p.intern(name);
            }
            let mut now = 0;
            let mut emits = Vec::new();
            for &(sensor, dt, value, quality) in &rows {
                now += dt;
                while ticks && let Some(next) = p.next_deadline().filter(|next| *next < now) {
                    emits.extend(tick(&mut p, next));
                }
                let quality = if quality == 0 { Quality::BAD } else { GOOD };
                emits.extend(feed(&mut p, sensor, (now, Value::F64(value), quality), now));
            }
            emits.extend(tick(&mut p, i64::MAX));
            for e in emits {
                seen[e.sensor as usize].0.push(format!("{e:?}"));
            }
            while let Some(e) = p.poll_alarm() {
                seen[e.sensor as usize].1.push((e.transition.from, e.transition.to, e.transition.time));
            }
            seen
        };
        proptest::prop_assert_eq!(run(true), run(false));
    }
}

/// A repeat has a time of its own, just after the last reading. One of that very time has no place in the trend any more: it passes beside it,
/// and since consumers take it for the sensor's value, the next one of the trend passes, too.
#[test]
fn promise_13_what_follows_a_reading_of_a_repeats_time_passes() {
    let stale = Stale::after_ms(60_000).unwrap().heartbeat_ms(5_000).unwrap();
    let rule = Rule::new().reducer(SwingingDoor::new(1.0).unwrap()).stale(stale);
    let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
    let s = p.intern("a");
    feed(&mut p, s, (1_000, 20.0.into(), GOOD), 1_000);
    let repeat = tick(&mut p, 6_000);
    assert_eq!((repeat[0].time, repeat[0].reason), (1_001, EmitReason::Heartbeat));
    let mut reasons = |time, value: f64| -> Vec<EmitReason> {
        feed(&mut p, s, (time, value.into(), GOOD), 6_500).iter().map(|e| e.reason).collect()
    };
    assert_eq!(reasons(1_001, 90.0), [EmitReason::Late]);
    assert_eq!(reasons(2_000, 20.0), [EmitReason::Resumed]);
    assert_eq!(reasons(3_000, 20.0), []);
    assert!(p.stats().is_balanced());
}
