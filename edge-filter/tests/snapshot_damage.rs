//! Promise 13 over a damaged snapshot: any byte of it may be another. It is refused, by the format or as another version, or restored, without
//! the states that cannot be, which are named; then no number that is none leaves as good, and every reading is accounted for.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, Snapshot, Value};
use support::{Rng, budget};

/// Every stage, and every state of one.
const STAGES: [&str; 17] = [
    "{ deadband = { absolute = 1.0 } }",
    "{ deadband = { absolute = 1.0, send_previous = true } }",
    "{ on_change = {} }",
    "{ dedup = { within_ms = 60000 } }",
    "{ swinging_door = { deviation = 0.5 } }",
    "{ segment_hold = { deviation = 5.0 } }",
    "{ window = { width_ms = 3000, agg = \"median\" } }",
    "{ window = { width_ms = 3000, agg = \"time_avg_sloped\", empty = \"emit\" } }",
    "{ sample = { every_n = 3 } }",
    "{ sample = { every_n = 3, pick = \"max_abs_dev\" } }",
    "{ rate_of_change = { fail_per_s = 500.0 } }, { jump_reject = { max_step = 40.0 } }",
    "{ flat_line = { suspect_s = 1, fail_s = 2, sampling_ms = 400, tolerance = 9.0 } }",
    "{ attenuated_signal = { suspect = 3.0, period_ms = 2000 } }",
    "{ attenuated_signal = { check = \"range\", suspect = 3.0, period_ms = 2000 } }",
    "{ hampel = { window = 3, alignment = \"causal\", action = \"replace\" } }, { deadband = { absolute = 1.0 } }",
    "{ hampel = { window = 5, alignment = \"centered\", action = \"replace\" } }, { spike = { fail = 30.0 } }",
    "{ counter = { width_bits = 32, max_rate_per_s = 1000 } }, { scale = { factor = 0.5 } }, { segment_hold = { deviation = 5.0 } }",
];

fn pipeline(stages: &str) -> Pipeline {
    let text = format!(
        "[[rule]]\nmatch = \"#\"\n\
         stages = [ {stages}, {{ stale = {{ timeout_ms = 5000, heartbeat_ms = 2000 }} }} ]\n\
         [[alarm]]\nmatch = \"a\"\nhigh = {{ limit = 30.0, on_delay_ms = 900 }}\n"
    );
    Pipeline::from_toml(&text).unwrap()
}

/// A pipeline under test, with the time of its caller.
#[derive(Clone)]
struct Run {
    pipeline: Pipeline,
    now: i64,
}

impl Run {
    /// A reading, or time that passes: the first thing that is wrong.
    fn step(&mut self, rng: &mut Rng) -> Option<String> {
        self.now += rng.pick(&[1, 400, 400, 900, 2_100, 6_000]);
        let (mut wrong, now) = (None, self.now);
        if rng.below(5) == 0 {
            self.pipeline.tick(now, &mut |emit| wrong = wrong.take().or(no_number(&emit)));
        } else {
            let name = rng.pick(&["a", "b", "text"]);
            let sensor = self.pipeline.intern(name);
            let value = match name {
                "text" => Value::from(rng.pick(&["on", "off"])),
                "b" => Value::U64(rng.below(40)),
                _ => Value::F64(rng.below(400) as f64 / 10.0),
            };
            let reading = Reading { sensor, time: now, value, quality: Quality::GOOD };
            let sink = &mut |emit: Emit<'_>| wrong = wrong.take().or(no_number(&emit));
            if let Outcome::Emit(emit) = self.pipeline.process(reading, now, sink) {
                wrong = wrong.or(no_number(&emit));
            }
        }
        wrong.or_else(|| self.unbalanced())
    }

    /// The same at a stop.
    fn stop(&mut self) -> Option<String> {
        let mut wrong = None;
        self.pipeline.flush(&mut |emit| wrong = wrong.take().or(no_number(&emit)));
        let held = self.pipeline.stats().held;
        wrong.or_else(|| self.unbalanced()).or((held > 0).then(|| format!("{held} held after a flush")))
    }

    fn unbalanced(&self) -> Option<String> {
        let stats = self.pipeline.stats();
        (!stats.is_balanced()).then(|| format!("not balanced: {stats:?}"))
    }
}

/// All that was fed is finite: a number that is none must be bad.
fn no_number(emit: &Emit<'_>) -> Option<String> {
    let wrong = matches!(emit.value, Value::F64(number) if !number.is_finite()) && !emit.quality.is_bad();
    wrong.then(|| format!("{emit:?}"))
}

/// Bytes to put in the place of `byte`: all others with the whole budget, else some.
fn others(byte: u8, rng: &mut Rng) -> Vec<u8> {
    if budget(100) >= 100 {
        return (0..=255).filter(|other| *other != byte).collect();
    }
    let mut flipped = || byte ^ 1 << rng.below(8);
    let some = [0x00, 0x7F, 0x80, 0xFF, flipped(), flipped(), flipped()];
    some.into_iter().filter(|other| *other != byte).collect()
}

/// How often a damaged snapshot was refused by its format, by the pipeline, and restored.
#[derive(Debug, Default)]
struct Seen {
    unread: u64,
    refused: u64,
    without: u64,
    restored: u64,
}

fn damage(stages: &str, rng: &mut Rng, seen: &mut Seen) -> Option<String> {
    let cold = Run { pipeline: pipeline(stages), now: 1_700_000_000_000 };
    let mut run = cold.clone();
    for _ in 0..60 {
        if let Some(wrong) = run.step(rng) {
            return Some(format!("before the damage: {wrong}"));
        }
    }
    let mut bytes = Vec::new();
    ciborium::into_writer(&run.pipeline.snapshot(), &mut bytes).unwrap();
    for at in 0..bytes.len() {
        for other in others(bytes[at], rng) {
            let mut damaged = bytes.clone();
            damaged[at] = other;
            let Ok(snapshot) = ciborium::from_reader::<Snapshot, _>(damaged.as_slice()) else {
                seen.unread += 1;
                continue;
            };
            let mut next = Run { now: run.now, ..cold.clone() };
            match next.pipeline.restore(snapshot) {
                Ok(damaged) if damaged.is_empty() => seen.restored += 1,
                Ok(_) => seen.without += 1,
                Err(error) => {
                    seen.refused += 1;
                    if !error.to_string().contains("version") || next.pipeline.sensors() != 0 {
                        return Some(format!("byte {at} {other:#04x}: refused as {error}"));
                    }
                    continue;
                }
            }
            let wrong = (0..10).find_map(|_| next.step(rng)).or_else(|| next.stop());
            if let Some(wrong) = wrong {
                return Some(format!("{stages}: byte {at} {other:#04x} for {:#04x}: {wrong}", bytes[at]));
            }
        }
    }
    None
}

#[test]
fn promise_13_a_damaged_snapshot_is_refused_or_harmless() {
    let (mut rng, mut seen) = (Rng::from_env(), Seen::default());
    for stages in STAGES {
        assert_eq!(damage(stages, &mut rng, &mut seen), None);
    }
    assert!(seen.unread > 100 && seen.without > 100 && seen.restored > 100 && seen.refused > 0, "{seen:?}");
    println!(
        "executed filter snapshot damage: {} cases, {seen:?}",
        seen.unread + seen.refused + seen.without + seen.restored
    );
}

/// The damage stands somewhere in the middle: the sensors before and behind it are taken over, each under its number.
#[test]
fn a_damaged_state_is_named_and_only_its_sensor_starts_cold() {
    let mut run = Run { pipeline: pipeline(STAGES[0]), now: 1_000 };
    for name in ["one", "two", "three"] {
        let sensor = run.pipeline.intern(name);
        let reading = Reading { sensor, time: 1_000, value: Value::F64(20.0), quality: Quality::GOOD };
        let _ = run.pipeline.process(reading, 1_000, &mut |_| ());
    }
    let mut value = ciborium::Value::serialized(&run.pipeline.snapshot()).unwrap();
    let second = value.as_array_mut().unwrap()[2].as_array_mut().unwrap()[1].as_array_mut().unwrap();
    let last = second[1].as_array_mut().unwrap()[1].as_array_mut().unwrap();
    last[0].as_map_mut().unwrap()[0].1 = f64::NAN.into();
    let mut next = pipeline(STAGES[0]);
    let damaged = next.restore(value.deserialized().unwrap()).unwrap();
    let named: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["of sensor two its last value cannot be"]);
    let names: Vec<_> = (0..3).map(|number| (next.name(number), next.last_time(number))).collect();
    assert_eq!(names, [(Some("one"), Some(1_000)), (Some("two"), None), (Some("three"), Some(1_000))]);
}

/// More readings than a sensor ever sent: sums over all sensors would overflow.
#[test]
fn a_count_of_held_readings_that_cannot_be_is_refused() {
    let stages = "{ segment_hold = { deviation = 5.0 } }";
    let mut run = Run { pipeline: pipeline(stages), now: 1_000 };
    let sensor = run.pipeline.intern("b");
    for time in [1_000, 1_001, 1_002] {
        let reading = Reading { sensor, time, value: Value::F64(20.0), quality: Quality::GOOD };
        let _ = run.pipeline.process(reading, time, &mut |_| ());
    }
    let restored = |readings: u64| {
        let mut value = ciborium::Value::serialized(&run.pipeline.snapshot()).unwrap();
        let sensor = value.as_array_mut().unwrap()[2].as_array_mut().unwrap()[0].as_array_mut().unwrap();
        let extra = sensor[1].as_array_mut().unwrap()[3].as_array_mut().unwrap();
        let segment = extra[0].as_map_mut().unwrap()[0].1.as_array_mut().unwrap();
        segment[4] = readings.into();
        pipeline(stages).restore(value.deserialized().unwrap())
    };
    assert_eq!(restored(2), Ok(Vec::new()));
    let named: Vec<_> =
        restored(u64::MAX).unwrap().into_iter().map(|damaged| (damaged.sensor, damaged.part)).collect();
    assert_eq!(named, [("b".to_owned(), "what its reducing stage holds")]);
}
