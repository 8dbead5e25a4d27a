//! Promise 13 over a clean restart: a pipeline that was written and read back goes on as if nothing had happened;
//! after an unclean stop every sensor's first reading passes.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::alarm::AlarmLevel;
use edge_filter::{EmitReason, Pipeline, Quality, RestoreError, Snapshot, Value};
use proptest::prelude::*;
use support::{budget, feed, runner};

const REDUCERS: [&str; 10] = [
    "deadband = { percent = 1.0, min_interval_ms = 500, max_interval_ms = 20000 }",
    "deadband = { percent = 1.0, send_previous = true }",
    "on_change = { max_interval_ms = 20000 }",
    "swinging_door = { percent = 2.0, max_interval_ms = 20000 }",
    "segment_hold = { percent = 5.0 }",
    "window = { width_ms = 3000, agg = \"median\", allowed_lateness_ms = 500, empty = \"emit\" }",
    "sample = { every_n = 3, pick = \"max_abs_dev\" }",
    "dedup = { within_ms = 9000 }",
    "spike = { suspect = 5.0, action = \"drop\" } }, { swinging_door = { percent = 2.0 }",
    "rate_of_change = { fail_per_s = 50.0 } }, \
     { flat_line = { suspect_s = 1, fail_s = 2, sampling_ms = 400, tolerance = 9.0, action = \"drop\" } }, \
     { attenuated_signal = { suspect = 3.0, period_ms = 2000 } }, \
     { hampel = { window = 5, n_sigma = 2.0, alignment = \"centered\", action = \"replace\" } }, \
     { jump_reject = { max_step = 40.0 } }, { spike = { fail = 30.0 } }, { scale = { factor = 0.5 } }, \
     { deadband = { percent = 1.0, send_previous = true }",
];

/// Those that are reducers and no more.
const ALONE: usize = 8;

const RULES: &str = r##"
    [[rule]]
    match = "plant/#"
    nan_is_bad = false
    range = { low = -100.0, high = 100.0 }
    stages = [
      { gross_range = { fail = [-50.0, 50.0], action = "drop" } },
      { REDUCER },
      { stale = { timeout_ms = 5000, heartbeat_ms = 2000 } },
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
    reducer: usize,
}

impl Rig {
    fn new() -> Self {
        Self::with(0)
    }

    fn with(reducer: usize) -> Self {
        let p = Pipeline::from_toml(&RULES.replace("REDUCER", REDUCERS[reducer])).unwrap();
        Rig { p, now: 1_000_000, reducer }
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
    reducer: usize,
    restart: fn(&Rig) -> Pipeline,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let (mut whole, mut cut_rig) = (Rig::with(reducer), Rig::with(reducer));
    for (row, step) in history.iter().enumerate() {
        if row == cut {
            cut_rig.p = restart(&cut_rig);
        }
        prop_assert_eq!(whole.step(step), cut_rig.step(step), "row {}", row);
        prop_assert!(whole.p.stats().is_balanced() && cut_rig.p.stats().is_balanced());
    }
    Ok(())
}

fn warm(old: &Rig) -> Pipeline {
    let mut new = Rig::with(old.reducer).p;
    new.restore(through_bytes(&old.p.snapshot())).unwrap();
    assert!(new.stats().is_balanced() && new.stats().held == old.p.stats().held);
    new
}

fn cold(old: &Rig) -> Pipeline {
    Rig::with(old.reducer).p
}

/// The snapshot with something done to its list of sensors.
fn doctored(old: &Rig, with: impl Fn(&mut Vec<ciborium::Value>)) -> Pipeline {
    let mut new = Rig::with(old.reducer).p;
    let mut value = ciborium::Value::serialized(&old.p.snapshot()).unwrap();
    let [_version, _base, sensors] = &mut value.as_array_mut().unwrap()[..] else { panic!("three parts") };
    with(sensors.as_array_mut().unwrap());
    new.restore(value.deserialized().unwrap()).unwrap();
    new
}

/// Planted: one sensor's state is left out.
fn forgets_one_sensor(old: &Rig) -> Pipeline {
    doctored(old, |sensors| drop(sensors.pop()))
}

/// Planted: the references survive, and what stages hold does not.
fn forgets_what_is_held(old: &Rig) -> Pipeline {
    doctored(old, |sensors| {
        for sensor in sensors {
            let [_name, slot, _alarm] = &mut sensor.as_array_mut().unwrap()[..] else {
                panic!("three parts")
            };
            let [_guard, _last, _stale, extra, _forced] = &mut slot.as_array_mut().unwrap()[..] else {
                panic!("five parts")
            };
            *extra = ciborium::Value::Null;
        }
    })
}

#[test]
fn promise_13_a_clean_restart_at_any_row_changes_nothing() {
    let cases = budget(10_000).max(200);
    let cut_history =
        || (0..REDUCERS.len(), history()).prop_flat_map(|(r, h)| (0..h.len(), Just(h), Just(r)));
    let run = |restart| runner(cases).run(&cut_history(), |(cut, h, r)| same_suffix(&h, cut, r, restart));
    run(warm).unwrap();
    assert!(run(cold).is_err(), "the comparison must notice a cold start");
    assert!(run(forgets_one_sensor).is_err(), "the comparison must notice one lost sensor");
    assert!(run(forgets_what_is_held).is_err(), "the comparison must notice lost held readings");
    println!("executed restart at any row: {cases} cases");
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
    // Another version may be written in another way: only its number is read.
    let parts = value.as_array_mut().unwrap();
    (parts[0], parts[1]) = (ciborium::Value::from(99), ciborium::Value::from("of another kind"));
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
fn a_changed_reducer_starts_cold_and_the_accounts_still_balance() {
    let door = || Rig::with(3);
    let mut old = door();
    let s = old.p.intern("plant/f64");
    for (time, value) in [(1000, 1.0), (1001, 2.0), (1002, 3.0)] {
        feed(&mut old.p, s, (time, value.into(), Quality::GOOD), time);
    }
    assert_eq!(old.p.stats().held, 1);
    let snapshot = old.p.snapshot();
    let mut same = door();
    same.p.restore(through_bytes(&snapshot)).unwrap();
    assert_eq!((same.p.stats().held, same.p.stats().restored), (1, 1));
    let mut out = Vec::new();
    same.p.flush(&mut |e| out.push((e.time, e.reason)));
    assert_eq!(out, [(1002, EmitReason::Flush)]);
    assert!(same.p.stats().is_balanced() && same.p.stats().held == 0);
    same.p.restore(snapshot.clone()).unwrap();
    same.p.restore(snapshot.clone()).unwrap();
    assert!(same.p.stats().is_balanced() && same.p.stats().held == 1, "a state is overwritten");
    let mut other = Rig::with(4);
    other.p.restore(snapshot).unwrap();
    assert!(other.p.stats().is_balanced() && other.p.stats().held == 0);
}

/// A rule that judges at once holds nothing: what another one had in line neither leaves late nor keeps a window open.
#[test]
fn promise_13_a_changed_rule_that_no_longer_looks_ahead_holds_nothing_in_line() {
    let rules = |stages: &str| {
        Pipeline::from_toml(&format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]")).unwrap()
    };
    let mut old = rules("{ spike = { fail = 30.0 } }");
    let s = old.intern("s");
    feed(&mut old, s, (1000, 1.0.into(), Quality::GOOD), 1000);
    let snapshot = old.snapshot();
    assert!(!snapshot.is_empty() && rules("{ spike = { fail = 30.0 } }").snapshot().is_empty());
    let mut same = rules("{ spike = { fail = 30.0 } }");
    same.restore(through_bytes(&snapshot)).unwrap();
    assert_eq!((old.stats().held, same.stats().held), (1, 1));
    let mut new =
        rules("{ rate_of_change = { fail_per_s = 50.0 } }, { window = { width_ms = 3000, agg = \"last\" } }");
    new.restore(snapshot).unwrap();
    assert!(new.stats().is_balanced() && new.stats().held == 0, "{:?}", new.stats());
    feed(&mut new, s, (4000, 2.0.into(), Quality::GOOD), 4000);
    let mut out = Vec::new();
    new.tick(60_000, &mut |e| out.push(e.value.as_f64()));
    assert_eq!(out, [Some(2.0)], "the window ends by the clock");
    new.flush(&mut |e| out.push(e.value.as_f64()));
    assert_eq!(out.len(), 1, "nothing was left in line");
}

/// Sensors of every kind of reducer, each last seen at a time of its own within half a minute.
#[test]
fn ten_thousand_sensors_fit_into_one_mebibyte() {
    let start = 1_700_000_000_000_i64;
    for reducer in &REDUCERS[..ALONE] {
        // A window keeps every aggregate, and here the readings for its median.
        let limit = if reducer.starts_with("window") { 3 } else { 1 };
        let mut p = Pipeline::from_toml(&RULES.replace("REDUCER", reducer)).unwrap();
        for i in 0..10_000_u32 {
            let s = p.intern(&format!("plant/line{i}/temp")); // all stages, no alarm
            for (time, value) in [(0, 20.0), (1000, f64::from(i).sqrt() / 3.0), (1750, f64::from(i).cbrt())] {
                let time = start + i64::from(i * 7919 % 30_000) + time;
                feed(&mut p, s, (time, value.into(), Quality::GOOD), time);
            }
        }
        assert!(p.stats().input == 30_000 && p.stats().is_balanced());
        let mut bytes = Vec::new();
        ciborium::into_writer(&p.snapshot(), &mut bytes).unwrap();
        println!("snapshot of 10000 sensors with {reducer}: {} bytes", bytes.len());
        assert!(bytes.len() < limit << 20, "{reducer}: {}", bytes.len());
    }
}
