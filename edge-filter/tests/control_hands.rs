//! Promise 14: a controller that bad input has put to manual waits in the safe state for a hand, which finds the output there; changes are
//! told with the value that they bring.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Quality;
use edge_filter::control::{Cause, ControlCommand, ControlEvent, Controller};
use edge_filter::pid::PidMode;

const MS: u64 = 1_000_000;
const SAFE: f64 = 20.0;

const PLANT: &str = r#"
[[input]]
name = "temp"
stale_after_ms = 1000
[[output]]
name = "valve"
safe = 20.0
pid = { input = "temp", setpoint = 60.0, k = 2.0, ti_s = 20.0, limits = [0, 100], bad_input = "manual" }
"#;

/// Gives an input, and perhaps a mode, and scans; the output and its cause.
fn scan(c: &mut Controller, ms: u64, quality: Quality, mode: Option<PidMode>) -> (f64, Cause) {
    c.set_input(0, 30.0, quality, ms * MS);
    if let Some(mode) = mode {
        c.command(ControlCommand::Mode { output: 0, mode }, ms * MS, &mut |_| ()).unwrap();
    }
    c.scan(ms * MS, &mut |_| ());
    (c.outputs()[0].value(), c.outputs()[0].cause())
}

#[test]
fn promise_14_a_hand_takes_over_from_the_safe_state_and_automatic_goes_on_from_there() {
    let mut c = Controller::from_toml(PLANT).unwrap();
    let (running, cause) = scan(&mut c, 10, Quality::GOOD, None);
    assert!(running > SAFE + 30.0 && cause == Cause::Running, "{running} {cause:?}");
    let (bad, _) = scan(&mut c, 20, Quality::BAD, None);
    assert_eq!(bad, SAFE);
    let (waits, _) = scan(&mut c, 30, Quality::GOOD, None);
    assert_eq!(waits, SAFE, "good input alone ends nothing");
    assert_eq!(scan(&mut c, 40, Quality::GOOD, Some(PidMode::Hold)), (SAFE, Cause::Manual));
    let (value, cause) = scan(&mut c, 50, Quality::GOOD, Some(PidMode::Auto));
    assert!((value - SAFE).abs() < 0.1 && cause == Cause::Running, "{value} {cause:?}");
}

/// Who is told of a change of cause is told the output of now, not the one before.
#[test]
fn promise_14_a_change_of_an_output_is_told_with_its_new_value() {
    let (mut c, mut told) = (Controller::from_toml(PLANT).unwrap(), Vec::new());
    for (ms, quality) in [(10, Quality::GOOD), (20, Quality::BAD), (30, Quality::BAD)] {
        c.set_input(0, 30.0, quality, ms * MS);
        c.scan(ms * MS, &mut |event| match event {
            ControlEvent::Output { output, value, cause, .. } => told.push((output, value, cause)),
            other => panic!("{other:?}"),
        });
        let last = (0, c.outputs()[0].value(), c.outputs()[0].cause());
        assert_eq!(told.last(), Some(&last), "{ms}");
    }
    assert!(told[0].1 > SAFE && told[1] == (0, SAFE, Cause::BadInput) && told.len() == 2, "{told:?}");
}

/// Ended by hand before its time, it holds nothing any more; who ends one that there is not is told so.
#[test]
fn promise_14_a_bypass_that_a_hand_ended_hides_no_trip() {
    let rules = format!(
        "{PLANT}[[interlock]]\nname = \"hot\"\noutputs = [\"valve\"]\nmax_bypass_ms = 60000\n\
         trip_when = {{ input = \"temp\", above = 25 }}\nreset = \"auto\"\n"
    );
    let mut c = Controller::from_toml(&rules).unwrap();
    assert_eq!(scan(&mut c, 10, Quality::GOOD, None), (SAFE, Cause::Interlock));
    let command = |c: &mut Controller, command| c.command(command, 20 * MS, &mut |_| ());
    command(&mut c, ControlCommand::Bypass { interlock: 0, for_ms: 60_000 }).unwrap();
    assert_eq!(scan(&mut c, 30, Quality::GOOD, None).1, Cause::Running);
    command(&mut c, ControlCommand::EndBypass { interlock: 0 }).unwrap();
    assert_eq!(scan(&mut c, 40, Quality::GOOD, None), (SAFE, Cause::Interlock));
    assert!(command(&mut c, ControlCommand::EndBypass { interlock: 1 }).is_err());
}

/// On is 1 and off is 0 where the rules do not say.
#[test]
fn a_switch_without_values_is_one_and_zero() {
    let rules = "[[input]]\nname = \"temp\"\nstale_after_ms = 1000\n[[output]]\nname = \"fan\"\n\
                 switch = { input = \"temp\", on_at = 40.0, off_at = 35.0 }\n";
    let mut c = Controller::from_toml(rules).unwrap();
    for (ms, value, expected) in [(10, 34.0, 0.0), (20, 40.0, 1.0), (30, 36.0, 1.0), (40, 35.0, 0.0)] {
        c.set_input(0, value, Quality::GOOD, ms * MS);
        c.scan(ms * MS, &mut |_| ());
        assert_eq!(c.outputs()[0].value(), expected, "{value}");
    }
}
