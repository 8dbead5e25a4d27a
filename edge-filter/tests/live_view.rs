//! Promise 13 for a display: whoever shows the emitted value that is newest by event time shows, whenever a reading is suppressed, its status and a
//! value within the tolerance. By default policies, which let readings pass beside the series, over ticks, heartbeats, silence, and restarts with
//! another tolerance; for every kind of value.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::{DropReason, Emit, EmitReason, Outcome, Pipeline, Quality, Reading, Value};
use support::{Rng, budget};

/// Stages, and the tolerance that they state. A restart changes to another one of the same row.
const STAGES: [&[(&str, f64)]; 4] = [
    &[
        ("deadband = { absolute = 1.0 }", 1.0),
        ("deadband = { absolute = 0.0 }", 0.0),
        ("deadband = { absolute = 3.5, max_interval_ms = 5000 }", 3.5),
        ("deadband = { absolute = 2.0, send_previous = true }", 2.0),
    ],
    &[("deadband = { absolute = 1.0, uncertain_as = \"bad\" }", 1.0)],
    &[("on_change = {}", 0.0), ("on_change = { max_interval_ms = 5000 }", 0.0)],
    &[("dedup = { within_ms = 3000 }", 0.0)],
];

fn pipeline(stage: &str) -> Pipeline {
    let stale = "stale = { timeout_ms = 20000, heartbeat_ms = 4000 }";
    Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }}, {{ {stale} }} ]"))
        .unwrap()
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match *value {
        Value::F64(v) if v.fract() == 0.0 && v.abs() < 1e19 => Some(v as i128),
        Value::I64(v) => Some(v.into()),
        Value::U64(v) => Some(v.into()),
        _ => None,
    }
}

/// Returns whether one value stands for the other.
fn is_near(a: &Value<'_>, b: &Value<'_>, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Bool(_) | Value::Text(_), _) | (_, Value::Bool(_) | Value::Text(_)) => a == b,
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.abs_diff(b) as f64 <= tolerance,
            _ => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= tolerance * (1.0 + 1e-9),
        },
    }
}

fn value(rng: &mut Rng, kind: u64, walk: i64) -> Value<'static> {
    match kind {
        0 => Value::F64(walk as f64 / 4.0),
        1 => Value::I64((1 << 60) + walk),
        2 => Value::U64(u64::MAX - 500 + walk.unsigned_abs()),
        // A decoder that knows no type: integers and floats by turns, about where a float has no place for every integer.
        3 if rng.below(2) == 0 => Value::F64(((1_i64 << 53) + walk) as f64),
        3 => Value::I64((1 << 53) + walk),
        4 => Value::Bool(walk % 2 == 0),
        _ => Value::from(format!("mode {}", walk / 9)),
    }
}

/// Time of the reading that is given at `now`.
fn time(rng: &mut Rng, now: i64) -> i64 {
    match rng.below(20) {
        0 => now - 90_000,
        1 => now + 90_000,
        2 => now + 30_000,
        3 | 4 => now - rng.below(3_000).cast_signed(),
        _ => now,
    }
}

/// Mistake of the display.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    MissesTheLate,
    MissesAStatus,
    TakesTheOlder,
}

#[derive(Default)]
struct Display(Option<(i64, Value<'static>, Quality)>);

impl Display {
    fn see(&mut self, e: &Emit<'_>, bug: Bug) {
        let is_missed = match bug {
            Bug::MissesTheLate => e.reason == EmitReason::Resumed,
            Bug::MissesAStatus => e.reason == EmitReason::StatusChange,
            Bug::None | Bug::TakesTheOlder => false,
        };
        let is_newest = bug == Bug::TakesTheOlder || self.0.as_ref().is_none_or(|(time, ..)| *time <= e.time);
        if is_newest && !is_missed {
            self.0 = Some((e.time, e.value.clone().into_owned(), e.quality));
        }
    }
}

fn run(rng: &mut Rng, bug: Bug) -> Result<(), String> {
    let row = STAGES[rng.below(STAGES.len() as u64) as usize];
    let (mut stage, mut tolerance) = rng.pick(row);
    let (mut p, mut display, mut now) = (pipeline(stage), Display::default(), 1_700_000_000_000_i64);
    let (kind, mut walk) = (rng.below(6), 0_i64);
    for step in 0..120 {
        now += rng.pick(&[0, 1, 200, 200, 1_000, 1_000, 4_500, 25_000, 4_000_000]);
        match rng.below(30) {
            0 => p.flush(&mut |e| display.see(&e, bug)),
            1 | 2 => p.tick(now, &mut |e| display.see(&e, bug)),
            3 => {
                let mut bytes = Vec::new();
                p.flush(&mut |e| display.see(&e, bug));
                ciborium::into_writer(&p.snapshot(), &mut bytes).unwrap();
                (stage, tolerance) = rng.pick(row);
                p = pipeline(stage);
                p.restore(ciborium::from_reader(&bytes[..]).unwrap()).unwrap();
            }
            _ => {}
        }
        walk = (walk + rng.below(5).cast_signed() - 2).clamp(-200, 200);
        let quality = rng.pick(&[0, 0, 0, 0, 0, 0, 0x4000_0000, 0x8000_0000]);
        let mut value = value(rng, kind, walk);
        if kind == 0 && rng.below(15) == 0 {
            value = Value::F64(rng.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]));
        }
        let reading =
            Reading { sensor: p.intern("s"), time: time(rng, now), value, quality: Quality(quality) };
        let is_number = reading.value.as_f64().is_none_or(f64::is_finite);
        let status = if is_number || reading.quality.is_bad() { reading.quality } else { Quality::BAD };
        let is_again = p.last_time(reading.sensor) == Some(reading.time);
        let outcome = p.process(reading.clone(), now, &mut |e| display.see(&e, bug));
        if !p.stats().is_balanced() {
            return Err(format!("step {step}: {:?}", p.stats()));
        }
        match outcome {
            Outcome::Emit(e) => display.see(&e, bug),
            Outcome::Drop(DropReason::OutOfOrder | DropReason::Future | DropReason::Late) => {
                return Err(format!("step {step}: lost {reading:?}"));
            }
            // The last reading of the series once more: what came between the two, beside the series, is shown until the next one resumes it.
            Outcome::Drop(DropReason::Duplicate) if is_again => {}
            Outcome::Drop(_) | Outcome::Held => {
                let Some((time, shown, quality)) = &display.0 else {
                    return Err(format!("step {step}: nothing is shown for {reading:?}"));
                };
                let compared =
                    !(status.is_bad() || (status.is_uncertain() && stage.contains("uncertain_as")));
                let stands = *quality == status && (!compared || is_near(shown, &reading.value, tolerance));
                if *time <= reading.time && !stands {
                    return Err(format!("step {step}, {stage}: {:?} stands for {reading:?}", display.0));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn promise_13_what_is_newest_stands_for_every_reading_that_is_suppressed() {
    let (mut rng, cases) = (Rng::from_env(), budget(50_000));
    for case in 0..cases {
        run(&mut rng, Bug::None).unwrap_or_else(|error| panic!("case {case}: {error}"));
    }
    println!("executed filter live view: {cases} cases");
}

#[test]
fn a_display_that_is_wrong_is_found() {
    for bug in [Bug::MissesTheLate, Bug::MissesAStatus, Bug::TakesTheOlder] {
        let mut rng = Rng::from_env();
        assert!((0..5_000).any(|_| run(&mut rng, bug).is_err()), "{bug:?}");
    }
}
