//! Whatever the clocks of sensors and gateway say, no reading is lost: it is emitted as it came, or the value that a
//! consumer holds stands for it, or the rules ask for the loss. The check of it finds planted bugs.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::alarm::{AlarmLevel, AlarmState};
use edge_filter::{DropReason, EmitReason, Outcome, Pipeline, Quality, Reading, Value};
use support::{Rng, budget};

const GOOD: Quality = Quality::GOOD;
const START: i64 = 1_700_000_000_000;
const TOLERANCE: f64 = 0.5;

fn pipeline(defaults: &str, stage: &str) -> Pipeline {
    Pipeline::from_toml(&format!(
        "[defaults]\n{defaults}\n[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n"
    ))
    .unwrap()
}

/// Readings as (time, value) with `now`, and the reason of each that is emitted by itself, in order.
fn reasons(p: &mut Pipeline, now: i64, readings: &[(i64, f64)]) -> Vec<Result<EmitReason, DropReason>> {
    let sensor = p.intern("s");
    let mut one = |&(time, value): &(i64, f64)| {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: GOOD };
        match p.process(reading, now, &mut |_| ()) {
            Outcome::Emit(e) => Ok(e.reason),
            Outcome::Drop(reason) => Err(reason),
            Outcome::Held => panic!("no stage holds"),
        }
    };
    readings.iter().map(&mut one).collect()
}

#[test]
fn each_of_equal_stamps_passes_and_so_does_the_next_reading() {
    use EmitReason as E;
    let mut p = pipeline("", "deadband = { absolute = 0.5 }");
    let readings = [(0, 0.0), (0, 100.0), (0, -100.0), (0, 50.0), (1000, 0.1), (2000, 0.2)];
    let expected = [
        Ok(E::First),
        Ok(E::SameTime),
        Ok(E::SameTime),
        Ok(E::SameTime),
        Ok(E::Resumed), // or 50 would be the sensor's value until the next change
        Err(DropReason::InDeadband),
    ];
    assert_eq!(reasons(&mut p, 2000, &readings), expected);
}

/// Of a sampled sensor nobody takes the last value for that of now: no other reading passes for it.
#[test]
fn one_beside_the_series_makes_no_other_pass_where_values_are_sampled() {
    let mut p = pipeline("", "sample = { every_n = 3, pick = \"first\" }");
    let found = reasons(&mut p, 9, &[(0, 0.0), (0, 9.0), (1, 0.0), (2, 0.0)]);
    assert_eq!((found[0], found[1]), (Ok(EmitReason::First), Ok(EmitReason::SameTime)));
    assert!(found[2..].iter().all(|reason| *reason != Ok(EmitReason::Resumed)), "{found:?}");
}

#[test]
fn a_reading_from_the_future_is_the_newest_until_the_series_overtakes_it() {
    use EmitReason as E;
    let mut p = pipeline("", "on_change = {}");
    let same = Err(DropReason::Unchanged);
    let readings = [(0, 1.0), (90_000, 7.0), (1000, 1.0), (89_000, 1.0), (90_001, 1.0), (90_002, 1.0)];
    let before = reasons(&mut p, 0, &readings[..2]);
    let after = reasons(&mut p, 60_000, &readings[2..]);
    assert_eq!([before, after].concat(), [Ok(E::First), Ok(E::Future), same, same, Ok(E::Resumed), same]);
}

#[test]
fn a_clock_that_is_not_trusted_judges_nothing() {
    use EmitReason as E;
    for policy in ["pass", "drop"] {
        let mut p = pipeline(&format!("future = \"{policy}\""), "deadband = { absolute = 0.5 }");
        p.trust_clock(false);
        let ahead = [(600_000, 1.0), (601_000, 1.25), (602_000, 2.0)];
        assert_eq!(reasons(&mut p, 0, &ahead), [Ok(E::First), Err(DropReason::InDeadband), Ok(E::Deadband)]);
        p.trust_clock(true);
        let expected = if policy == "pass" { Ok(E::Future) } else { Err(DropReason::Future) };
        assert_eq!(reasons(&mut p, 0, &[(603_000, 3.0)]), [expected]);
    }
}

/// The clock that completes windows was set ahead: what comes for a completed one is not lost with it.
#[test]
fn a_reading_of_a_window_that_the_clock_has_completed_passes_beside_it() {
    let mut p = pipeline("", "window = { width_ms = 10000, agg = \"mean\" }");
    let sensor = p.intern("s");
    let mut out = Vec::new();
    let reading = |time| Reading { sensor, time, value: Value::F64(1.0), quality: GOOD };
    assert_eq!(p.process(reading(1000), 1000, &mut |_| ()), Outcome::Held);
    p.tick(600_000, &mut |e| out.push((e.time, e.reason)));
    assert_eq!(out, [(0, EmitReason::WindowClosed)]);
    match p.process(reading(2000), 601_000, &mut |_| ()) {
        Outcome::Emit(e) => assert_eq!((e.time, e.reason), (2000, EmitReason::Late)),
        other => panic!("{other:?}"),
    }
    assert!(p.stats().is_balanced());
}

/// Windows of the time before the clock was set back say nothing of those that come after it.
#[test]
fn a_window_goes_on_in_the_new_time_of_a_clock_that_was_set_back() {
    let mut p = pipeline("", "window = { width_ms = 10000, agg = \"mean\" }");
    let (sensor, mut out) = (p.intern("s"), Vec::new());
    let mut give = |p: &mut Pipeline, time| {
        let reading = Reading { sensor, time, value: Value::F64(1.0), quality: GOOD };
        p.process(reading, START, &mut |e| out.push((e.time - START, e.reason)))
    };
    assert_eq!(give(&mut p, START + 1000), Outcome::Held);
    p.clock_stepped(sensor);
    for time in [-3_600_000, -3_599_000, -3_589_000] {
        assert_eq!(give(&mut p, START + time), Outcome::Held, "{time}");
    }
    assert_eq!(out, [(0, EmitReason::WindowClosed), (-3_600_000, EmitReason::WindowClosed)]);
    assert!(p.stats().is_balanced());
}

#[test]
fn the_delay_of_an_alarm_goes_on_in_the_new_time_of_a_clock_that_was_set_back() {
    let mut p = Pipeline::from_toml(
        "[[alarm]]\nmatch = \"#\"\nhigh = { limit = 95, on_delay_ms = 10000 }\n[[rule]]\nmatch = \"#\"\n",
    )
    .unwrap();
    let sensor = p.intern("s");
    let mut state_after = |time, is_set_back| {
        if is_set_back {
            p.clock_stepped(sensor);
        }
        let reading = Reading { sensor, time, value: Value::F64(96.0), quality: GOOD };
        let _ = p.process(reading, START, &mut |_| ());
        p.alarm(sensor).unwrap().state(AlarmLevel::High)
    };
    assert_eq!(state_after(START, false), AlarmState::Normal);
    let back = START - 3_600_000;
    assert_eq!([state_after(back, true), state_after(back + 9_999, false)], [AlarmState::Normal; 2]);
    assert_eq!(state_after(back + 10_001, false), AlarmState::Unacknowledged);
}

/// A window ends by the sensor's clock: as late as its readings come.
#[test]
fn a_sensor_whose_clock_is_an_hour_slow_has_whole_windows() {
    let mut p = pipeline("", "window = { width_ms = 10000, agg = \"count\" }");
    let (sensor, mut out) = (p.intern("s"), Vec::new());
    for second in 0..30 {
        let (time, now) = (START + second * 1000, START + second * 1000 + 3_600_000);
        p.tick(now, &mut |e| out.push((e.time - START, e.value.as_f64())));
        let reading = Reading { sensor, time, value: Value::F64(1.0), quality: GOOD };
        assert_eq!(p.process(reading, now, &mut |_| ()), Outcome::Held, "{second}");
    }
    assert_eq!(out, [(0, Some(10.0)), (10_000, Some(10.0))]);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// Late readings are dropped.
    Drops,
    /// A reading that passed beside the stages is not overtaken.
    Forgets,
}

/// A sensor's clock that drifts, steps, repeats and sends its backlog late; a gateway's that is anywhere.
struct Clocks {
    rng: Rng,
    sensor: i64,
    gateway: i64,
    value: f64,
}

impl Clocks {
    fn next(&mut self) -> (i64, i64, f64) {
        let day = 86_400_000;
        self.gateway += self.rng.below(2000).cast_signed();
        match self.rng.below(40) {
            0 => self.gateway += self.rng.pick(&[-day, -600_000, -30_000, 600_000, day]),
            1 => self.gateway = self.rng.pick(&[0, START]),
            2 => self.sensor += self.rng.pick(&[-day, -600_000, -61_000, -30_000, 120_000, day]),
            3..9 => {}
            9..14 => self.sensor += 100,
            _ => self.sensor += 1000,
        }
        let behind = if self.rng.below(6) == 0 { self.rng.below(20_000).cast_signed() } else { 0 };
        self.value += self.rng.pick(&[0.0, 0.0, 0.125, -0.125, 3.0, -3.0]);
        (self.gateway, (self.sensor - behind) / 1000 * 1000, self.value)
    }
}

/// Readings of one sensor, and what is wrong with what becomes of them.
fn history(seed: u64, stage: &str, bug: Bug) -> Result<(), String> {
    let mut clocks = Clocks { rng: Rng(seed), sensor: START, gateway: START, value: 20.0 };
    let mut p = pipeline("", stage);
    p.trust_clock(clocks.rng.below(3) > 0);
    let sensor = p.intern("s");
    // Of the series, in the order of arrival; of all, the newest by event time.
    let (mut held, mut newest): (f64, Option<(i64, f64)>) = (f64::NAN, None);
    let mut received = i64::MIN;
    for step in 0..200 {
        if clocks.rng.below(50) == 0 {
            let snapshot = p.snapshot();
            p = pipeline("", stage);
            p.restore(snapshot).unwrap();
            assert_eq!(p.intern("s"), sensor);
        }
        if clocks.rng.below(20) == 0 {
            p.trust_clock(clocks.rng.below(2) == 0);
        }
        let (now, time, value) = clocks.next();
        let reading = Reading { sensor, time, value: Value::F64(value), quality: GOOD };
        let what = format!("step {step}: {value} @{time} at {now}");
        match p.process(reading, now, &mut |e| panic!("{e:?}")) {
            Outcome::Emit(e) => {
                if e.reason.is_beside() && bug == Bug::Drops {
                    return Err(format!("{what}: lost"));
                }
                assert_eq!((e.time, e.value.as_f64()), (time, Some(value)), "as it came");
                let is_planted = e.reason == EmitReason::Resumed && bug == Bug::Forgets;
                if !e.reason.is_beside() && !is_planted {
                    held = value;
                }
                if newest.is_none_or(|(newest, _)| time >= newest) && !is_planted {
                    newest = Some((time, value));
                }
                if is_planted && (held - value).abs() > TOLERANCE {
                    return Ok(()); // the deadband would have let it pass
                }
            }
            Outcome::Drop(DropReason::Duplicate) => continue,
            Outcome::Drop(DropReason::InDeadband | DropReason::Unchanged) => {
                if (held - value).abs() > TOLERANCE {
                    return Err(format!("{what}: {held} does not stand for it"));
                }
            }
            other => return Err(format!("{what}: {other:?}")),
        }
        // The newest reading of all is what a dashboard shows, which goes by event time.
        let is_newest = time > received;
        received = received.max(time);
        if let Some((shown, shows)) = newest.filter(|(newest, _)| is_newest && time > *newest)
            && (shows - value).abs() > TOLERANCE
        {
            return Err(format!("{what}: {shows} of {shown} is shown"));
        }
    }
    assert!(p.stats().is_balanced());
    Ok(())
}

#[test]
fn every_reading_is_emitted_or_stood_for_whatever_the_clocks_say() {
    let mut rng = Rng::from_env();
    for _ in 0..budget(20_000) {
        let (seed, stage) = (rng.next(), rng.pick(&["deadband = { absolute = 0.5 }", "on_change = {}"]));
        if let Err(wrong) = history(seed, stage, Bug::None) {
            panic!("seed {seed}, {stage}: {wrong}");
        }
    }
}

#[test]
fn the_check_finds_planted_bugs() {
    for bug in [Bug::Drops, Bug::Forgets] {
        let found =
            (0..200).filter(|seed| history(*seed, "deadband = { absolute = 0.5 }", bug).is_err()).count();
        assert!(found > 0, "{bug:?}");
    }
}

/// Only what the rules name is dropped.
#[test]
fn a_loss_is_one_that_the_rules_ask_for() {
    for (key, reason) in [
        ("future", DropReason::Future),
        ("out_of_order", DropReason::OutOfOrder),
        ("same_time", DropReason::DuplicateTimestamp),
    ] {
        let mut p = pipeline(&format!("{key} = \"drop\""), "deadband = { absolute = 0.5 }");
        let sensor = p.intern("s");
        assert_eq!(p.rule(sensor).unwrap().guard().drops().collect::<Vec<_>>(), [reason]);
        let mut clocks = Clocks { rng: Rng(7), sensor: START, gateway: START, value: 20.0 };
        for _ in 0..5000 {
            let (now, time, value) = clocks.next();
            let reading = Reading { sensor, time, value: Value::F64(value), quality: GOOD };
            let _ = p.process(reading, now, &mut |_| ());
        }
        let lost = DropReason::ALL.iter().copied().filter(|dropped| {
            !matches!(dropped, DropReason::InDeadband | DropReason::Duplicate)
                && p.stats().dropped_by(*dropped) > 0
        });
        assert_eq!(lost.collect::<Vec<_>>(), [reason]);
    }
}
