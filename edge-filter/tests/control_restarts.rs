//! Promise 14 over a stop: what a controller begins with after a restart, and how it goes on after scans that were left out.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Quality;
use edge_filter::alarm::AlarmState;
use edge_filter::control::{Cause, CommandError, ControlCommand, ControlEvent, Controller};
use edge_filter::control::{Law, LoopBadInput, OutputSpec, Setpoint};
use edge_filter::pid::{Pid, PidMode};

const MS: u64 = 1_000_000;
const GOOD: Quality = Quality::GOOD;
const INPUTS: &str = "[[input]]\nname = \"temp\"\nstale_after_ms = 1000\nrange = [0, 100]\n";

fn controller(rules: &str) -> Controller {
    Controller::from_toml(&format!("{INPUTS}{rules}")).unwrap()
}

/// Gives the input and scans; the first output and its cause.
fn scan(c: &mut Controller, ms: u64, temp: f64) -> (f64, Cause) {
    c.set_input(0, temp, GOOD, ms * MS);
    c.scan(ms * MS, &mut |_| ());
    (c.outputs()[0].value(), c.outputs()[0].cause())
}

const COMPRESSOR: &str = "[[output]]\nname = \"fan\"\nSAFE\n\
    switch = { input = \"temp\", on_at = 40, off_at = 30, min_on_ms = 60000, min_off_ms = 300000 }\n";

/// A kill loses what was not saved: a machine that was just switched off would start again at the first reading.
#[test]
fn promise_14_a_flip_of_a_switch_is_saved_for_a_restart() {
    let mut c = controller(&COMPRESSOR.replace("SAFE", ""));
    assert_eq!(scan(&mut c, 1_000, 20.0).0, 0.0);
    let before = c.changes();
    assert_eq!(scan(&mut c, 2_000, 45.0).0, 1.0);
    let on = c.changes();
    assert!(on > before, "switched on");
    assert_eq!(scan(&mut c, 3_000, 45.0).0, 1.0);
    assert_eq!(c.changes(), on, "nothing new");
    assert_eq!(scan(&mut c, 4_000, f64::NAN).0, 0.0);
    assert!(c.changes() > on, "off by its safe state");
}

/// The law that holds is on where its safe state is, and knows the time since when.
#[test]
fn promise_14_a_switch_that_holds_goes_on_from_what_its_safe_state_was() {
    let rules = COMPRESSOR.replace("SAFE", "safe = 1.0").replace(" }\n", ", bad_input = \"hold\" }\n");
    let mut c = controller(&rules);
    for (ms, temp, expected) in [
        (1_000, f64::NAN, 1.0),
        (2_000, 35.0, 1.0),
        (60_999, 20.0, 1.0),
        (61_000, 20.0, 0.0),
        (62_000, f64::NAN, 0.0),
        (63_000, 35.0, 0.0),
    ] {
        assert_eq!(scan(&mut c, ms, temp).0, expected, "{ms}");
    }
}

/// Nobody saw what the value was without power: that time ends no alarm, and the off-delay begins with the next value.
#[test]
fn promise_14_the_time_of_a_stop_ends_no_alarm() {
    let rules = "[[alarm]]\nmatch = \"temp\"\nhigh = { limit = 70, off_delay_ms = 60000 }\n";
    let mut before = controller(rules);
    for (ms, value) in [(1_000, 80.0), (2_000, 50.0)] {
        before.set_input(0, value, GOOD, ms * MS);
        before.scan(ms * MS, &mut |_| ());
    }
    // A scan without a value first, or with one at once.
    for first in [None, Some(50.0)] {
        let mut after = controller(rules);
        after.restore(&before.snapshot(), 3_600_500 * MS).unwrap();
        let mut told = Vec::new();
        for (ms, value) in
            [(3_600_500, first), (3_600_500, Some(50.0)), (3_660_490, Some(50.0)), (3_660_500, Some(50.0))]
        {
            if let Some(value) = value {
                after.set_input(0, value, GOOD, ms * MS);
            }
            after.scan(ms * MS, &mut |event| {
                if let ControlEvent::Alarm { transition, .. } = event {
                    told.push((ms, transition.to));
                }
            });
        }
        assert_eq!(told, [(3_660_500, AlarmState::ReturnedUnacknowledged)], "{first:?}");
    }
}

/// It leapt to its P part, past its rate, where a program sets its inputs before the first scan.
#[test]
fn promise_14_a_pid_goes_from_its_safe_state_at_its_rate_after_a_long_stop() {
    let rules = "[[output]]\nname = \"valve\"\nsafe = 5.0\npid = { input = \"temp\", setpoint = 50.0, k = 1.0, ti_s = 20.0, limits = [0, 100], rate_per_s = 2.0 }\n";
    let mut before = controller(rules);
    let scan = |c: &mut Controller, ms: u64| {
        c.set_input(0, 20.0, GOOD, ms * MS);
        c.scan(ms * MS, &mut |_| ());
        c.outputs()[0].value()
    };
    for s in 1..=10 {
        scan(&mut before, s * 1_000);
    }
    let mut after = controller(rules);
    after.restore(&before.snapshot(), HOUR * MS).unwrap();
    assert_eq!(scan(&mut after, HOUR), 5.0);
    let next = scan(&mut after, HOUR + 1_000);
    assert!(next > 5.0 && next <= 7.0, "{next}");
}

const BELT: &str =
    "[[output]]\nname = \"belt\"\nsafe = 5.0\nramp = { setpoint = SETPOINT, rate_per_s = 5.0 }\n";
const HOUR: u64 = 3_600_000;

fn belt(setpoint: &str) -> Controller {
    controller(&BELT.replace("SETPOINT", setpoint))
}

/// The kept value may be much older than the stop: the rules may say another setpoint since.
#[test]
fn promise_14_a_ramp_begins_safe_after_a_long_stop() {
    let mut before = belt("40.0");
    for second in 1..=10 {
        scan(&mut before, second * 1_000, 20.0);
    }
    assert_eq!(before.outputs()[0].value(), 40.0);
    for (pause_ms, setpoint, expected) in [
        (HOUR, "0.0", [5.0, 0.0]),
        (HOUR, "40.0", [5.0, 10.0]),
        (50, "40.0", [40.0, 40.0]),
        (0, "0.0", [40.0, 35.0]),
    ] {
        let (mut after, at) = (belt(setpoint), 10_000 + pause_ms);
        after.restore(&before.snapshot(), at * MS).unwrap();
        for (number, expected) in (0..).zip(expected) {
            let value = scan(&mut after, at + number * 1_000, 20.0).0;
            assert!((value - expected).abs() < 0.3, "{pause_ms} {setpoint} {number}: {value}");
        }
    }
}

/// A loop that holds has nothing to hold then, by hand or because its input is bad.
#[test]
fn promise_14_a_loop_that_holds_begins_safe_after_a_long_stop() {
    let rules = "[[output]]\nname = \"valve\"\nsafe = 5.0\npid = { input = \"temp\", setpoint = 50.0, k = 1.0, \
                 ti_s = 1000.0, limits = [0, 100], bad_input = \"hold\" }\n";
    for by_hand in [false, true] {
        let mut before = controller(rules);
        assert_eq!(scan(&mut before, 1_000, 20.0), (30.0, Cause::Running));
        if by_hand {
            let hold = ControlCommand::Mode { output: 0, mode: PidMode::Hold };
            before.command(hold, 1_005 * MS, &mut |_| ()).unwrap();
            assert_eq!(scan(&mut before, 1_010, 20.0), (30.0, Cause::Manual));
        }
        for (pause_ms, expected) in [(HOUR, 5.0), (20, 30.0)] {
            let (mut after, at) = (controller(rules), 1_010 + pause_ms);
            after.restore(&before.snapshot(), at * MS).unwrap();
            after.scan(at * MS, &mut |_| ());
            assert_eq!(after.outputs()[0].value(), expected, "{by_hand} {pause_ms}");
            let value = scan(&mut after, at + 10, 20.0).0;
            assert!((value - expected).abs() < 0.01, "{by_hand} {pause_ms}: goes on from there, {value}");
            let value = scan(&mut after, at + 20, 20.0).0;
            assert!((value - expected).abs() < 0.01, "{by_hand} {pause_ms}: goes on from there, {value}");
        }
    }
}

/// A switch that holds is off where its safe state is.
#[test]
fn promise_14_a_switch_that_holds_begins_safe_after_a_long_stop() {
    let rules = COMPRESSOR.replace("SAFE", "").replace(" }\n", ", bad_input = \"hold\" }\n");
    let mut before = controller(&rules);
    assert_eq!(scan(&mut before, 1_000, 45.0).0, 1.0);
    for (pause_ms, expected) in [(HOUR, 0.0), (20, 1.0)] {
        let (mut after, at) = (controller(&rules), 1_000 + pause_ms);
        after.restore(&before.snapshot(), at * MS).unwrap();
        after.scan(at * MS, &mut |_| ());
        assert_eq!(after.outputs()[0].value(), expected, "{pause_ms}");
        assert_eq!(scan(&mut after, at + 10, 45.0).0, expected, "{pause_ms}: rests, or runs on");
    }
}

/// For that time the watchdog held the outputs: nobody wants it made up for in one scan.
#[test]
fn promise_14_a_pause_is_not_made_up_for_in_one_scan() {
    let rules = [
        "ramp = { setpoint = 40.0, rate_per_s = 5.0 }",
        "pid = { input = \"temp\", setpoint = 30.0, form = \"parallel\", kp = 0.0, ki = 0.5, limits = [0, 100] }",
    ];
    for rule in rules {
        let mut c = controller(&format!("[[output]]\nname = \"belt\"\n{rule}\n"));
        for (ms, expected) in [(1_000, 0.0), (2_000, 5.0), (8_000, 5.0), (9_000, 10.0)] {
            if ms == 8_000 {
                c.stood_still();
            }
            assert_eq!(scan(&mut c, ms, 20.0).0, expected, "{rule} {ms}");
        }
    }
}

/// From code as from a file: a safe state that its controller cannot give is no safe state.
#[test]
fn promise_14_a_safe_state_outside_the_limits_of_its_pid_is_refused() {
    let law = |low| {
        let pid = Pid::isa(1.0, 20.0, 0.0).unwrap().output_limits(low, 100.0).unwrap();
        Law::Pid { pid, input: 0, setpoint: Setpoint::Value(50.0), bad_input: LoopBadInput::Hold }
    };
    let add = |low| {
        let mut builder = Controller::builder();
        builder.input(edge_filter::control::InputSpec::new("temp", 1_000).unwrap()).unwrap();
        builder.output(OutputSpec::new("valve", law(low))).map_err(|error| error.to_string())
    };
    assert_eq!(add(0.0), Ok(0));
    let same = OutputSpec::new("valve", law(10.0)).safe(0.0).unwrap_err().to_string();
    assert_eq!(add(10.0), Err(same));
}

#[test]
fn promise_14_a_value_by_hand_that_is_not_finite_is_refused() {
    let mut c = controller(
        "[[output]]\nname = \"valve\"\npid = { input = \"temp\", setpoint = 50.0, k = 1.0, ti_s = 20.0, limits = [0, 100] }\n",
    );
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        for mode in [PidMode::Manual(value), PidMode::Track(value)] {
            let done = c.command(ControlCommand::Mode { output: 0, mode }, MS, &mut |_| ());
            assert_eq!(done, Err(CommandError::NotFor), "{mode:?}");
        }
    }
    assert_eq!(scan(&mut c, 10, 20.0).1, Cause::Running);
    let manual = ControlCommand::Mode { output: 0, mode: PidMode::Manual(40.0) };
    assert_eq!(c.command(manual, 20 * MS, &mut |_| ()), Ok(()));
    assert_eq!(scan(&mut c, 30, 20.0), (40.0, Cause::Manual));
}

/// A board without a battery starts in 1970, and its clock is set meanwhile: how long ago the compressor stopped is not known.
#[test]
fn promise_14_the_least_time_of_a_switch_begins_anew_after_a_stop() {
    let rules = COMPRESSOR.replace("SAFE", "");
    let mut before = controller(&rules);
    for (ms, temp, expected) in [(1_000, 45.0, 1.0), (62_000, 20.0, 0.0)] {
        assert_eq!(scan(&mut before, ms, temp).0, expected, "{ms}");
    }
    let years = 50 * 365 * 24 * HOUR;
    for (pause_ms, over_ms) in
        [(years, 62_000 + years + 300_000), (HOUR, 62_000 + HOUR + 300_000), (20, 362_000)]
    {
        let mut after = controller(&rules);
        after.restore(&before.snapshot(), (62_000 + pause_ms) * MS).unwrap();
        for (ms, expected) in [(62_000 + pause_ms, 0.0), (over_ms - 1, 0.0), (over_ms, 1.0)] {
            assert_eq!(scan(&mut after, ms, 45.0).0, expected, "{pause_ms} {ms}");
        }
    }
    // One that never was on has nothing to wait for.
    let mut never = controller(&rules);
    scan(&mut never, 1_000, 35.0);
    let mut after = controller(&rules);
    after.restore(&never.snapshot(), HOUR * MS).unwrap();
    assert_eq!(scan(&mut after, HOUR, 45.0).0, 1.0);
}
