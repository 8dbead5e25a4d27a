//! Promise 14: over random controllers, inputs and changes of mode the output is finite and within its limits, never
//! jumps where it must not, and leaves a limit as soon as the error turns. Planted bugs are found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::Quality;
use edge_filter::pid::{
    AntiWindup, DerivativeForm, Pid, PidBadInput, PidInput, PidMode, PidState, PidStatus, Ramp,
};
use support::{Rng, budget};

const MIN: f64 = -20.0;
const MAX: f64 = 100.0;
const RATE: f64 = 40.0;

fn unit(rng: &mut Rng) -> f64 {
    rng.below(1 << 30) as f64 / f64::from(1 << 30)
}

fn controller(rng: &mut Rng) -> (Pid, f64) {
    let sign = if rng.below(4) == 0 { -1.0 } else { 1.0 };
    let (kp, ki, kd) = (sign * 5.0 * unit(rng), sign * 2.0 * unit(rng), sign * unit(rng));
    let pid = Pid::parallel(kp, ki, kd).unwrap().output_limits(MIN, MAX).unwrap();
    let pid = pid.derivative_filter_s(unit(rng)).unwrap().setpoint_weights(unit(rng), unit(rng)).unwrap();
    let how = [AntiWindup::BackCalculation, AntiWindup::TrackingTime(1.0), AntiWindup::Clamp];
    let what = [PidBadInput::Hold, PidBadInput::SafeValue(7.0), PidBadInput::Manual];
    let pid = pid.anti_windup(rng.pick(&how)).unwrap().bad_input(rng.pick(&what)).unwrap();
    let forms = [DerivativeForm::BackwardDifference, DerivativeForm::ZeroOrderHold];
    let pid = pid.derivative_form(rng.pick(&forms));
    let pid = pid.proportional_on_measurement(rng.below(4) == 0).dt_max_s(10.0).unwrap();
    (pid.output_rate(Ramp::per_s(RATE).unwrap()), ki)
}

fn number(rng: &mut Rng) -> f64 {
    match rng.below(12) {
        0 => rng.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324]),
        1 => f64::from_bits(rng.next()),
        _ => 200.0 * unit(rng) - 50.0,
    }
}

fn input(rng: &mut Rng) -> PidInput {
    let mode = match rng.below(8) {
        0 => PidMode::Manual(number(rng)),
        1 => PidMode::Hold,
        2 => PidMode::Track(number(rng)),
        _ => PidMode::Auto,
    };
    let quality = if rng.below(12) == 0 { Quality::BAD } else { Quality::GOOD };
    PidInput { pv: number(rng), quality, setpoint: number(rng), mode }
}

fn usable(input: &PidInput) -> bool {
    input.pv.abs() <= 1e100 && input.setpoint.abs() <= 1e100 && !input.quality.is_bad()
}

/// Judges a scan by its effect on the output, given the one before it. `None`: it was right.
fn wrong(
    ki: f64,
    last: Option<f64>,
    was: PidStatus,
    input: &PidInput,
    dt_s: f64,
    output: f64,
) -> Option<&'static str> {
    if !(MIN..=MAX).contains(&output) {
        return Some("outside the limits, or no number");
    }
    let (Some(last), PidMode::Auto) = (last, input.mode) else { return None };
    if !usable(input) {
        // Held, or its safe value.
        return (output != last && output != 7.0).then_some("bad input moved it");
    }
    let jump = (output - last).abs();
    let pull = (ki * (input.setpoint - input.pv) * dt_s.max(0.0)).abs();
    // The integral makes up for P: the sum has P's rounding.
    let rounding = 1e-12 * (input.pv.abs() + input.setpoint.abs());
    if was != PidStatus::Auto && jump > pull * (1.0 + 1e-6) + 1e-6 + rounding {
        return Some("a bump");
    }
    (jump > RATE * dt_s.max(0.0) * (1.0 + 1e-9) + 1e-9).then_some("faster than its rate")
}

type Scan = fn(&Pid, &mut PidState, &PidInput, f64) -> f64;

/// Random histories; the first thing that was wrong.
fn run(rng: &mut Rng, histories: u32, scan: Scan) -> Option<&'static str> {
    for _ in 0..histories {
        let ((pid, ki), mut state) = (controller(rng), PidState::default());
        let mut last = None;
        for _ in 0..60 {
            let input = input(rng);
            let dt_s = rng.pick(&[0.1, 0.1, 0.1, 0.5, 0.0, -1.0, f64::NAN, 20.0]);
            let was = state.status();
            let output = scan(&pid, &mut state, &input, dt_s);
            if let Some(what) = wrong(ki, last, was, &input, dt_s, output) {
                return Some(what);
            }
            last = Some(output);
        }
    }
    None
}

#[test]
fn promise_14_the_output_is_finite_limited_and_bumpless_over_any_history() {
    let cases = budget(40_000);
    assert_eq!(run(&mut Rng::from_env(), cases, |pid, state, input, dt| pid.step(state, input, dt)), None);
    println!("executed filter pid histories: {cases} cases");
}

#[test]
fn planted_bugs_are_found() {
    let bugs: [(&str, Scan); 4] = [
        ("a bump", |pid, state, input, dt| {
            // Comes back from manual with an empty integral.
            if state.status() == PidStatus::Manual && input.mode == PidMode::Auto {
                let output = state.output();
                *state = PidState::default();
                return output
                    .map_or(0.0, |last| last + (pid.step(state, input, dt) - last).clamp(-1.0, 1.0));
            }
            pid.step(state, input, dt)
        }),
        ("faster than its rate", |pid, state, input, dt| {
            pid.output_rate(Ramp::default()).step(state, input, dt)
        }),
        ("outside the limits, or no number", |pid, state, input, dt| {
            if input.pv.is_nan() { f64::NAN } else { pid.step(state, input, dt) }
        }),
        ("bad input moved it", |pid, state, input, dt| {
            let pid = pid.bad_input(PidBadInput::SafeValue(50.0)).unwrap();
            pid.step(state, input, dt)
        }),
    ];
    for (bug, scan) in bugs {
        assert!(run(&mut Rng::from_env(), 2_000, scan).is_some(), "{bug} was not found");
    }
}

/// Ten minutes at a limit, then the setpoint falls below the process value: with anti-windup the output leaves the limit
/// within a few seconds, without it takes as long as the windup did.
#[test]
fn promise_14_a_long_time_at_a_limit_is_not_paid_back() {
    let seconds_at_limit = |pid: Pid| {
        let mut state = PidState::default();
        let auto = |setpoint| PidInput { pv: 50.0, quality: Quality::GOOD, setpoint, mode: PidMode::Auto };
        for _ in 0..6_000 {
            assert!(pid.step(&mut state, &auto(200.0), 0.1) <= MAX);
        }
        (0..).find(|_| pid.step(&mut state, &auto(40.0), 0.1) < MAX).unwrap()
    };
    let pid = Pid::isa(1.0, 20.0, 0.0).unwrap().output_limits(MIN, MAX).unwrap();
    for how in [AntiWindup::BackCalculation, AntiWindup::TrackingTime(5.0), AntiWindup::Clamp] {
        assert!(seconds_at_limit(pid.anti_windup(how).unwrap()) < 30, "{how:?}");
    }
    // The negative control: tracking so slow that there is none.
    assert!(seconds_at_limit(pid.anti_windup(AntiWindup::TrackingTime(1e12)).unwrap()) > 1_000);
}

/// Limits of the rate of the setpoint and of the output, each without the other.
#[test]
fn promise_14_a_ramp_of_the_setpoint_slows_what_is_wanted_and_not_the_output() {
    let scan = |state: &mut PidState, pid: &Pid, setpoint| {
        let input = PidInput { pv: 0.0, quality: Quality::GOOD, setpoint, mode: PidMode::Auto };
        pid.step(state, &input, 0.1)
    };
    let pid = || Pid::parallel(50.0, 0.0, 0.0).unwrap().output_limits(MIN, MAX).unwrap();
    let slow = Ramp::per_s(1.0).unwrap();
    for (pid, wanted, output) in
        [(pid().setpoint_ramp(slow), 0.1, 5.0), (pid().output_rate(slow), 1.0, 0.1), (pid(), 1.0, 50.0)]
    {
        let mut state = PidState::default();
        scan(&mut state, &pid, 0.0);
        let value = scan(&mut state, &pid, 1.0);
        assert!((state.setpoint().unwrap() - wanted).abs() < 1e-9, "{state:?}");
        assert!((value - output).abs() < 1e-9, "{value} is not {output}");
    }
}
