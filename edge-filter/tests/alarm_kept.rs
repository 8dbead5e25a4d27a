//! Alarms that are kept by themselves, for a restart that has no snapshot: an operator's word outlives it, and hides nothing new.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::alarm::AlarmState::{Acknowledged, Normal, Shelved, Unacknowledged};
use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmState, LimitAlarmState};
use edge_filter::{AlarmEvent, Pipeline, Quality, Reading, Value};

const HIGH: AlarmLevel = AlarmLevel::High;
const RULES: &str =
    "[[alarm]]\nmatch = \"t/#\"\nmax_shelve_ms = 60000\nhigh = { limit = 90 }\nhihi = { limit = 99 }\n";

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::from_toml(RULES).unwrap();
    pipeline.tell_first_alarms();
    pipeline
}

fn read(pipeline: &mut Pipeline, name: &str, value: f64, time: i64) -> Vec<(AlarmLevel, AlarmState)> {
    let sensor = pipeline.intern(name);
    let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
    let _ = pipeline.process(reading, time, &mut |_| {});
    told(pipeline)
}

fn told(pipeline: &mut Pipeline) -> Vec<(AlarmLevel, AlarmState)> {
    let of = |event: AlarmEvent| (event.transition.level, event.transition.to);
    std::iter::from_fn(|| pipeline.poll_alarm()).map(of).collect()
}

fn command(pipeline: &mut Pipeline, name: &str, command: AlarmCommand, now_ms: i64) {
    let sensor = pipeline.number(name).unwrap();
    pipeline.alarm_command(sensor, HIGH, command, now_ms).unwrap();
    told(pipeline);
}

/// The states by command, by name, and back from their written form.
fn kept(pipeline: &Pipeline) -> Vec<(String, LimitAlarmState)> {
    let kept = pipeline.alarm_states().filter(|(_, state)| state.is_by_command());
    let all: Vec<_> =
        kept.map(|(number, state)| (pipeline.name(number).unwrap().to_owned(), state.clone())).collect();
    serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap()
}

#[test]
fn what_an_operator_said_is_kept_and_the_rest_is_told_anew() {
    let mut before = pipeline();
    for name in ["t/ack", "t/shelf", "t/new", "other"] {
        read(&mut before, name, 95.0, 1_000);
    }
    let transition = before.alarm(before.number("t/ack").unwrap()).unwrap().transition(HIGH);
    command(&mut before, "t/ack", AlarmCommand::Acknowledge { transition }, 2_000);
    command(&mut before, "t/shelf", AlarmCommand::Shelve { for_ms: 10_000 }, 2_000);
    let kept = kept(&before);
    assert_eq!(kept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["t/ack", "t/shelf"]);

    let mut after = pipeline();
    for (name, state) in kept {
        assert!(after.restore_alarm(&name, state, 3_000));
    }
    assert!(!after.restore_alarm("other", LimitAlarmState::default(), 3_000), "it has no alarm");
    let state =
        |pipeline: &Pipeline, name: &str| pipeline.alarm(pipeline.number(name).unwrap()).unwrap().state(HIGH);
    assert_eq!((state(&after, "t/ack"), state(&after, "t/shelf")), (Acknowledged, Shelved));
    let hihi = (AlarmLevel::HighHigh, Normal);
    assert!(read(&mut after, "t/ack", f64::NAN, 3_500).is_empty(), "what is no number proves nothing");
    assert_eq!(read(&mut after, "t/ack", 95.0, 4_000), [hihi], "of HIHI nobody knows what was said");
    assert_eq!(read(&mut after, "t/shelf", 95.0, 4_000), [hihi]);
    assert_eq!(read(&mut after, "t/new", 95.0, 4_000), [(HIGH, Unacknowledged), hihi]);
    // The shelf ends when it would have, and what is beyond the limit is a new occurrence.
    assert!(after.next_deadline().is_some_and(|at| at <= 12_000));
    after.tick(11_999, &mut |_| {});
    assert!(told(&mut after).is_empty());
    after.tick(12_000, &mut |_| {});
    assert_eq!(told(&mut after), [(HIGH, Unacknowledged)]);
    // Over and raised again: what was acknowledged is not this.
    assert_eq!(read(&mut after, "t/ack", 20.0, 13_000), [(HIGH, Normal)]);
    assert_eq!(read(&mut after, "t/ack", 95.0, 14_000), [(HIGH, Unacknowledged)]);
}

/// A program before the field `has_value` wants a number, and would call the whole file damaged.
#[test]
fn the_written_form_of_an_alarm_without_a_value_is_read_by_older_programs_and_theirs_here() {
    let written = serde_json::to_value(LimitAlarmState::default()).unwrap();
    assert_eq!(written["value"], serde_json::json!(0.0));
    let mut older = written.clone();
    assert!(older.as_object_mut().unwrap().remove("has_value").is_some());
    let read = |written| serde_json::from_value::<LimitAlarmState>(written).unwrap();
    assert_eq!(read(written), LimitAlarmState::default());
    assert_ne!(read(older), LimitAlarmState::default(), "0 is a value in it");
}

/// The hiding of an alarm is kept with its end. A condition that says so by itself has none, and an unshelve would find nothing to end.
#[test]
fn promise_14_a_damaged_kept_state_shows_no_alarm_as_hidden_that_nothing_hides() {
    let mut before = pipeline();
    read(&mut before, "t/ack", 95.0, 1_000);
    let transition = before.alarm(before.number("t/ack").unwrap()).unwrap().transition(HIGH);
    command(&mut before, "t/ack", AlarmCommand::Acknowledge { transition }, 2_000);
    let text = serde_json::to_string(&kept(&before)).unwrap();
    let state = |state: AlarmState| format!("\"state\":{}", serde_json::to_string(&state).unwrap());
    for hidden in [Shelved, AlarmState::Suppressed, AlarmState::OutOfService] {
        let damaged = text.replace(&state(Acknowledged), &state(hidden));
        assert_ne!(damaged, text);
        let kept: Vec<(String, LimitAlarmState)> = serde_json::from_str(&damaged).unwrap();
        let mut after = pipeline();
        for (name, state) in kept {
            after.restore_alarm(&name, state, 3_000);
        }
        read(&mut after, "t/ack", 20.0, 4_000);
        let shows = after.alarm(after.number("t/ack").unwrap()).unwrap().state(HIGH);
        assert_eq!(shows, Normal, "{hidden:?}");
        assert_eq!(read(&mut after, "t/ack", 95.0, 5_000).first(), Some(&(HIGH, Unacknowledged)));
    }
}

/// The rules of the next run may lack a limit. Nothing would ever end its alarm, and the list of kept ones would never be empty again.
#[test]
fn promise_14_a_kept_state_of_a_limit_that_is_gone_is_that_of_no_alarm() {
    let mut before = pipeline();
    read(&mut before, "t/ack", 95.0, 1_000);
    let transition = before.alarm(before.number("t/ack").unwrap()).unwrap().transition(HIGH);
    command(&mut before, "t/ack", AlarmCommand::Acknowledge { transition }, 2_000);
    let build = || Pipeline::from_toml(&RULES.replace("high = { limit = 90 }\n", "")).unwrap();
    let (mut kept_alone, mut clean) = (build(), build());
    kept(&before)
        .into_iter()
        .for_each(|(name, state)| assert!(kept_alone.restore_alarm(&name, state, 3_000)));
    clean.restore(before.snapshot()).unwrap();
    for after in [kept_alone, clean] {
        let state = after.alarm(after.number("t/ack").unwrap()).unwrap();
        assert_eq!((state.state(HIGH), state.is_by_command()), (Normal, false));
        assert!(kept(&after).is_empty());
    }
}

#[test]
fn a_name_that_nobody_published_makes_no_sensor() {
    let mut pipeline = pipeline();
    assert_eq!((pipeline.number("t/a"), pipeline.sensors()), (None, 0));
    let sensor = pipeline.intern("t/a");
    assert_eq!(pipeline.number("t/a"), Some(sensor));
    let alarms: Vec<_> =
        pipeline.alarms().map(|(pattern, alarm)| (pattern.to_string(), alarm.longest_shelve_ms())).collect();
    assert_eq!(alarms, [("t/#".to_owned(), Some(60_000))]);
}

/// CBOR has NaN, which JSON has not: it counts as no value.
#[test]
fn promise_14_a_kept_value_that_is_no_number_counts_as_none() {
    let mut before = pipeline();
    read(&mut before, "t/ack", 95.0, 1_000);
    let (_, state) = before.alarm_states().next().unwrap();
    let mut written = ciborium::Value::serialized(state).unwrap();
    let value = written.as_map_mut().unwrap().iter_mut().find(|(key, _)| key.as_text() == Some("value"));
    value.unwrap().1 = ciborium::Value::Float(f64::NAN);
    let mut after = pipeline();
    assert!(after.restore_alarm("t/ack", written.deserialized().unwrap(), 3_000));
    let sensor = after.number("t/ack").unwrap();
    after.alarm_command(sensor, HIGH, AlarmCommand::Suppress(true), 4_000).unwrap();
    let told = after.poll_alarm().unwrap().transition;
    assert!(told.to == AlarmState::Suppressed && told.value.is_nan(), "{told:?}");
}
