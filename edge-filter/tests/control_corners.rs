//! Promise 14 where two of its rules meet: a trip and a law that holds, a kept state and another clock or other rules, a law that gives no number.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Quality;
use edge_filter::alarm::{AckError, AlarmCommand, AlarmCommandError, AlarmLevel, AlarmState};
use edge_filter::control::{Cause, CommandError, ControlCommand, ControlEvent, Controller, Law, OutputSpec};
use edge_filter::pid::PidMode;

const MS: u64 = 1_000_000;
const INPUTS: &str = "[[input]]\nname = \"temp\"\nstale_after_ms = 1000\nrange = [0, 100]\n\
                      [[input]]\nname = \"estop\"\nstale_after_ms = 1000\n";
const STOP: &str = "[[interlock]]\nname = \"stop\"\noutputs = [\"fan\"]\ntrip_when = { input = \"estop\", is = false }\n\
                    reset = \"auto\"\n";

fn controller(rules: &str) -> Controller {
    Controller::from_toml(&format!("{INPUTS}{rules}")).unwrap()
}

/// Gives both inputs and scans; the first output and its cause.
fn scan(c: &mut Controller, ms: u64, (temp, quality): (f64, Quality), estop: f64) -> (f64, Cause) {
    c.set_input(0, temp, quality, ms * MS);
    c.set_input(1, estop, Quality::GOOD, ms * MS);
    c.scan(ms * MS, &mut |_| ());
    (c.outputs()[0].value(), c.outputs()[0].cause())
}

/// A law that holds what it has while its input is bad does not hold it against an interlock, and goes on from off afterwards.
#[test]
fn promise_14_a_trip_is_stronger_than_a_law_that_holds() {
    let fan = "[[output]]\nname = \"fan\"\nsafe = 0.25\n\
               switch = { input = \"temp\", on_at = 40, off_at = 30, bad_input = \"hold\" }\n";
    let mut c = controller(&format!("{fan}{STOP}"));
    let (good, bad) = (Quality::GOOD, Quality::BAD);
    assert_eq!(scan(&mut c, 10, (45.0, good), 1.0), (1.0, Cause::Running));
    assert_eq!(scan(&mut c, 20, (45.0, bad), 1.0), (1.0, Cause::BadInput), "held");
    assert_eq!(scan(&mut c, 30, (45.0, bad), 0.0), (0.25, Cause::Interlock), "tripped");
    assert_eq!(scan(&mut c, 40, (35.0, good), 0.0), (0.25, Cause::Interlock));
    // Between both limits a switch stays what it was; behind a safe state it was off.
    assert_eq!(scan(&mut c, 50, (35.0, good), 1.0), (0.0, Cause::Running));
}

/// The same without a trip: an input that was bad leaves nothing switched on behind its back.
#[test]
fn promise_14_a_switch_is_off_behind_its_safe_state() {
    let mut c =
        controller("[[output]]\nname = \"fan\"\nswitch = { input = \"temp\", on_at = 40, off_at = 30 }\n");
    assert_eq!(scan(&mut c, 10, (45.0, Quality::GOOD), 1.0), (1.0, Cause::Running));
    assert_eq!(scan(&mut c, 20, (45.0, Quality::BAD), 1.0), (0.0, Cause::BadInput));
    assert_eq!(scan(&mut c, 30, (35.0, Quality::GOOD), 1.0), (0.0, Cause::Running));
}

/// A pump that starts is news at once, and not when samples of all outputs are due.
#[test]
fn each_flip_of_a_switch_is_an_event() {
    let mut c =
        controller("[[output]]\nname = \"fan\"\nswitch = { input = \"temp\", on_at = 40, off_at = 30 }\n");
    let mut events = Vec::new();
    for (scan, temperature) in (1..).zip([20.0, 35.0, 45.0, 35.0, 45.0, 25.0, 20.0]) {
        c.set_input(0, temperature, Quality::GOOD, scan * 10 * MS);
        c.scan(scan * 10 * MS, &mut |event| {
            if let ControlEvent::Output { value, cause, at_ms, .. } = event {
                events.push((at_ms, value, cause));
            }
        });
    }
    assert_eq!(events, [(10, 0.0, Cause::Running), (30, 1.0, Cause::Running), (60, 0.0, Cause::Running)]);
}

#[test]
fn promise_14_a_law_that_gives_no_number_has_failed() {
    for value in [f64::NAN, f64::INFINITY] {
        let mut builder = Controller::builder();
        builder.output(OutputSpec::new("valve", Law::Fixed(value)).safe(20.0).unwrap()).unwrap();
        let mut c = builder.build();
        c.scan(10 * MS, &mut |_| ());
        assert_eq!((c.outputs()[0].value(), c.outputs()[0].cause()), (20.0, Cause::BadInput), "{value}");
    }
}

/// The word of an operator counts as long as the file says what it said then.
#[test]
fn promise_14_a_changed_setpoint_of_the_rules_beats_a_kept_one() {
    let belt = |setpoint: f64| {
        controller(&format!(
            "[[output]]\nname = \"belt\"\nramp = {{ setpoint = {setpoint:?}, rate_per_s = 5.0 }}\n"
        ))
    };
    let mut before = belt(40.0);
    before.command(ControlCommand::Setpoint { output: 0, value: 45.0 }, MS, &mut |_| ()).unwrap();
    let kept = before.snapshot();
    for (configured, expected) in [(40.0, 45.0), (50.0, 50.0)] {
        let mut after = belt(configured);
        after.restore(&kept, 2 * MS).unwrap();
        assert_eq!(after.outputs()[0].setpoint(), Some(expected), "rules say {configured}");
    }
}

/// The clock of the run that kept a state was far ahead of this one's: what began there begins now, and is not waited for until then.
#[test]
fn promise_14_delays_of_an_earlier_run_begin_anew_under_a_clock_that_is_behind() {
    let rules = "[[output]]\nname = \"fan\"\nvalue = 1.0\n\
        [[interlock]]\nname = \"stop\"\noutputs = [\"fan\"]\nreset = \"auto\"\nafter_ms = 100\n\
        trip_when = { input = \"estop\", is = false }\n\
        [[alarm]]\nmatch = \"temp\"\nhigh = { limit = 70, on_delay_ms = 100 }\n";
    let (good, ahead) = (Quality::GOOD, 3_600_000);
    let mut before = controller(rules);
    assert_eq!(
        scan(&mut before, ahead, (80.0, good), 1.0),
        (0.0, Cause::Interlock),
        "healthy, and for too short"
    );
    let mut after = controller(rules);
    after.restore(&before.snapshot(), 10 * MS).unwrap();
    let mut raised = Vec::new();
    for (ms, expected) in [(20, Cause::Interlock), (100, Cause::Interlock), (120, Cause::Running)] {
        after.set_input(0, 80.0, good, ms * MS);
        after.set_input(1, 1.0, good, ms * MS);
        after.scan(ms * MS, &mut |event| {
            if let ControlEvent::Alarm { transition, .. } = event {
                raised.push((ms, transition.level, transition.to));
            }
        });
        assert_eq!(after.outputs()[0].cause(), expected, "{ms}");
    }
    assert_eq!(raised, [(120, AlarmLevel::High, AlarmState::Unacknowledged)]);
}

/// An alarm looks at the quality alone: a number that no sensor of this range gives is bad, however its sensor calls it.
#[test]
fn promise_14_an_uncertain_number_outside_its_range_is_bad() {
    let mut c = controller("");
    for (value, quality, expected) in [
        (150.0, Quality::GOOD, Quality::BAD_OUT_OF_RANGE),
        (150.0, Quality::UNCERTAIN, Quality::BAD_OUT_OF_RANGE),
        (50.0, Quality::UNCERTAIN, Quality::UNCERTAIN),
        (150.0, Quality::BAD, Quality::BAD),
    ] {
        c.set_input(0, value, quality, 10 * MS);
        assert_eq!(c.inputs().quality(0, 10), expected, "{value} {quality:?}");
        assert_eq!(c.inputs().good(0, 10), None);
    }
}

/// A loop that holds goes on by itself once its input is good; one that goes to manual waits for a hand.
#[test]
fn promise_14_a_loop_that_holds_goes_on_by_itself() {
    for (bad_input, expected) in [("hold", Cause::Running), ("manual", Cause::BadInput)] {
        let mut c = controller(&format!(
            "[[output]]\nname = \"valve\"\npid = {{ input = \"temp\", setpoint = 60.0, k = 1.0, ti_s = 20.0, \
             limits = [0, 100], bad_input = \"{bad_input}\" }}\n"
        ));
        let (running, _) = scan(&mut c, 10, (30.0, Quality::GOOD), 1.0);
        let (held, cause) = scan(&mut c, 20, (30.0, Quality::BAD), 1.0);
        let at = if bad_input == "hold" { running } else { 0.0 };
        assert_eq!((held, cause), (at, Cause::BadInput), "{bad_input}");
        assert_eq!(scan(&mut c, 30, (30.0, Quality::GOOD), 1.0).1, expected, "{bad_input}");
    }
}

/// The time for which nobody scanned is not made up for at once: a ramp goes on from its safe state.
#[test]
fn promise_14_a_long_stop_moves_no_ramp() {
    let rules = "[[output]]\nname = \"belt\"\nramp = { setpoint = 40.0, rate_per_s = 5.0 }\n";
    let mut before = controller(rules);
    for ms in [1_000, 2_000, 3_000] {
        scan(&mut before, ms, (30.0, Quality::GOOD), 1.0);
    }
    assert_eq!(before.outputs()[0].value(), 10.0);
    let mut after = controller(rules);
    after.restore(&before.snapshot(), 3_600_000 * MS).unwrap();
    assert_eq!(scan(&mut after, 3_600_000, (30.0, Quality::GOOD), 1.0).0, 0.0);
    assert_eq!(scan(&mut after, 3_601_000, (30.0, Quality::GOOD), 1.0).0, 5.0);
}

const COMPRESSOR: &str = "[[output]]\nname = \"fan\"\nSAFE\n\
    switch = { input = \"temp\", on_at = 40, off_at = 30, min_on_ms = 60000, min_off_ms = 300000 }\n";

/// A bad reading, a trip and a restart end the time on at once, and none of them makes a machine start sooner than after any other stop.
#[test]
fn promise_14_a_machine_that_the_safe_state_stopped_rests_as_long_as_after_any_stop() {
    let rules = format!("{}{STOP}", COMPRESSOR.replace("SAFE", ""));
    for (why, temp, estop) in [("bad", f64::NAN, 1.0), ("trip", 45.0, 0.0), ("restart", f64::NAN, 1.0)] {
        let mut c = controller(&rules);
        assert_eq!(
            scan(&mut c, 1_000, (45.0, Quality::GOOD), 1.0).0,
            1.0,
            "the first start waits for nothing"
        );
        if why == "restart" {
            let kept = c.snapshot();
            c = controller(&rules);
            c.restore(&kept, 2_000 * MS).unwrap();
        }
        assert_eq!(scan(&mut c, 2_000, (temp, Quality::GOOD), estop).0, 0.0, "{why}");
        for (ms, expected) in [(2_010, 0.0), (301_999, 0.0), (302_000, 1.0)] {
            assert_eq!(scan(&mut c, ms, (45.0, Quality::GOOD), 1.0).0, expected, "{why} {ms}");
        }
    }
}

/// Behind a safe state that is on, the switch goes on from on: between its limits it leaves the machine as it is.
#[test]
fn promise_14_a_switch_goes_on_from_what_its_safe_state_was() {
    let mut c = controller(&COMPRESSOR.replace("SAFE", "safe = 1.0"));
    for (ms, temp, expected) in [
        (1_000, f64::NAN, 1.0),
        (2_000, 35.0, 1.0),
        (60_999, 20.0, 1.0),
        (61_000, 20.0, 0.0),
        (62_000, f64::NAN, 1.0),
        (63_000, 35.0, 1.0),
    ] {
        assert_eq!(scan(&mut c, ms, (temp, Quality::GOOD), 1.0).0, expected, "{ms}");
    }
}

/// Operators know an alarm by its input and level. One that stands in a table of its own must be acknowledged and shelved all the same.
#[test]
fn promise_14_every_alarm_of_an_input_takes_its_commands() {
    let rules = "[[alarm]]\nmatch = \"temp\"\nhigh = { limit = 60 }\n[[alarm]]\nmatch = \"temp\"\nlatch = true\nhihi = { limit = 80 }\n\
                 [[alarm]]\nmatch = \"estop\"\nlolo = { limit = 0 }\n[[alarm]]\nmatch = \"temp\"\nhihi = { limit = 90 }\n";
    let mut c = controller(rules);
    c.set_input(0, 95.0, Quality::GOOD, 10 * MS);
    let mut raised = Vec::new();
    c.scan(10 * MS, &mut |event| {
        if let ControlEvent::Alarm { alarm, transition } = event {
            raised.push((alarm, transition.level, transition.transition));
        }
    });
    let high = AlarmLevel::HighHigh;
    assert_eq!(raised.iter().map(|(alarm, ..)| *alarm).collect::<Vec<_>>(), [0, 1, 3]);
    let mut give = |alarm, level, command| {
        let (mut by, given) = (Vec::new(), ControlCommand::Alarm { alarm, level, command });
        let done = c.command(given, 20 * MS, &mut |event| {
            if let ControlEvent::Alarm { alarm, transition } = event {
                by.push((alarm, transition.to));
            }
        });
        done.map(|()| by)
    };
    let ack = |transition| AlarmCommand::Acknowledge { transition };
    let both = |state: AlarmState, alarms: [u16; 2]| Ok(alarms.map(|alarm| (alarm, state)).to_vec());
    assert_eq!(give(0, high, ack(raised[1].2)), both(AlarmState::Acknowledged, [1, 3]));
    assert_eq!(
        give(3, high, AlarmCommand::ShelveOnce),
        both(AlarmState::Shelved, [3, 1]),
        "the one that is meant first"
    );
    let refused = |error| Err(CommandError::Alarm(error));
    assert_eq!(give(0, high, AlarmCommand::Reset), refused(AlarmCommandError::StillActive));
    assert_eq!(give(0, AlarmLevel::LowLow, AlarmCommand::Reset), refused(AckError::NoSuchAlarm.into()));
    assert_eq!(give(4, high, AlarmCommand::Reset), Err(CommandError::Unknown));
}

/// An entry that cannot be read is left out, and those behind it keep their numbers.
#[test]
fn an_error_behind_an_entry_that_was_left_out_names_its_own_place() {
    let stop = "name = \"stop\", outputs = [\"fan\"], reset = \"auto\", trip_when = { input = \"estop\", is = false }";
    for (table, wrong, expected) in [
        ("input", "name = \"level\", stale_after_ms = 0", "input 2: stale_after_ms: "),
        ("output", "name = \"fan\", value = nan", "output 2: value: "),
        ("interlock", stop, "interlock 2: outputs 1: "),
        ("alarm", "match = \"tmp\"", "alarm 2: match: "),
    ] {
        let inputs = if table == "input" { "" } else { INPUTS };
        let error = Controller::from_toml(&format!("{table} = [7, {{ {wrong} }}]\n{inputs}")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}\nnot\n{expected}");
    }
}

/// A controller that has computed nothing yet is in the safe state: a valve that is safe when open stays open, and the loop goes on from there.
#[test]
fn promise_14_a_loop_that_holds_before_its_first_input_is_safe() {
    let rules = "[[output]]\nname = \"valve\"\nsafe = 50.0\npid = { input = \"temp\", setpoint = 60.0, k = 1.0, ti_s = 20.0, \
                 limits = [0, 100], bad_input = \"hold\" }\n";
    let mut c = controller(rules);
    assert_eq!(scan(&mut c, 10, (f64::NAN, Quality::BAD), 1.0), (50.0, Cause::BadInput));
    assert_eq!(scan(&mut c, 20, (60.0, Quality::GOOD), 1.0), (50.0, Cause::Running));
    let mut c = controller(rules);
    c.command(ControlCommand::Mode { output: 0, mode: PidMode::Hold }, 10 * MS, &mut |_| {}).unwrap();
    assert_eq!(scan(&mut c, 10, (30.0, Quality::GOOD), 1.0), (50.0, Cause::Manual));
}

/// A board without a clock of its own comes up behind the time of its last stop: its machine rests from the start then.
#[test]
fn promise_14_a_machine_rests_over_a_restart_with_the_clock_set_back() {
    let rules = COMPRESSOR.replace("SAFE", "");
    let mut before = controller(&rules);
    assert_eq!(scan(&mut before, 4_000_000, (45.0, Quality::GOOD), 1.0).0, 1.0);
    assert_eq!(scan(&mut before, 4_100_000, (20.0, Quality::GOOD), 1.0).0, 0.0);
    let mut c = controller(&rules);
    c.restore(&before.snapshot(), 10_000 * MS).unwrap();
    for (ms, temp, expected) in
        [(10_000, f64::NAN, 0.0), (20_000, 45.0, 0.0), (309_999, 45.0, 0.0), (310_000, 45.0, 1.0)]
    {
        assert_eq!(scan(&mut c, ms, (temp, Quality::GOOD), 1.0).0, expected, "{ms}");
    }
}
