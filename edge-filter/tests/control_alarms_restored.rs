//! Promise 14 over a restart with other tables: an acknowledgement, a latch or a shelf stays with the limit that it was meant for; where several
//! may be meant, the alarm is told again and waits for a hand.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Quality;
use edge_filter::alarm::AlarmState::{self, *};
use edge_filter::alarm::{AckError, AlarmCommand, AlarmLevel, AlarmTransition};
use edge_filter::control::{CommandError, ControlCommand, ControlEvent, ControlSnapshot, Controller};

const MS: u64 = 1_000_000;
const START_MS: u64 = 1_700_000_000_000;

const WARM: &str = "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 70 }\n";
const HOT: &str = "[[alarm]]\nmatch = \"t\"\nlatch = true\nmax_shelve_ms = 60000\nhigh = { limit = 80 }\n";

struct Run {
    controller: Controller,
    now_ms: u64,
    told: Vec<(u16, AlarmTransition)>,
}

impl Run {
    fn new(alarms: &[&str]) -> Self {
        let inputs = "[[input]]\nname = \"t\"\nstale_after_ms = 1000\n[[input]]\nname = \"u\"\nstale_after_ms = 1000\n";
        let controller = Controller::from_toml(&format!("{inputs}{}", alarms.concat())).unwrap();
        Run { controller, now_ms: START_MS, told: Vec::new() }
    }

    fn value(&mut self, value: f64) {
        self.controller.set_input(0, value, Quality::GOOD, self.now_ms * MS);
        self.scan();
    }

    /// Returns what the scan told: alarm and states.
    fn scan(&mut self) -> Vec<(u16, AlarmState, AlarmState)> {
        self.now_ms += 10;
        let before = self.told.len();
        let told = &mut self.told;
        self.controller.scan(self.now_ms * MS, &mut |event| {
            if let ControlEvent::Alarm { alarm, transition } = event {
                told.push((alarm, transition));
            }
        });
        self.told[before..].iter().map(|(alarm, t)| (*alarm, t.from, t.to)).collect()
    }

    fn command(&mut self, alarm: u16, command: AlarmCommand) -> bool {
        let command = ControlCommand::Alarm { alarm, level: AlarmLevel::High, command };
        let told = &mut self.told;
        let done = self.controller.command(command, self.now_ms * MS, &mut |event| {
            if let ControlEvent::Alarm { alarm, transition } = event {
                told.push((alarm, transition));
            }
        });
        done.is_ok()
    }

    fn acknowledge(&mut self, alarm: u16) {
        let of = |(number, t): &&(u16, AlarmTransition)| *number == alarm && t.to == Unacknowledged;
        let transition = self.told.iter().rev().find(of).unwrap().1.transition;
        assert!(self.command(alarm, AlarmCommand::Acknowledge { transition }));
    }

    fn snapshot(&self) -> ciborium::Value {
        ciborium::Value::serialized(&self.controller.snapshot()).unwrap()
    }
}

fn restored(from: &ciborium::Value, alarms: &[&str]) -> Run {
    let mut next = Run { now_ms: START_MS + 60_000, ..Run::new(alarms) };
    let snapshot: ControlSnapshot = from.deserialized().unwrap();
    next.controller.restore(&snapshot, next.now_ms * MS).unwrap();
    next
}

/// HOT is active and acknowledged, WARM is active and shelved, for longer than HOT may be.
fn both_active() -> ciborium::Value {
    let mut run = Run::new(&[HOT, WARM]);
    run.value(85.0);
    run.acknowledge(0);
    assert!(run.command(1, AlarmCommand::Shelve { for_ms: 3_600_000 }));
    run.snapshot()
}

/// Values fall below both limits: the latch tells which was restored as which.
fn ends(run: &mut Run) -> Vec<(u16, AlarmState, AlarmState)> {
    let mut told = run.scan();
    let before = run.told.len();
    run.value(20.0);
    told.extend(run.told[before..].iter().map(|(alarm, t)| (*alarm, t.from, t.to)));
    told
}

#[test]
fn promise_14_tables_of_alarms_keep_their_states_when_they_are_swapped_or_removed() {
    let kept = both_active();
    let latched = |alarm| vec![(alarm, Acknowledged, LatchedAcknowledged)];
    assert_eq!(ends(&mut restored(&kept, &[HOT, WARM])), latched(0));
    assert_eq!(ends(&mut restored(&kept, &[WARM, HOT])), latched(1));
    assert_eq!(ends(&mut restored(&kept, &[HOT])), latched(0));
    let mut warm = restored(&kept, &[WARM]);
    assert_eq!(ends(&mut warm), []);
    assert!(warm.command(0, AlarmCommand::Unshelve));
    // Another one before them, on the same input or on another, is new.
    let new = "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 60 }\n";
    assert_eq!(ends(&mut restored(&kept, &[new, HOT, WARM])), latched(1));
    assert_eq!(ends(&mut restored(&kept, &[&new.replace("\"t\"", "\"u\""), WARM, HOT])), latched(2));
    assert_eq!(ends(&mut restored(&kept, &[&HOT.replace("\"t\"", "\"u\"")])), []);
}

#[test]
fn promise_14_an_alarm_that_was_changed_keeps_its_state_while_it_is_the_only_one_meant() {
    let kept = both_active();
    let latched = |alarm| vec![(alarm, Acknowledged, LatchedAcknowledged)];
    // Of one the limit is another; of both the rest is.
    let hotter = HOT.replace("80", "82");
    assert_eq!(ends(&mut restored(&kept, &[WARM, &hotter])), latched(1));
    let slow = |table: &str| table.replace(" }", ", off_delay_ms = 1, priority = 9 }");
    let mut run = restored(&kept, &[&slow(WARM), &slow(HOT)]);
    assert_eq!(run.scan(), []);
    run.value(20.0);
    assert_eq!(run.scan(), latched(1));
    // Two levels in one table, and each in its own.
    let mut run = Run::new(&["[[alarm]]\nmatch = \"t\"\nhigh = { limit = 70 }\nhihi = { limit = 80 }\n"]);
    run.value(75.0);
    run.acknowledge(0);
    let apart = ["[[alarm]]\nmatch = \"t\"\nhihi = { limit = 80 }\n", WARM];
    assert_eq!(ends(&mut restored(&run.snapshot(), &apart)), [(1, Acknowledged, Normal)]);
}

#[test]
fn promise_14_where_several_alarms_may_be_meant_nothing_is_acknowledged_or_shelved() {
    let kept = both_active();
    let (hotter, warmer) = (HOT.replace("80", "82"), WARM.replace("70", "72"));
    let again = [(0, Normal, Unacknowledged), (1, Normal, Unacknowledged)];
    let mut run = restored(&kept, &[&warmer, &hotter]);
    assert_eq!(run.scan(), again);
    assert_eq!(run.scan(), [], "told once");
    let highest = run.told.iter().map(|(_, t)| t.transition).min().unwrap();
    assert!(highest >= START_MS + 60_000, "another occurrence: {highest}");
    run.value(85.0);
    assert_eq!(run.told.len(), 2, "active as before");
    run.acknowledge(1);
    let both: Vec<_> = run.told[2..].iter().map(|(alarm, t)| (*alarm, t.to)).collect();
    assert_eq!(both, [(1, Acknowledged), (0, Acknowledged)], "raised at once, with one number");
    // One of two that were alike was removed; the occurrence of the other was a later one.
    let mut run = Run::new(&[HOT, HOT]);
    assert!(run.command(1, AlarmCommand::Suppress(true)));
    run.value(85.0);
    assert!(run.command(1, AlarmCommand::Suppress(false)));
    run.acknowledge(0);
    let mut one = restored(&run.snapshot(), &[HOT]);
    assert_eq!(one.scan(), [(0, Normal, Unacknowledged)]);
    let mut both = restored(&run.snapshot(), &[HOT, HOT]);
    assert_eq!(
        ends(&mut both),
        [(0, Acknowledged, LatchedAcknowledged), (1, Unacknowledged, LatchedUnacknowledged)]
    );
    // What is latched or has returned waits on; what is normal begins normal.
    for (alarms, value, waits) in
        [([HOT, HOT], 20.0, LatchedUnacknowledged), ([WARM, WARM], 20.0, ReturnedUnacknowledged)]
    {
        let mut run = Run::new(&alarms);
        run.value(85.0);
        run.value(value);
        assert_eq!(restored(&run.snapshot(), &alarms[..1]).scan(), [(0, Normal, waits)]);
    }
    let mut normal = Run::new(&[HOT, HOT]);
    normal.value(20.0);
    assert_eq!(restored(&normal.snapshot(), &[HOT]).scan(), []);
}

/// A snapshot that an earlier version of the program wrote tells no limits.
#[test]
fn promise_14_a_snapshot_without_limits_is_restored_where_one_alone_can_be_meant() {
    fn without_limits(value: &mut ciborium::Value) {
        match value {
            ciborium::Value::Map(entries) => {
                entries.retain(|(key, _)| key.as_text() != Some("limits"));
                entries.iter_mut().for_each(|(_, value)| without_limits(value));
            }
            ciborium::Value::Array(of) => of.iter_mut().for_each(without_limits),
            _ => {}
        }
    }
    let mut run = Run::new(&[HOT]);
    run.value(85.0);
    run.acknowledge(0);
    let mut old = run.snapshot();
    without_limits(&mut old);
    assert_ne!(old, run.snapshot());
    assert_eq!(ends(&mut restored(&old, &[HOT])), [(0, Acknowledged, LatchedAcknowledged)]);
    let mut old = both_active();
    without_limits(&mut old);
    let again = [(0, Normal, Unacknowledged), (1, Normal, Unacknowledged)];
    assert_eq!(restored(&old, &[HOT, WARM]).scan(), again);
}

/// An operator names them by input and level, and sees one alarm.
#[test]
fn promise_14_a_command_reaches_every_alarm_of_its_input_and_level() {
    let mut run = Run::new(&[HOT, WARM]);
    run.value(85.0);
    let since = |run: &mut Run| {
        let mut told: Vec<_> = run.told.drain(..).map(|(alarm, t)| (alarm, t.from, t.to)).collect();
        told.sort_by_key(|(alarm, ..)| *alarm);
        told
    };
    let both = |from, to| [(0, from, to), (1, from, to)];
    let transition = run.told[0].1.transition;
    assert_eq!(since(&mut run), both(Normal, Unacknowledged));
    assert!(!run.command(0, AlarmCommand::Acknowledge { transition: transition + 1 }));
    assert!(run.command(1, AlarmCommand::Acknowledge { transition }));
    assert_eq!(since(&mut run), both(Unacknowledged, Acknowledged));
    assert!(run.command(0, AlarmCommand::Shelve { for_ms: 60_000 }));
    assert_eq!(since(&mut run), both(Acknowledged, Shelved));
    assert!(run.command(0, AlarmCommand::Unshelve));
    assert_eq!(since(&mut run), both(Shelved, Unacknowledged));
    assert!(!run.command(0, AlarmCommand::Unshelve));
    // One of them may not be shelved for so long.
    assert!(run.command(0, AlarmCommand::Shelve { for_ms: 60_001 }));
    assert_eq!(since(&mut run), [(1, Unacknowledged, Shelved)]);
    assert!(run.command(0, AlarmCommand::ShelveOnce));
    assert_eq!(since(&mut run), [(0, Unacknowledged, Shelved)]);
}

/// After a restart its number can be learnt from the refusal alone.
#[test]
fn promise_14_a_refused_acknowledgement_names_the_alarm_that_waits_whichever_is_asked_first() {
    let mut run = Run::new(&[HOT, WARM]);
    run.value(75.0);
    let current = run.told[0].1.transition;
    for alarm in [0, 1] {
        let command = AlarmCommand::Acknowledge { transition: current + 1 };
        let command = ControlCommand::Alarm { alarm, level: AlarmLevel::High, command };
        let refused = run.controller.command(command, run.now_ms * MS, &mut |_| ());
        assert_eq!(refused, Err(CommandError::Alarm(AckError::OtherOccurrence { current }.into())));
    }
}
