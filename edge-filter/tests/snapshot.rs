//! Promise 13 over a clean restart: a pipeline that was written and read back goes on as if nothing had happened;
//! after an unclean stop every sensor's first reading passes.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::{AlarmLevel, EmitReason, Pipeline, Quality, RestoreError, Snapshot, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::feed;

const RULES: &str = r##"
    [[rule]]
    match = "plant/#"
    nan_is_bad = false
    range = { low = -100.0, high = 100.0 }
    stages = [
      { gross_range = { fail = [-50.0, 50.0], action = "drop" } },
      { deadband = { percent = 1.0, min_interval_ms = 500, max_interval_ms = 20000 } },
      { stale = { timeout_ms = 5000 } },
    ]
    [[alarm]]
    match = "plant/+"
    high = { limit = 30.0, deadband = 2.0, on_delay_ms = 1500, off_delay_ms = 700 }
    low = { limit = -30.0 }
"##;

const NAMES: [&str; 4] = ["plant/f64", "plant/counter", "plant/mode", "elsewhere"];

#[derive(Clone, Debug)]
enum Step {
    Reading { sensor: usize, ahead: i64, value: f64, quality: Quality },
    Tick,
    Acknowledge,
}

fn history() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let value = prop_oneof![6 => -45.0..45.0, 4 => 28.0..32.0, 1 => Just(f64::NAN), 1 => Just(75.0)];
    let quality =
        prop_oneof![8 => Just(Quality::GOOD), 1 => Just(Quality::BAD), 1 => Just(Quality::UNCERTAIN)];
    let ahead = prop_oneof![8 => Just(0), 2 => -400..400_i64, 1 => Just(-90_000), 1 => Just(90_000)];
    let reading = (0..NAMES.len(), ahead, value, quality)
        .prop_map(|(sensor, ahead, value, quality)| Step::Reading { sensor, ahead, value, quality });
    let step = prop_oneof![10 => reading, 1 => Just(Step::Tick), 1 => Just(Step::Acknowledge)];
    let dt = prop_oneof![10 => 0..900_i64, 2 => 2_000..9_000_i64, 1 => Just(4_000_000)];
    prop::collection::vec((dt, step), 2..80)
}

/// A pipeline under test, with the time of its caller.
struct Rig {
    p: Pipeline,
    now: i64,
}

impl Rig {
    fn new() -> Self {
        Rig { p: Pipeline::from_toml(RULES).unwrap(), now: 1_000_000 }
    }

    /// Everything that can be seen of one step.
    fn step(&mut self, (dt, step): &(i64, Step)) -> String {
        self.now += dt;
        let mut out = Vec::new();
        match step {
            Step::Reading { sensor, ahead, value, quality } => {
                let number = self.p.intern(NAMES[*sensor]);
                let value = match sensor {
                    1 => Value::U64(value.abs() as u64 + (1 << 60)),
                    2 => Value::from(format!("mode {}", (*value as i64) / 20)),
                    _ => Value::F64(*value),
                };
                out = feed(&mut self.p, number, (self.now + ahead, value, *quality), self.now);
            }
            Step::Tick => self.p.tick(self.now, &mut |e| out.push(e)),
            Step::Acknowledge => {
                for (name, level) in NAMES.into_iter().zip([AlarmLevel::High; 3]) {
                    let number = self.p.intern(name);
                    let id = self.p.alarm(number).map_or(0, |alarm| alarm.transition(level));
                    let _ = self.p.acknowledge(number, level, id, self.now);
                }
            }
        }
        let alarms: Vec<_> = std::iter::from_fn(|| self.p.poll_alarm()).collect();
        format!("{out:?} {alarms:?}")
    }
}

fn through_bytes(snapshot: &Snapshot) -> Snapshot {
    let mut bytes = Vec::new();
    ciborium::into_writer(snapshot, &mut bytes).unwrap();
    ciborium::from_reader(&bytes[..]).unwrap()
}

/// Runs the history with a restart before row `cut`; what a restart keeps is up to `restart`.
fn same_suffix(
    history: &[(i64, Step)],
    cut: usize,
    restart: fn(&Pipeline) -> Pipeline,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let (mut whole, mut cut_rig) = (Rig::new(), Rig::new());
    for (row, step) in history.iter().enumerate() {
        if row == cut {
            cut_rig.p = restart(&cut_rig.p);
        }
        prop_assert_eq!(whole.step(step), cut_rig.step(step), "row {}", row);
        prop_assert!(whole.p.stats().is_balanced() && cut_rig.p.stats().is_balanced());
    }
    Ok(())
}

fn warm(old: &Pipeline) -> Pipeline {
    let mut new = Rig::new().p;
    new.restore(through_bytes(&old.snapshot())).unwrap();
    new
}

fn cold(_: &Pipeline) -> Pipeline {
    Rig::new().p
}

/// Planted: the states survive but the clock of the sensors does not.
fn forgets_one_sensor(old: &Pipeline) -> Pipeline {
    let mut new = Rig::new().p;
    let mut value = ciborium::Value::serialized(&old.snapshot()).unwrap();
    let sensors =
        value.as_map_mut().unwrap().iter_mut().find(|(k, _)| k.as_text() == Some("sensors")).unwrap();
    sensors.1.as_array_mut().unwrap().pop();
    new.restore(value.deserialized().unwrap()).unwrap();
    new
}

#[test]
fn promise_13_a_clean_restart_at_any_row_changes_nothing() {
    let config =
        || Config { cases: 1_000, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let cut_history = || history().prop_flat_map(|h| (0..h.len(), Just(h)));
    let run =
        |restart| TestRunner::new(config()).run(&cut_history(), |(cut, h)| same_suffix(&h, cut, restart));
    run(warm).unwrap();
    assert!(run(cold).is_err(), "the comparison must notice a cold start");
    assert!(run(forgets_one_sensor).is_err(), "the comparison must notice one lost sensor");
}

#[test]
fn after_an_unclean_stop_every_first_reading_passes() {
    let mut old = Rig::new();
    let s = old.p.intern("plant/f64");
    feed(&mut old.p, s, (1000, 10.0.into(), Quality::GOOD), 1000);
    assert_eq!(feed(&mut old.p, s, (1001, 10.0.into(), Quality::GOOD), 1001), []);
    let mut new = Rig::new();
    let s = new.p.intern("plant/f64");
    let out = feed(&mut new.p, s, (1001, 10.0.into(), Quality::GOOD), 1001);
    assert_eq!(out[0].reason, EmitReason::First);
}

#[test]
fn a_snapshot_of_another_version_is_refused_and_changes_nothing() {
    let mut old = Rig::new();
    let s = old.p.intern("plant/f64");
    feed(&mut old.p, s, (1000, 10.0.into(), Quality::GOOD), 1000);
    let mut value = ciborium::Value::serialized(&old.p.snapshot()).unwrap();
    let version =
        value.as_map_mut().unwrap().iter_mut().find(|(k, _)| k.as_text() == Some("version")).unwrap();
    version.1 = ciborium::Value::from(99);
    let mut new = Rig::new();
    let refused = new.p.restore(value.deserialized().unwrap());
    assert_eq!(refused, Err(RestoreError::Version { found: 99, supported: edge_filter::SNAPSHOT_VERSION }));
    assert_eq!((new.p.sensors(), new.p.next_deadline()), (0, None));
}

#[test]
fn a_snapshot_survives_changed_rules() {
    let mut old = Rig::new();
    for (name, value) in [("plant/f64", 40.0), ("elsewhere", 1.0)] {
        let s = old.p.intern(name);
        feed(&mut old.p, s, (1000, value.into(), Quality::GOOD), 1000);
    }
    let snapshot = old.p.snapshot();
    assert_eq!(snapshot.len(), 2);
    let mut new =
        Pipeline::from_toml("[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1 } } ]").unwrap();
    new.restore(through_bytes(&snapshot)).unwrap();
    assert_eq!(new.next_deadline(), None, "neither stale nor alarm is left");
    let s = new.intern("plant/f64");
    assert_eq!(feed(&mut new, s, (1001, 40.5.into(), Quality::GOOD), 1001), [], "the reference survived");
    assert_eq!(new.name(1), Some("elsewhere"), "in a new pipeline the numbers survive too");
}

#[test]
fn ten_thousand_sensors_fit_into_one_mebibyte() {
    let mut rig = Rig::new();
    let start = 1_700_000_000_000_i64;
    for i in 0..10_000_u32 {
        let s = rig.p.intern(&format!("plant/line{i}/temp")); // all stages, no alarm
        for (time, value) in [(start, 20.0), (start + 1000, f64::from(i).sqrt() / 3.0)] {
            feed(&mut rig.p, s, (time, value.into(), Quality::GOOD), time);
        }
    }
    assert!(rig.p.stats().emitted() > 10_000);
    let mut bytes = Vec::new();
    ciborium::into_writer(&rig.p.snapshot(), &mut bytes).unwrap();
    println!("snapshot of 10000 sensors: {} bytes", bytes.len());
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
}
