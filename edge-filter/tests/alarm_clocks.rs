//! Promise 14: an alarm is not moved by readings that are older than what it knows, and lasts no longer for a clock that was set back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::alarm::AlarmState::{self, Normal, Shelved, Unacknowledged};
use edge_filter::alarm::{AlarmCommand, AlarmLevel, Limit, LimitAlarm};
use edge_filter::check::{Range, RangeAction};
use edge_filter::qartod::{Spike, SpikeMethod};
use edge_filter::time::{Stale, TimeGuard, TimePolicy};
use edge_filter::{EmitReason, Pipeline, Quality, Rule};
use support::feed;

const HIGH: AlarmLevel = AlarmLevel::High;

fn alarm() -> LimitAlarm {
    LimitAlarm::new().with(HIGH, Limit::at(90.0).unwrap()).unwrap()
}

fn pipeline(alarm: LimitAlarm) -> Pipeline {
    Pipeline::builder().alarm("s", alarm).unwrap().build()
}

fn shows(p: &mut Pipeline) -> AlarmState {
    let sensor = p.intern("s");
    p.alarm(sensor).unwrap().state(HIGH)
}

fn value(p: &mut Pipeline, time: i64, value: f64, now: i64) -> AlarmState {
    let sensor = p.intern("s");
    let out = feed(p, sensor, (time, value.into(), Quality::GOOD), now);
    assert!(out.len() == 1 && out[0].reason == EmitReason::Passthrough, "{out:?}");
    shows(p)
}

/// A backlog that a sensor sends behind its newest reading, or a message that is delivered again, shows a state that is over.
#[test]
fn promise_14_an_older_reading_of_a_sensor_without_a_rule_moves_no_alarm() {
    for (first, late, stays) in [(95.0, 20.0, Unacknowledged), (20.0, 95.0, Normal)] {
        let mut p = pipeline(alarm());
        value(&mut p, 10_000, first, 10_000);
        let transitions = std::iter::from_fn(|| p.poll_alarm()).count();
        assert_eq!(value(&mut p, 9_999, late, 10_001), stays);
        assert_eq!(value(&mut p, 5_000, late, 10_002), stays);
        assert_eq!((std::iter::from_fn(|| p.poll_alarm()).count(), transitions <= 1), (0, true));
        // One of the same time, and one that is ahead of the clock, are judged: an alarm must not be missed.
        assert_ne!(value(&mut p, 10_000, late, 10_003), stays);
    }
    let mut p = pipeline(alarm());
    assert_eq!(value(&mut p, 90_000_000, 95.0, 1), Unacknowledged);
}

/// A sensor whose clock was set back is believed as one with a rule is.
#[test]
fn promise_14_an_alarm_without_a_rule_follows_a_clock_that_was_set_back() {
    let mut p = pipeline(alarm());
    value(&mut p, 10_000_000, 20.0, 1);
    let states = [1_000, 2_000, 3_000].map(|time| value(&mut p, time, 95.0, 2));
    assert_eq!(states, [Normal, Normal, Unacknowledged]);
    let with_rule = Pipeline::builder().rule("s", Rule::new()).unwrap().alarm("s", alarm()).unwrap();
    let mut p = with_rule.build();
    let sensor = p.intern("s");
    for (time, value) in [(10_000_000, 20.0), (1_000, 95.0), (2_000, 95.0), (3_000, 95.0)] {
        feed(&mut p, sensor, (time, value.into(), Quality::GOOD), 1);
    }
    assert_eq!(shows(&mut p), Unacknowledged);
}

/// Two readings of one millisecond, as a sensor with coarse stamps sends them: the second may be the one that crosses the limit, and no other may
/// follow.
#[test]
fn promise_14_a_second_reading_of_a_millisecond_is_judged_with_a_rule_as_without() {
    let judged = |rule: Option<Rule>| {
        let builder = Pipeline::builder().alarm("s", alarm()).unwrap();
        let mut p = rule.into_iter().fold(builder, |builder, rule| builder.rule("s", rule).unwrap()).build();
        let sensor = p.intern("s");
        [(1_000, 20.0), (2_000, 20.0), (2_000, 95.0), (2_000, 21.0), (3_000, 20.0)].map(|(time, value)| {
            feed(&mut p, sensor, (time, value.into(), Quality::GOOD), time);
            shows(&mut p)
        })
    };
    let returned = AlarmState::ReturnedUnacknowledged;
    let expected = [Normal, Normal, Unacknowledged, returned, returned];
    assert_eq!(judged(None), expected);
    assert_eq!(judged(Some(Rule::new())), expected);
    let out_of_range = Range::new(-40.0, 90.0).unwrap().action(RangeAction::Drop);
    assert_eq!(judged(Some(Rule::new().range(out_of_range))), [Normal; 5], "dropped before");
    let same_time = TimeGuard::default().same_time(TimePolicy::Drop);
    assert_eq!(judged(Some(Rule::new().time_guard(same_time))), [Normal; 5], "dropped before");
    // The readings before it still wait for their neighbours: the alarm, which comes late by those, is not moved by what overtakes them.
    let spike = Spike::new(SpikeMethod::Average, None, Some(1_000.0)).unwrap();
    assert_eq!(judged(Some(Rule::new().spike(spike, RangeAction::Mark))), [Normal; 5]);
}

/// The reading that tells that the clock was set back is out of range and dropped; the next one begins the delay anew all the same.
#[test]
fn promise_14_a_clock_that_was_set_back_is_not_forgotten_with_a_dropped_reading() {
    let limit = Limit::at(90.0).unwrap().on_delay_ms(10_000).unwrap();
    let slow = LimitAlarm::new().with(HIGH, limit).unwrap();
    let range = Range::new(-40.0, 150.0).unwrap().action(RangeAction::Drop);
    for (first_after, raised_ms) in [(95.0, 11_000), (200.0, 12_000)] {
        let builder = Pipeline::builder().rule("s", Rule::new().range(range)).unwrap();
        let mut p = builder.alarm("s", slow).unwrap().build();
        let sensor = p.intern("s");
        feed(&mut p, sensor, (90_000, 95.0.into(), Quality::GOOD), 90_000);
        p.clock_stepped(sensor);
        for (time, value) in [(1_000, first_after), (2_000, 95.0), (11_999, 95.0), (12_000, 95.0)] {
            feed(&mut p, sensor, (time, value.into(), Quality::GOOD), 90_000);
        }
        let raised: Vec<_> = std::iter::from_fn(|| p.poll_alarm()).map(|e| e.transition.time).collect();
        assert_eq!(raised, [raised_ms]);
    }
}

const HOUR: i64 = 3_600_000;

/// Nothing ticks before the shelf's end, which is an hour later than was asked for; the next reading ends it.
#[test]
fn promise_14_a_clock_that_was_set_back_keeps_no_alarm_on_its_shelf() {
    let mut p = pipeline(alarm());
    value(&mut p, 1, 95.0, 2 * HOUR);
    let sensor = p.intern("s");
    p.alarm_command(sensor, HIGH, AlarmCommand::Shelve { for_ms: 60_000 }, 2 * HOUR).unwrap();
    assert_eq!(value(&mut p, 2, 95.0, 2 * HOUR + 59_999), Shelved);
    // A reading that waited while the command came was taken a moment before it.
    assert_eq!(value(&mut p, 3, 95.0, 2 * HOUR - 1_000), Shelved);
    assert_eq!(value(&mut p, 4, 95.0, 2 * HOUR - 1_001), Unacknowledged);
}

/// A delay, and the time after which an acknowledged alarm comes back, begin again at the reading after the step.
#[test]
fn promise_14_a_clock_that_was_set_back_lengthens_no_delay_by_more_than_itself() {
    let slow = LimitAlarm::new().with(HIGH, Limit::at(90.0).unwrap().on_delay_ms(60_000).unwrap()).unwrap();
    let mut p = pipeline(slow.re_alarm_ms(60_000).unwrap());
    value(&mut p, 1_000, 95.0, 2 * HOUR);
    assert_eq!(value(&mut p, 2_000, 95.0, HOUR), Normal);
    assert_eq!(p.next_deadline(), Some(HOUR + 60_000));
    p.tick(HOUR + 60_000, &mut |_| ());
    assert_eq!(shows(&mut p), Unacknowledged);
    let sensor = p.intern("s");
    let id = p.alarm(sensor).unwrap().transition(HIGH);
    p.acknowledge(sensor, HIGH, id, 2 * HOUR).unwrap();
    value(&mut p, 3_000, 95.0, HOUR);
    assert_eq!(p.next_deadline(), Some(HOUR + 60_000));
    p.tick(HOUR + 60_000, &mut |_| ());
    assert_eq!(shows(&mut p), Unacknowledged);
}

/// For a caller that has no place for readings: the delay ends, and the value that is due is repeated by the next tick.
#[test]
fn alarms_are_ticked_alone() {
    let slow = LimitAlarm::new().with(HIGH, Limit::at(90.0).unwrap().on_delay_ms(1_000).unwrap()).unwrap();
    let rule = Rule::new().stale(Stale::after_ms(60_000).unwrap().heartbeat_ms(1_000).unwrap());
    let mut p = Pipeline::builder().rule("s", rule).unwrap().alarm("s", slow).unwrap().build();
    assert_eq!(p.next_alarm_deadline(), None);
    let sensor = p.intern("s");
    feed(&mut p, sensor, (5_000, 95.0.into(), Quality::GOOD), 5_000);
    assert_eq!(p.next_alarm_deadline(), Some(6_000));
    p.tick_alarms(5_999);
    assert_eq!(shows(&mut p), Normal);
    p.tick_alarms(6_000);
    assert_eq!((shows(&mut p), p.next_alarm_deadline()), (Unacknowledged, None));
    let mut repeated = 0;
    p.tick(6_000, &mut |_| repeated += 1);
    assert_eq!(repeated, 1);
}
