//! Promise 14: the states of ISA-18.2 and OPC UA Part 9 beyond the four of the written scenario: latch, shelving,
//! suppression, out of service, re-alarm; and that nothing which hides an alarm hides it for longer than was asked.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::alarm::AlarmState::{
    Acknowledged, LatchedAcknowledged, LatchedUnacknowledged, Normal, OutOfService, ReturnedUnacknowledged,
    Shelved, Suppressed, Unacknowledged,
};
use edge_filter::alarm::{
    AckError, AlarmCommand, AlarmCommandError, AlarmLevel, AlarmState, AlarmTransition, BadInput, Limit,
    LimitAlarm, LimitAlarmState,
};
use edge_filter::{Pipeline, Quality, Reading, Value};
use support::judge::{Judge, Violation, convicts};
use support::{Rng, budget};

const HIGH: AlarmLevel = AlarmLevel::High;

struct Rig {
    alarm: LimitAlarm,
    state: LimitAlarmState,
    log: Vec<AlarmTransition>,
}

impl Rig {
    fn new(alarm: LimitAlarm) -> Self {
        let limit = Limit::at(95.0).unwrap().deadband(1.5).unwrap().priority(700).unwrap();
        let alarm = alarm.with(HIGH, limit).unwrap();
        Rig { alarm, state: LimitAlarmState::default(), log: Vec::new() }
    }

    fn value(&mut self, value: f64, now: i64) -> AlarmState {
        self.quality(value, Quality::GOOD, now)
    }

    fn quality(&mut self, value: f64, quality: Quality, now: i64) -> AlarmState {
        self.alarm.check(&mut self.state, value, quality, now, now, &mut |t| self.log.push(t));
        self.state.state(HIGH)
    }

    fn tick(&mut self, now: i64) -> AlarmState {
        self.alarm.tick(&mut self.state, now, &mut |t| self.log.push(t));
        self.state.state(HIGH)
    }

    fn command(&mut self, command: AlarmCommand, now: i64) -> Result<AlarmState, AlarmCommandError> {
        self.alarm.command(&mut self.state, HIGH, command, now, &mut |t| self.log.push(t))?;
        Ok(self.state.state(HIGH))
    }

    fn acknowledge(&mut self, now: i64) -> Result<AlarmState, AlarmCommandError> {
        let transition = self.state.transition(HIGH);
        self.command(AlarmCommand::Acknowledge { transition }, now)
    }
}

#[test]
fn limits_out_of_their_order_are_refused_whichever_comes_last() {
    let with = |alarm: LimitAlarm, level, at| alarm.with(level, Limit::at(at).unwrap());
    let fits = |above, below, (high, low)| {
        let down = with(with(LimitAlarm::new(), above, high).unwrap(), below, low).is_ok();
        assert_eq!(with(with(LimitAlarm::new(), below, low).unwrap(), above, high).is_ok(), down);
        down
    };
    let [hihi, high, low, lolo] = AlarmLevel::ALL;
    let apart = [(hihi, low), (hihi, lolo), (high, low), (high, lolo)];
    for (above, below) in apart.into_iter().chain([(hihi, high), (low, lolo)]) {
        assert!(fits(above, below, (2.0, 1.0)) && !fits(above, below, (1.0, 2.0)), "{above:?} {below:?}");
        let may_be_one = !apart.contains(&(above, below));
        assert_eq!(fits(above, below, (1.0, 1.0)), may_be_one, "{above:?} {below:?}");
    }
}

#[test]
fn promise_14_a_latched_alarm_waits_for_a_reset() {
    let mut rig = Rig::new(LimitAlarm::new().latch(true));
    assert_eq!(rig.command(AlarmCommand::Reset, 0), Err(AlarmCommandError::NothingToReset));
    assert_eq!(rig.value(96.0, 1), Unacknowledged);
    assert_eq!(rig.command(AlarmCommand::Reset, 2), Err(AlarmCommandError::StillActive));
    assert_eq!(rig.value(90.0, 3), LatchedUnacknowledged);
    assert_eq!(rig.acknowledge(4), Ok(LatchedAcknowledged));
    assert_eq!(rig.tick(1_000_000), LatchedAcknowledged);
    assert_eq!(rig.command(AlarmCommand::Reset, 5), Ok(Normal));
    // Acknowledged while active; reset before it was acknowledged; active again while latched.
    rig.value(96.0, 6);
    rig.acknowledge(7).unwrap();
    assert_eq!(rig.value(90.0, 8), LatchedAcknowledged);
    assert_eq!(rig.value(96.0, 9), Unacknowledged);
    assert_eq!(rig.value(90.0, 10), LatchedUnacknowledged);
    assert_eq!(rig.command(AlarmCommand::Reset, 11), Ok(ReturnedUnacknowledged));
    assert_eq!(rig.acknowledge(12), Ok(Normal));
    assert!(rig.log.iter().all(|t| t.priority == 700));
}

/// The end of the deadband itself is still active.
#[test]
fn promise_14_an_alarm_ends_beyond_its_deadband_on_either_side() {
    for (level, limit, within, beyond) in [(HIGH, 95.0, 93.5, 93.4), (AlarmLevel::Low, 5.0, 6.5, 6.6)] {
        let limit = Limit::at(limit).unwrap().deadband(1.5).unwrap();
        let alarm = LimitAlarm::new().with(level, limit).unwrap();
        let mut state = LimitAlarmState::default();
        let mut check = |value: f64, now| {
            alarm.check(&mut state, value, Quality::GOOD, now, now, &mut |_| ());
            state.state(level)
        };
        assert_eq!(check(within, 1), Normal, "{level:?}: not yet at the limit");
        assert_eq!(check(if level == HIGH { 95.0 } else { 5.0 }, 2), Unacknowledged, "{level:?}");
        assert_eq!(check(within, 3), Unacknowledged, "{level:?}");
        assert_eq!(check(beyond, 4), ReturnedUnacknowledged, "{level:?}");
    }
}

#[test]
fn a_shelf_ends_by_itself_and_an_active_alarm_is_announced_again() {
    let mut rig = Rig::new(LimitAlarm::new().max_shelve_ms(10_000).unwrap());
    rig.value(96.0, 0);
    let first = rig.state.transition(HIGH);
    rig.acknowledge(1).unwrap();
    let too_long = AlarmCommandError::ShelveTime { max_ms: Some(10_000) };
    for for_ms in [i64::MIN, 0, 10_001] {
        assert_eq!(rig.command(AlarmCommand::Shelve { for_ms }, 2), Err(too_long));
    }
    assert_eq!(rig.command(AlarmCommand::Shelve { for_ms: 10_000 }, 1_000), Ok(Shelved));
    assert_eq!(rig.alarm.deadline(&rig.state), Some(11_000));
    assert_eq!(rig.acknowledge(1_001), Err(AckError::NothingToAcknowledge.into()));
    assert_eq!((rig.tick(10_999), rig.state.condition(HIGH)), (Shelved, Acknowledged));
    assert_eq!(rig.tick(11_000), Unacknowledged);
    assert!(rig.state.transition(HIGH) > first, "a new occurrence: the old acknowledgement is not for it");
    assert_eq!(rig.command(AlarmCommand::Unshelve, 11_001), Err(AlarmCommandError::NotShelved));
    // What came and went behind the shelf needs no acknowledgement.
    let mut rig = Rig::new(LimitAlarm::new());
    rig.command(AlarmCommand::Shelve { for_ms: 10_000 }, 0).unwrap();
    rig.value(96.0, 1);
    rig.value(90.0, 2);
    assert_eq!(rig.command(AlarmCommand::Unshelve, 3), Ok(Normal));
    let shown: Vec<_> = rig.log.iter().map(|t| t.to).collect();
    assert_eq!(shown, [Shelved, Normal], "nothing showed behind the shelf");
}

#[test]
fn a_one_shot_shelf_ends_with_the_occurrence_or_after_the_longest_time() {
    let mut rig = Rig::new(LimitAlarm::new().max_shelve_ms(10_000).unwrap());
    rig.value(96.0, 0);
    assert_eq!(rig.command(AlarmCommand::ShelveOnce, 1), Ok(Shelved));
    assert_eq!(rig.value(97.0, 2), Shelved);
    assert_eq!(rig.value(90.0, 3), Normal, "the occurrence is over");
    assert_eq!(rig.value(96.0, 4), Unacknowledged, "the next one shows");
    rig.command(AlarmCommand::ShelveOnce, 5).unwrap();
    assert_eq!(rig.tick(10_005), Unacknowledged);
}

#[test]
fn a_clock_set_back_does_not_lengthen_a_shelf() {
    let mut rig = Rig::new(LimitAlarm::new());
    rig.value(96.0, 1_000_000);
    rig.command(AlarmCommand::Shelve { for_ms: 1_000 }, 1_000_000).unwrap();
    assert_eq!(rig.tick(400_000), Unacknowledged);
}

/// Also where the clock stands still or was set back between the two: the operator has seen the first alone.
#[test]
fn promise_14_an_acknowledgement_hits_no_other_occurrence_of_the_same_millisecond() {
    for now in [5_000, 1_000] {
        let mut rig = Rig::new(LimitAlarm::new());
        rig.value(96.0, 5_000);
        let first = rig.state.transition(HIGH);
        rig.acknowledge(5_000).unwrap();
        assert_eq!(rig.value(90.0, now), Normal);
        assert_eq!(rig.value(96.0, now), Unacknowledged);
        let current = rig.state.transition(HIGH);
        let late = rig.command(AlarmCommand::Acknowledge { transition: first }, now);
        assert_eq!(late, Err(AckError::OtherOccurrence { current }.into()), "now {now}");
        assert_eq!(rig.acknowledge(now), Ok(Acknowledged));
    }
}

#[test]
fn a_priority_that_opc_ua_does_not_know_is_refused() {
    for (priority, is_known) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        assert_eq!(Limit::at(95.0).unwrap().priority(priority).is_ok(), is_known, "{priority}");
    }
}

#[test]
fn suppressed_and_out_of_service_alarms_go_on_being_evaluated() {
    for (on, off, shows) in [
        (AlarmCommand::Suppress(true), AlarmCommand::Suppress(false), Suppressed),
        (AlarmCommand::OutOfService(true), AlarmCommand::OutOfService(false), OutOfService),
    ] {
        let mut rig = Rig::new(LimitAlarm::new());
        assert_eq!(rig.command(on, 0), Ok(shows));
        assert_eq!(rig.value(96.0, 1), shows);
        assert_eq!(
            (rig.state.condition(HIGH), rig.tick(i64::MAX)),
            (Unacknowledged, shows),
            "it never ends by itself"
        );
        assert_eq!(rig.command(off, 2), Ok(Unacknowledged));
    }
}

#[test]
fn an_acknowledged_alarm_comes_back_after_the_re_alarm_time() {
    let mut rig = Rig::new(LimitAlarm::new().re_alarm_ms(60_000).unwrap());
    rig.value(96.0, 0);
    assert_eq!((rig.alarm.deadline(&rig.state), rig.tick(1_000_000)), (None, Unacknowledged));
    rig.acknowledge(1_000_000).unwrap();
    assert_eq!(rig.tick(1_059_999), Acknowledged);
    assert_eq!(rig.tick(1_060_000), Unacknowledged);
    rig.acknowledge(1_060_001).unwrap();
    assert_eq!(rig.value(90.0, 1_060_002), Normal);
    assert_eq!((rig.alarm.deadline(&rig.state), rig.tick(i64::MAX)), (None, Normal));
}

/// Nobody sees it there, and whoever shelved it said for how long.
#[test]
fn an_acknowledged_alarm_on_the_shelf_comes_back_at_its_end() {
    let mut rig = Rig::new(LimitAlarm::new().re_alarm_ms(60_000).unwrap());
    rig.value(96.0, 0);
    rig.acknowledge(0).unwrap();
    rig.command(AlarmCommand::Shelve { for_ms: 200_000 }, 1_000).unwrap();
    assert_eq!(rig.alarm.deadline(&rig.state), Some(201_000));
    assert_eq!((rig.tick(200_999), rig.state.condition(HIGH)), (Shelved, Acknowledged));
    assert_eq!(rig.tick(201_000), Unacknowledged);
}

#[test]
fn promise_14_bad_input_holds_raises_or_clears_as_configured() {
    for (what, from_normal, from_active) in [
        (BadInput::Hold, Normal, Unacknowledged),
        (BadInput::Alarm, Unacknowledged, Unacknowledged),
        (BadInput::Normal, Normal, ReturnedUnacknowledged),
    ] {
        for (value, quality) in
            [(50.0, Quality::BAD), (f64::NAN, Quality::GOOD), (f64::INFINITY, Quality::GOOD)]
        {
            let mut rig = Rig::new(LimitAlarm::new().bad_input(what));
            assert_eq!(rig.quality(value, quality, 0), from_normal, "{what:?} {value}");
            let mut rig = Rig::new(LimitAlarm::new().bad_input(what));
            rig.value(96.0, 0);
            assert_eq!(rig.quality(value, quality, 1), from_active, "{what:?} {value}");
        }
    }
}

/// Rules that make a log one story.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Each change starts where the last one ended.
    Continuous,
    /// A change changes something.
    Change,
    /// Ids do not fall.
    Ids,
    /// The last change ends at what shows.
    Shows,
}

/// Bugs of a log.
#[derive(Clone, Copy, Debug)]
enum Bug {
    EventLost,
    EventOfNothing,
    IdsBeginAgain,
    LastLost,
}

fn bug(rule: Rule) -> Bug {
    match rule {
        Rule::Continuous => Bug::EventLost,
        Rule::Change => Bug::EventOfNothing,
        Rule::Ids => Bug::IdsBeginAgain,
        Rule::Shows => Bug::LastLost,
    }
}

/// Judges whether a log tells one story.
fn check(log: &[AlarmTransition], shows: AlarmState, judge: Judge<Rule>) -> Result<(), Violation<Rule>> {
    let mut at = (Normal, 0);
    for t in log {
        judge.require(Rule::Continuous, t.from == at.0, || format!("{t:?} after {at:?}"))?;
        judge.require(Rule::Change, t.from != t.to, || format!("{t:?}"))?;
        judge.require(Rule::Ids, t.transition >= at.1, || format!("{t:?} after {at:?}"))?;
        at = (t.to, t.transition);
    }
    judge.require(Rule::Shows, at.0 == shows, || format!("{at:?} but shows {shows:?}"))
}

/// The log as it is with the bug, if it is long enough to have it.
fn spoilt(log: &[AlarmTransition], bug: Bug) -> Option<Vec<AlarmTransition>> {
    let mut log = log.to_vec();
    let last = log.len().checked_sub(1).filter(|last| *last > 1)?;
    match bug {
        Bug::EventLost => drop(log.remove(last / 2)),
        Bug::EventOfNothing => log[last].to = log[last].from,
        Bug::IdsBeginAgain => log[last].transition = 0,
        Bug::LastLost => drop(log.pop()),
    }
    Some(log)
}

fn step(rig: &mut Rig, rng: &mut Rng, now: &mut i64) {
    *now += i64::try_from(rng.below(3_000)).unwrap();
    // A command that does not fit the state is refused and changes nothing.
    let _refused = match rng.below(12) {
        0 => rig.acknowledge(*now).is_err(),
        1 => rig.command(AlarmCommand::Reset, *now).is_err(),
        2 => rig.command(AlarmCommand::Shelve { for_ms: 1 + rng.below(9_000).cast_signed() }, *now).is_err(),
        3 => rig.command(AlarmCommand::ShelveOnce, *now).is_err(),
        4 => rig.command(AlarmCommand::Unshelve, *now).is_err(),
        5 => rig.command(AlarmCommand::Suppress(rng.below(3) == 0), *now).is_err(),
        6 => rig.command(AlarmCommand::OutOfService(rng.below(4) == 0), *now).is_err(),
        7 => {
            rig.tick(*now);
            assert!(rig.alarm.deadline(&rig.state).is_none_or(|due| due > *now), "a tick leaves nothing due");
            false
        }
        _ => {
            rig.quality([96.0, 94.0, 90.0, f64::NAN][rng.below(4) as usize], Quality::GOOD, *now);
            false
        }
    };
}

/// Over random histories, cut and restored at a random step.
#[test]
fn every_change_is_told_once_and_a_restart_changes_none() {
    let (mut rng, cases) = (Rng::from_env(), budget(20_000));
    let mut logs = Vec::new();
    for case in 0..cases {
        let options = LimitAlarm::new().latch(case % 2 == 0).re_alarm_ms(5_000).unwrap();
        let mut rig = Rig::new(options.max_shelve_ms(8_000).unwrap());
        let (mut now, cut) = (0, rng.below(60));
        for at in 0..60 {
            if at == cut {
                let mut bytes = Vec::new();
                ciborium::into_writer(&rig.state, &mut bytes).unwrap();
                let restored: LimitAlarmState = ciborium::from_reader(&bytes[..]).unwrap();
                assert_eq!(restored, rig.state);
                rig.state = restored;
            }
            step(&mut rig, &mut rng, &mut now);
        }
        check(&rig.log, rig.state.state(HIGH), Judge::All).unwrap();
        if logs.len() < 20 {
            logs.push((rig.log, rig.state.state(HIGH)));
        }
    }
    for rule in [Rule::Continuous, Rule::Change, Rule::Ids, Rule::Shows] {
        let bug = bug(rule);
        convicts(rule, bug, |judge| {
            logs.iter().find_map(|(log, shows)| check(&spoilt(log, bug)?, *shows, judge).err())
        });
    }
    println!("executed filter alarm histories: {cases} cases");
}

#[test]
fn a_pipeline_takes_the_commands_and_wakes_for_a_shelf() {
    let rules = "[[alarm]]\nmatch = \"oven\"\nlatch = true\nmax_shelve_ms = 5000\nbad_input = \"alarm\"\nhigh = { limit = 95, priority = 900 }";
    let mut p = Pipeline::from_toml(rules).unwrap();
    let sensor = p.intern("oven");
    let reading = Reading { sensor, time: 0, value: Value::F64(96.0), quality: Quality::GOOD };
    let _ = p.process(reading, 0, &mut |_| ());
    p.alarm_command(sensor, HIGH, AlarmCommand::Shelve { for_ms: 5_000 }, 100).unwrap();
    assert_eq!(p.next_deadline(), Some(5_100));
    p.tick(5_100, &mut |_| ());
    let events: Vec<_> = std::iter::from_fn(|| p.poll_alarm()).map(|e| e.transition).collect();
    assert_eq!(events.iter().map(|t| t.to).collect::<Vec<_>>(), [Unacknowledged, Shelved, Unacknowledged]);
    assert!(events.iter().all(|t| t.priority == 900));
    let none = p.alarm_command(sensor, AlarmLevel::Low, AlarmCommand::Reset, 0);
    assert_eq!(none, Err(AlarmCommandError::Ack(AckError::NoSuchAlarm)));
}

/// The strongest of those that hide an alarm is what shows of it, in whatever order they came and go.
#[test]
fn promise_14_of_several_ways_to_hide_an_alarm_the_strongest_shows() {
    let mut rig = Rig::new(LimitAlarm::new());
    rig.value(96.0, 0);
    rig.command(AlarmCommand::Shelve { for_ms: 10_000 }, 1).unwrap();
    assert_eq!(rig.command(AlarmCommand::OutOfService(true), 2), Ok(OutOfService));
    assert_eq!(rig.command(AlarmCommand::Suppress(true), 3), Ok(OutOfService));
    assert_eq!(rig.command(AlarmCommand::OutOfService(false), 4), Ok(Suppressed));
    assert_eq!(rig.command(AlarmCommand::Suppress(false), 5), Ok(Shelved));
    assert_eq!(rig.command(AlarmCommand::Unshelve, 6), Ok(Unacknowledged));
}

/// No value was seen that could be shown.
#[test]
fn an_alarm_that_bad_input_raised_before_any_value_has_none() {
    let mut rig = Rig::new(LimitAlarm::new().bad_input(BadInput::Alarm));
    rig.quality(20.0, Quality::BAD, 0);
    rig.value(20.0, 1);
    assert!(rig.log[0].value.is_nan() && rig.log[1].value == 20.0);
}
