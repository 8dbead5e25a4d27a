//! Promises 13 and 14: the written scenario of the limit alarm, row by row, and what must never clear one.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::alarm::AlarmState::{Acknowledged, Normal, ReturnedUnacknowledged, Unacknowledged};
use edge_filter::alarm::{AckError, AlarmLevel};
use edge_filter::{Pipeline, Quality, Reading, Value};

const GOOD: Quality = Quality::GOOD;
const BAD: Quality = Quality::BAD;

struct Rig {
    p: Pipeline,
    sensor: u32,
}

impl Rig {
    /// High 95, deadband 1.5, on after 10 s, off after 5 s, beside a deadband that would hide all of it.
    fn new() -> Self {
        let mut p = Pipeline::from_toml(
            r##"
            [[rule]]
            match = "#"
            stages = [ { deadband = { absolute = 50.0 } } ]
            [[alarm]]
            match = "oven/+"
            high = { limit = 95, deadband = 1.5, on_delay_ms = 10000, off_delay_ms = 5000 }
            lolo = { limit = 5.0 }
            "##,
        )
        .unwrap();
        let sensor = p.intern("oven/temp");
        Rig { p, sensor }
    }

    fn value(&mut self, value: f64, quality: Quality, time: i64) {
        let reading = Reading { sensor: self.sensor, time, value: Value::F64(value), quality };
        let _ = self.p.process(reading, time, &mut |_| ());
    }

    fn high(&self) -> edge_filter::alarm::AlarmState {
        self.p.alarm(self.sensor).unwrap().state(AlarmLevel::High)
    }

    fn tick(&mut self, now: i64) {
        self.p.tick(now, &mut |_| panic!("nothing is stale here"));
    }

    fn events(&mut self) -> Vec<(edge_filter::alarm::AlarmState, i64)> {
        std::iter::from_fn(|| self.p.poll_alarm()).map(|e| (e.transition.to, e.transition.time)).collect()
    }

    fn raise(&mut self) -> u64 {
        self.value(96.0, GOOD, 0);
        self.tick(10_000);
        assert_eq!(self.high(), Unacknowledged);
        self.p.alarm(self.sensor).unwrap().transition(AlarmLevel::High)
    }
}

#[test]
fn the_written_scenario() {
    let mut rig = Rig::new();
    rig.value(96.0, GOOD, 0);
    assert_eq!((rig.high(), rig.p.next_deadline()), (Normal, Some(10_000)));
    rig.value(96.0, GOOD, 9_900);
    assert_eq!((rig.high(), rig.p.next_deadline()), (Normal, Some(10_000)));
    rig.tick(9_999);
    assert_eq!(rig.high(), Normal);
    rig.tick(10_000);
    assert_eq!(rig.high(), Unacknowledged);
    rig.value(94.0, GOOD, 11_000); // inside the deadband: still
    assert_eq!((rig.high(), rig.p.next_deadline()), (Unacknowledged, None));
    rig.value(93.4, GOOD, 12_000); // timing
    assert_eq!((rig.high(), rig.p.next_deadline()), (Unacknowledged, Some(17_000)));
    rig.value(94.0, GOOD, 15_000); // back inside the deadband: the off timer resets
    assert_eq!((rig.high(), rig.p.next_deadline()), (Unacknowledged, None));
    rig.value(93.0, GOOD, 16_000);
    rig.tick(20_999);
    assert_eq!(rig.high(), Unacknowledged);
    rig.tick(21_000);
    assert_eq!(rig.high(), ReturnedUnacknowledged);
    let id = rig.p.alarm(rig.sensor).unwrap().transition(AlarmLevel::High);
    let done = rig.p.acknowledge(rig.sensor, AlarmLevel::High, id, 22_000).unwrap();
    assert_eq!((done.from, done.to, done.value), (ReturnedUnacknowledged, Normal, 93.0));
    assert_eq!(
        rig.events(),
        [(Unacknowledged, 10_000), (ReturnedUnacknowledged, 21_000), (Normal, 22_000)],
        "each change is an event, with the event time from which it holds"
    );
}

#[test]
fn delays_end_at_the_same_event_time_without_ticks() {
    let mut rig = Rig::new();
    for (value, time) in
        [(96.0, 0), (96.0, 9_900), (94.0, 11_000), (93.4, 12_000), (94.0, 15_000), (93.0, 16_000)]
    {
        rig.value(value, GOOD, time);
    }
    rig.value(80.0, GOOD, 60_000);
    assert_eq!(rig.events(), [(Unacknowledged, 10_000), (ReturnedUnacknowledged, 21_000)]);
}

#[test]
fn a_spike_shorter_than_the_delay_raises_nothing() {
    let mut rig = Rig::new();
    rig.value(99.0, GOOD, 0);
    rig.value(94.9, GOOD, 9_999); // below the limit, although inside the deadband
    rig.tick(100_000);
    assert_eq!((rig.high(), rig.events()), (Normal, vec![]));
}

#[test]
fn promise_14_bad_input_never_clears_an_active_alarm() {
    for (value, quality) in
        [(20.0, BAD), (f64::NAN, GOOD), (f64::NEG_INFINITY, GOOD), (20.0, Quality(0xC000_0000))]
    {
        let mut rig = Rig::new();
        rig.raise();
        rig.value(20.0, GOOD, 11_000);
        rig.value(value, quality, 12_000);
        rig.tick(1_000_000);
        assert_eq!(rig.high(), Unacknowledged, "{value} {quality}: the off delay has to start again");
        rig.value(20.0, GOOD, 1_000_001);
        rig.tick(1_005_000);
        assert_eq!(rig.high(), Unacknowledged);
        rig.tick(1_005_001);
        assert_eq!(rig.high(), ReturnedUnacknowledged);
    }
}

#[test]
fn a_failing_sensor_does_not_hide_an_alarm() {
    let mut rig = Rig::new();
    rig.value(96.0, GOOD, 0);
    rig.value(96.0, BAD, 5_000);
    rig.tick(10_000);
    assert_eq!(rig.high(), Unacknowledged);
}

#[test]
fn an_acknowledgement_is_for_one_occurrence() {
    let mut rig = Rig::new();
    let first = rig.raise();
    assert_eq!(
        rig.p.acknowledge(rig.sensor, AlarmLevel::High, first + 1, 10_001),
        Err(AckError::OtherOccurrence { current: first })
    );
    rig.p.acknowledge(rig.sensor, AlarmLevel::High, first, 10_001).unwrap();
    assert_eq!(rig.high(), Acknowledged);
    let again = rig.p.acknowledge(rig.sensor, AlarmLevel::High, first, 10_002);
    assert_eq!(again, Err(AckError::NothingToAcknowledge));
    rig.value(20.0, GOOD, 11_000);
    rig.tick(16_000);
    assert_eq!(rig.high(), Normal, "an acknowledged alarm returns without a second acknowledgement");
    rig.value(96.0, GOOD, 17_000);
    rig.tick(27_000);
    let late = rig.p.acknowledge(rig.sensor, AlarmLevel::High, first, 27_001);
    assert_eq!(
        late,
        Err(AckError::OtherOccurrence { current: 27_000 }),
        "the operator has not seen this one"
    );
    assert_eq!(rig.p.acknowledge(rig.sensor, AlarmLevel::Low, 1, 0), Err(AckError::NoSuchAlarm));
    assert_eq!(rig.p.acknowledge(999, AlarmLevel::High, 1, 0), Err(AckError::NoSuchAlarm));
}

#[test]
fn an_acknowledgement_of_the_last_run_cannot_hit_this_one() {
    let mut before = Rig::new();
    let old = before.raise();
    let mut after = Rig::new(); // an unclean stop: everything was forgotten
    after.value(96.0, GOOD, 50_000);
    after.tick(60_000);
    assert!(after.p.acknowledge(after.sensor, AlarmLevel::High, old, 60_001).is_err());
}

#[test]
fn limits_are_inclusive_and_independent() {
    let mut rig = Rig::new();
    let lolo = |rig: &Rig| rig.p.alarm(rig.sensor).unwrap().state(AlarmLevel::LowLow);
    rig.value(5.0, GOOD, 0);
    assert_eq!(lolo(&rig), Unacknowledged);
    rig.value(5.1, GOOD, 1);
    assert_eq!((lolo(&rig), rig.high()), (ReturnedUnacknowledged, Normal));
    rig.value(4.0, GOOD, 2);
    assert_eq!(lolo(&rig), Unacknowledged, "raised again before it was acknowledged");
}

#[test]
fn events_nobody_polls_are_bounded_and_counted() {
    let mut rig = Rig::new();
    for time in 0..3000 {
        rig.value(if time % 2 == 0 { 0.0 } else { 50.0 }, GOOD, time);
    }
    assert_eq!(rig.p.stats().alarm_events_lost, 3000 - 1024);
    assert_eq!(rig.events().len(), 1024);
}

/// A common cause, such as a tripped plant, raises alarms of all sensors at once, and their delays end in one tick.
#[test]
fn a_tick_that_raises_more_alarms_than_wait_otherwise_loses_none() {
    let rules = "[[alarm]]\nmatch = \"#\"\nhigh = { limit = 90.0, on_delay_ms = 5000 }\n";
    for by_alarms_alone in [false, true] {
        let mut p = Pipeline::from_toml(rules).unwrap();
        for n in 0..1500 {
            let sensor = p.intern(&format!("t{n}"));
            let reading = Reading { sensor, time: 0, value: Value::F64(95.0), quality: GOOD };
            let _ = p.process(reading, 0, &mut |_| ());
        }
        match by_alarms_alone {
            true => p.tick_alarms(5000),
            false => p.tick(5000, &mut |_| ()),
        }
        let raised: std::collections::BTreeSet<u32> =
            std::iter::from_fn(|| p.poll_alarm()).map(|event| event.sensor).collect();
        assert_eq!((raised.len(), p.stats().alarm_events_lost), (1500, 0), "{by_alarms_alone}");
    }
}

#[test]
fn a_clock_set_back_restarts_a_delay_in_event_time_and_not_in_real_time() {
    let mut rig = Rig::new();
    let at = |rig: &mut Rig, time: i64, now: i64| {
        let reading = Reading { sensor: rig.sensor, time, value: Value::F64(96.0), quality: GOOD };
        let _ = rig.p.process(reading, now, &mut |_| ());
    };
    at(&mut rig, 10_000_000, 10_000_000);
    rig.p.clock_stepped(rig.sensor);
    at(&mut rig, 6_400_000, 10_005_000); // one hour back, five seconds later
    at(&mut rig, 6_404_000, 10_009_000);
    assert_eq!((rig.high(), rig.p.next_deadline()), (Normal, Some(10_010_000)));
    rig.tick(10_010_000);
    assert_eq!(rig.high(), Unacknowledged, "a clock step does not put off an alarm");
    assert_eq!(rig.events(), [(Unacknowledged, 6_410_000)], "told with the sensor's new time");
}

/// A delay that ended before a reading ended on the value before it, and is told with that one.
#[test]
fn promise_14_an_alarm_is_told_with_the_value_that_raised_it() {
    let mut rig = Rig::new();
    rig.value(96.0, GOOD, 0);
    // By the gateway's clock, which is behind the sensor's, the delay is not over yet.
    let reading = Reading { sensor: rig.sensor, time: 12_000, value: Value::F64(50.0), quality: GOOD };
    let _ = rig.p.process(reading, 9_000, &mut |_| ());
    let told = rig.p.poll_alarm().map(|e| (e.transition.to, e.transition.time, e.transition.value));
    assert_eq!(told, Some((Unacknowledged, 10_000, 96.0)));
    assert_eq!(rig.events(), []);
}
