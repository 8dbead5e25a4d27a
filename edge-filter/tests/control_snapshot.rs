//! Promise 14 over a restart: a controller that takes over what another kept goes on as that one would have; a trip and an
//! alarm that wait for a hand wait on; a snapshot that is anything else than one starts nothing.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::Quality;
use edge_filter::alarm::{AlarmCommand, AlarmLevel, AlarmState};
use edge_filter::control::{Cause, ControlCommand, ControlEvent, ControlSnapshot, Controller};
use edge_filter::pid::PidMode;
use support::{Rng, budget};

const MS: u64 = 1_000_000;
const START: u64 = 1_700_000_000_000 * MS;
const INPUTS: usize = 3;

const PLANT: &str = r#"
[[input]]
name = "temp"
stale_after_ms = 100
[[input]]
name = "wanted"
stale_after_ms = 250
[[input]]
name = "estop"
stale_after_ms = 60
[[output]]
name = "heater"
pid = { input = "temp", setpoint = 60.0, k = 2.0, ti_s = 2.0, td_s = 0.1, limits = [0, 100], rate_per_s = 500.0 }
[[output]]
name = "valve"
safe = 20.0
pid = { input = "temp", setpoint_input = "wanted", form = "parallel", kp = 0.5, ki = 0.2, limits = [0, 100], bad_input = "manual" }
[[output]]
name = "fan"
safe = 1.0
switch = { input = "temp", on_at = 60, off_at = 50, min_on_ms = 80, min_off_ms = 50, bad_input = "hold" }
[[output]]
name = "belt"
ramp = { setpoint_input = "wanted", rate_per_s = 50.0 }
[[interlock]]
name = "stop"
outputs = ["heater", "belt"]
trip_when = { input = "estop", is = false }
[[interlock]]
name = "hot"
outputs = ["valve"]
reset = "auto"
after_ms = 40
trip_when = { input = "temp", above = 90 }
[[alarm]]
match = "temp"
latch = true
re_alarm_ms = 200
high = { limit = 70, deadband = 2, on_delay_ms = 30, off_delay_ms = 20 }
low = { limit = 10 }
[[alarm]]
match = "temp"
hihi = { limit = 95 }
"#;

fn plant() -> Controller {
    Controller::from_toml(PLANT).unwrap()
}

/// Steps that the two controllers go through alike.
#[derive(Clone, Copy, Debug)]
enum Step {
    Set(usize, f64, Quality),
    Command(ControlCommand),
    Scan(u64),
}

fn step(rng: &mut Rng) -> Step {
    let value = rng.below(110) as f64;
    match rng.below(12) {
        0..=2 => Step::Set(0, value, rng.pick(&[Quality::GOOD, Quality::GOOD, Quality::GOOD, Quality::BAD])),
        3 => Step::Set(1, value, Quality::GOOD),
        4 | 5 => Step::Set(2, f64::from(u8::from(rng.below(8) > 0)), Quality::GOOD),
        6 => Step::Command(command(rng, value)),
        _ => Step::Scan(rng.pick(&[1, 10, 10, 10, 13, 40])),
    }
}

fn command(rng: &mut Rng, value: f64) -> ControlCommand {
    let alarm = |level, command| ControlCommand::Alarm { alarm: 0, level, command };
    match rng.below(8) {
        0..=2 => ControlCommand::Reset { interlock: 0 },
        3 => ControlCommand::Setpoint { output: 0, value },
        4 => {
            let modes = [PidMode::Auto, PidMode::Manual(value), PidMode::Hold];
            ControlCommand::Mode { output: rng.below(2) as u16, mode: rng.pick(&modes) }
        }
        5 => alarm(AlarmLevel::High, AlarmCommand::Reset),
        6 => alarm(AlarmLevel::Low, AlarmCommand::Shelve { for_ms: 1 + value as i64 * 3 }),
        _ => alarm(AlarmLevel::High, AlarmCommand::Unshelve),
    }
}

/// Both inputs and what happens.
#[derive(Clone)]
struct Run {
    controller: Controller,
    inputs: [Option<(f64, Quality, u64)>; INPUTS],
    now: u64,
    transitions: Vec<u64>,
}

impl Run {
    fn new() -> Self {
        Run { controller: plant(), inputs: [None; INPUTS], now: START, transitions: Vec::new() }
    }

    fn take(&mut self, step: Step) -> Vec<ControlEvent> {
        let mut events = Vec::new();
        match step {
            Step::Set(input, value, quality) => {
                self.inputs[input] = Some((value, quality, self.now));
                self.controller.set_input(input, value, quality, self.now);
            }
            Step::Command(command) => {
                let _ = self.controller.command(command, self.now, &mut |event| events.push(event));
            }
            Step::Scan(ms) => {
                self.now += ms * MS;
                self.controller.scan(self.now, &mut |event| events.push(event));
            }
        }
        for event in &events {
            if let ControlEvent::Alarm { alarm: 0, transition } = event {
                self.transitions.push(transition.transition);
            }
        }
        events
    }

    /// Everything that can be seen of it.
    fn outputs(&self) -> Vec<(f64, &str)> {
        self.controller.outputs().iter().map(|output| (output.value(), output.cause().as_str())).collect()
    }

    /// Another process goes on from what this one wrote: its sensors say again what they said.
    fn restarted(&self, spoil: impl Fn(&mut ControlSnapshot)) -> Run {
        let mut bytes = Vec::new();
        ciborium::into_writer(&self.controller.snapshot(), &mut bytes).unwrap();
        let mut snapshot: ControlSnapshot = ciborium::from_reader(bytes.as_slice()).unwrap();
        spoil(&mut snapshot);
        let mut next = Run { controller: plant(), ..self.clone() };
        next.controller.restore(&snapshot, self.now).unwrap();
        for (number, input) in self.inputs.iter().enumerate() {
            if let Some((value, quality, at)) = *input {
                next.controller.set_input(number, value, quality, at);
            }
        }
        next
    }
}

/// Returns whether a run that is cut somewhere goes on in another way: what differed.
fn differs(rng: &mut Rng, spoil: impl Fn(&mut ControlSnapshot) + Copy) -> Option<String> {
    let mut run = Run::new();
    for _ in 0..rng.below(120) {
        let next = step(rng);
        run.take(next);
    }
    // A restart ends what a scan says for the first time.
    run.take(Step::Scan(10));
    let mut other = run.restarted(spoil);
    assert!(other.controller.outputs().iter().all(|output| output.value() == output.safe()));
    for n in 0..80 {
        let next = step(rng);
        let (one, two) = (run.take(next), other.take(next));
        let alarms = |all: &[ControlEvent]| -> Vec<ControlEvent> {
            all.iter().filter(|event| matches!(event, ControlEvent::Alarm { .. })).copied().collect()
        };
        let scanned = matches!(next, Step::Scan(_));
        if alarms(&one) != alarms(&two) || scanned && run.outputs() != other.outputs() {
            return Some(format!(
                "{n}: {next:?}\n{:?}\n{:?}\n{one:?}\n{two:?}",
                run.outputs(),
                other.outputs()
            ));
        }
    }
    None
}

#[test]
fn promise_14_a_restored_controller_goes_on_as_the_one_before() {
    let (mut rng, cases) = (Rng::from_env(), budget(20_000));
    for case in 0..cases {
        if let Some(difference) = differs(&mut rng, |_| ()) {
            panic!("case {case}, step {difference}");
        }
    }
    println!("executed control_snapshot: {cases} cases");
}

/// The negative control: what is not taken over is noticed.
#[test]
fn a_state_that_is_not_kept_is_found() {
    let mut rng = Rng::from_env();
    let cold = plant().snapshot();
    assert!((0..2_000).any(|_| differs(&mut rng, |snapshot| *snapshot = cold.clone()).is_some()));
}

#[test]
fn a_snapshot_is_written_again_in_place() {
    let mut run = Run::new();
    let mut again = run.controller.snapshot();
    let mut rng = Rng::from_env();
    (0..200).for_each(|_| drop(run.take(step(&mut rng))));
    run.controller.snapshot_into(&mut again);
    assert_eq!(again, run.controller.snapshot());
}

/// A trip and an unacknowledged alarm do not end with the power; nothing runs by itself afterwards.
#[test]
fn promise_14_a_trip_and_an_alarm_wait_for_a_hand_over_a_restart() {
    let mut run = Run::new();
    let healthy = |run: &mut Run| {
        for (input, value) in [(0, 50.0), (1, 10.0), (2, 1.0)] {
            run.take(Step::Set(input, value, Quality::GOOD));
        }
        run.take(Step::Scan(10));
    };
    healthy(&mut run);
    run.take(Step::Command(ControlCommand::Reset { interlock: 0 }));
    healthy(&mut run);
    assert_eq!(run.outputs()[3].1, "running");
    run.take(Step::Set(0, 80.0, Quality::GOOD));
    (0..4).for_each(|_| drop(run.take(Step::Scan(10))));
    let occurrence = *run.transitions.last().expect("the alarm was raised");
    let before = run.controller.changes();
    run.take(Step::Scan(1));
    assert_eq!(run.controller.changes(), before, "nothing new to be kept");

    // The power was away for an hour; the first scan is before the first sensor.
    let mut back =
        Run { controller: plant(), inputs: [None; INPUTS], now: run.now + 3_600_000 * MS, ..run.clone() };
    back.controller.restore(&run.controller.snapshot(), back.now).unwrap();
    back.take(Step::Scan(10));
    assert!(
        back.controller.outputs().iter().all(|o| o.name() == "fan" || o.value() == o.safe()),
        "{:?}",
        back.outputs()
    );
    healthy(&mut back);
    assert_eq!(back.outputs()[3].1, "interlock", "it does not run by itself");
    let late = AlarmCommand::Acknowledge { transition: occurrence };
    let ack = ControlCommand::Alarm { alarm: 0, level: AlarmLevel::High, command: late };
    let mut states = Vec::new();
    back.controller
        .command(ack, back.now, &mut |event| {
            if let ControlEvent::Alarm { transition, .. } = event {
                states.push((transition.from, transition.to));
            }
        })
        .unwrap();
    assert!(
        matches!(states[..], [(_, AlarmState::Acknowledged | AlarmState::LatchedAcknowledged)]),
        "{states:?}"
    );

    // Without the snapshot the alarm is forgotten: what the test sees is the snapshot's work.
    let mut cold = plant();
    assert!(cold.command(ack, back.now, &mut |_| ()).is_err());
    // A trip stays one, whatever else is restored.
    run.take(Step::Set(2, 0.0, Quality::GOOD));
    run.take(Step::Scan(1));
    let mut back = run.restarted(|_| ());
    healthy(&mut back);
    assert_eq!(back.outputs()[3].1, "interlock");
}

/// Any byte of a stored snapshot may be another: no panic, no output that is no number, no trip that ends by it alone.
#[test]
fn a_damaged_snapshot_is_no_panic_and_no_number_that_is_none() {
    let mut run = Run::new();
    let mut rng = Rng::from_env();
    (0..300).for_each(|_| drop(run.take(step(&mut rng))));
    let mut bytes = Vec::new();
    ciborium::into_writer(&run.controller.snapshot(), &mut bytes).unwrap();
    let (mut read, flips) = (0, if budget(100) >= 100 { 255 } else { 25 });
    for at in 0..bytes.len() {
        for _ in 0..flips {
            let flip = 1 + rng.below(255) as u8;
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let Ok(snapshot) = ciborium::from_reader::<ControlSnapshot, _>(damaged.as_slice()) else {
                continue;
            };
            let mut next = Run { controller: plant(), ..run.clone() };
            if next.controller.restore(&snapshot, run.now).is_err() {
                continue;
            }
            read += 1;
            for _ in 0..20 {
                let step = step(&mut rng);
                next.take(step);
                assert!(next.controller.outputs().iter().all(|output| output.value().is_finite()));
            }
        }
    }
    assert!(read > 0, "some were taken for snapshots");
    println!("executed control_snapshot_damage: {} cases", bytes.len() * flips);
}

/// Puts `none` in the place of the number that `left` others go before; tells whether there was one.
fn spoil(value: &mut ciborium::Value, left: &mut usize, none: f64) -> bool {
    match value {
        ciborium::Value::Float(number) if *left == 0 => {
            *number = none;
            true
        }
        ciborium::Value::Float(_) => {
            *left -= 1;
            false
        }
        ciborium::Value::Array(of) => of.iter_mut().any(|value| spoil(value, left, none)),
        ciborium::Value::Map(of) => of.iter_mut().any(|(_, value)| spoil(value, left, none)),
        _ => false,
    }
}

/// The output of it starts cold, and runs.
#[test]
fn promise_14_a_stored_number_that_is_none_comes_to_no_output() {
    fn scan(run: &mut Run) {
        let good = |(input, value)| Step::Set(input, value, Quality::GOOD);
        [(0, 50.0), (1, 55.0), (2, 1.0)].map(good).into_iter().for_each(|step| drop(run.take(step)));
        run.take(Step::Scan(10));
    }
    let mut run = Run::new();
    (0..50).for_each(|_| scan(&mut run));
    let stored = ciborium::Value::serialized(&run.controller.snapshot()).unwrap();
    for none in [f64::NAN, f64::INFINITY] {
        let spoiled = |at: usize| {
            let (mut value, mut left) = (stored.clone(), at);
            spoil(&mut value, &mut left, none).then_some(value)
        };
        let numbers = (0..).map_while(spoiled).map(|value| {
            let mut next = Run { controller: plant(), ..run.clone() };
            next.controller.restore(&value.deserialized().unwrap(), run.now).unwrap();
            (0..20).for_each(|_| scan(&mut next));
            let outputs = next.outputs();
            assert!(outputs.iter().all(|(value, _)| value.is_finite()), "{outputs:?}");
            assert_eq!(outputs[1].1, Cause::Running.as_str(), "{value:?}");
        });
        assert!(numbers.count() > 10);
    }
}

#[test]
fn another_version_changes_nothing() {
    let mut bytes = Vec::new();
    ciborium::into_writer(&plant().snapshot(), &mut bytes).unwrap();
    // The version's value, behind its key.
    let key = bytes.windows(7).position(|window| window == b"version").unwrap();
    bytes[key + 7] = 9;
    let snapshot: ControlSnapshot = ciborium::from_reader(bytes.as_slice()).unwrap();
    let error = plant().restore(&snapshot, START).unwrap_err();
    assert_eq!(error.to_string(), "the filter snapshot has version 9, this program reads version 1");
}

/// Bypasses of a run whose clock was at 1970 until the next start: nobody knows how long ago they ended, so the rest begins with the new run.
#[test]
fn promise_14_a_clock_that_was_behind_forgives_no_bypass() {
    const RULES: &str = "[[input]]\nname = \"estop\"\nstale_after_ms = 60\n[[output]]\nname = \"belt\"\nvalue = 1.0\n\
        [[interlock]]\nname = \"stop\"\noutputs = [\"belt\"]\nmax_bypass_ms = 1000\ntrip_when = { input = \"estop\", is = false }\n";
    let (early, bypass) = (1_000 * MS, |for_ms| ControlCommand::Bypass { interlock: 0, for_ms });
    for ended_before_the_kill in [false, true] {
        let mut first = Controller::from_toml(RULES).unwrap();
        first.command(bypass(1_000), early, &mut |_| ()).unwrap();
        let killed = early + if ended_before_the_kill { 1_500 * MS } else { 10 * MS };
        first.scan(killed, &mut |_| ());
        let mut next = Controller::from_toml(RULES).unwrap();
        next.restore(&first.snapshot(), START).unwrap();
        next.scan(START, &mut |_| ());
        for ms in [0, 1, 999] {
            next.command(bypass(1), START + ms * MS, &mut |_| ()).unwrap_err();
        }
        next.command(bypass(1_000), START + 1_000 * MS, &mut |_| ()).unwrap();
    }
}
