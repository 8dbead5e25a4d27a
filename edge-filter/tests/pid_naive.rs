//! Promise 14: over random tunings and histories the controller is the sum that a book writes down, computed here from the whole past at each scan's
//! inputs by a second program that shares no line with it; and the setpoint's ramp is not skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::Quality;
use edge_filter::pid::{AntiWindup, Pid, PidInput, PidMode, PidState, Ramp};
use support::{Rng, budget};

/// Tuning of a case; rates and limits may be absent.
#[derive(Clone, Copy, Debug)]
struct Tuning {
    kp: f64,
    ki: f64,
    kd: f64,
    tf: f64,
    beta: f64,
    gamma: f64,
    limits: (f64, f64),
    rate: f64,
    setpoint_rate: f64,
    /// `None`: clamp.
    tracking: Option<f64>,
}

/// The other program: parts of the sum as variables of their own, for the default forms.
#[derive(Clone, Copy, Debug, Default)]
struct Naive {
    integral: f64,
    derivative: f64,
    output: Option<f64>,
    setpoint: Option<f64>,
    x: f64,
    was_auto: bool,
}

impl Naive {
    fn scan(&mut self, t: &Tuning, (pv, wanted, hand): (f64, f64, Option<f64>), dt: f64) -> f64 {
        let (low, high) = t.limits;
        if !pv.is_finite() || hand.is_some() {
            let output = hand.or(self.output).unwrap_or(0.0).clamp(low, high);
            let from = self.setpoint.filter(|_| hand.is_none()).unwrap_or(wanted);
            self.setpoint = Some(from + (wanted - from).clamp(-t.setpoint_rate * dt, t.setpoint_rate * dt));
            (self.output, self.was_auto) = (Some(output), false);
            return output;
        }
        let from = self.setpoint.unwrap_or(wanted);
        let sp = from + (wanted - from).clamp(-t.setpoint_rate * dt, t.setpoint_rate * dt);
        let (x, p) = (t.gamma * sp - pv, t.kp * (t.beta * sp - pv));
        // Kd·s / (1 + s·Tf) with s = (1 - z⁻¹)/dt.
        self.derivative = if self.was_auto {
            (t.tf * self.derivative + t.kd * (x - self.x)) / (t.tf + dt)
        } else {
            let start = if t.tracking.is_none() { 0.0_f64.clamp(low, high) } else { 0.0 };
            self.integral = self.output.map_or(start, |output| output - p);
            0.0
        };
        let before = self.integral;
        self.integral += t.ki * (sp - pv) * dt;
        if t.tracking.is_none() {
            self.integral = self.integral.max(low.min(before)).min(high.max(before));
        }
        let sum = p + self.integral + self.derivative;
        let mut output = sum.clamp(low, high);
        if let Some(last) = self.output {
            output = last + (output - last).clamp(-t.rate * dt, t.rate * dt);
        }
        if let Some(tt) = t.tracking.filter(|_| t.ki != 0.0) {
            self.integral += (output - sum) * (dt / tt).min(1.0);
        }
        (self.output, self.setpoint, self.x, self.was_auto) = (Some(output), Some(sp), x, true);
        output
    }
}

fn unit(rng: &mut Rng) -> f64 {
    rng.below(1 << 30) as f64 / f64::from(1 << 30)
}

fn tuning(rng: &mut Rng) -> Tuning {
    let sign = rng.pick(&[1.0, 1.0, -1.0]);
    let part = |rng: &mut Rng, most: f64| if rng.below(4) == 0 { 0.0 } else { sign * most * unit(rng) };
    let low = -50.0 * unit(rng);
    let rate = |rng: &mut Rng| if rng.below(2) == 0 { 1e12 } else { 0.1 + 30.0 * unit(rng) };
    Tuning {
        kp: part(rng, 5.0),
        ki: part(rng, 2.0),
        kd: part(rng, 3.0),
        tf: 0.01 + unit(rng),
        beta: unit(rng),
        gamma: unit(rng),
        limits: (low, low + 1.0 + 100.0 * unit(rng)),
        rate: rate(rng),
        setpoint_rate: rate(rng),
        tracking: (rng.below(3) > 0).then(|| 0.05 + 10.0 * unit(rng)),
    }
}

fn controller(t: &Tuning) -> Pid {
    let pid = Pid::parallel(t.kp, t.ki, t.kd).unwrap().derivative_filter_s(t.tf).unwrap();
    let pid = pid.setpoint_weights(t.beta, t.gamma).unwrap().output_limits(t.limits.0, t.limits.1).unwrap();
    let pid = pid.output_rate(Ramp::per_s(t.rate).unwrap());
    let how = t.tracking.map_or(AntiWindup::Clamp, AntiWindup::TrackingTime);
    pid.setpoint_ramp(Ramp::per_s(t.setpoint_rate).unwrap()).anti_windup(how).unwrap()
}

type Scan = fn(&Pid, &mut PidState, &PidInput, f64) -> f64;

/// The first scan at which the two differ.
fn run(rng: &mut Rng, histories: u32, scan: Scan) -> Option<String> {
    for _ in 0..histories {
        let t = tuning(rng);
        let (pid, mut state, mut naive) = (controller(&t), PidState::default(), Naive::default());
        let (mut setpoint, mut hand, mut pv) = (20.0, None, 20.0);
        for row in 0..80 {
            setpoint = if rng.below(10) == 0 { 100.0 * unit(rng) } else { setpoint };
            hand = match rng.below(12) {
                0 => Some(200.0 * unit(rng) - 50.0),
                1..4 => None,
                _ => hand,
            };
            pv += 4.0 * unit(rng) - 2.0;
            let shown = if rng.below(15) == 0 { f64::NAN } else { pv };
            // Periods jitter, and some scans come late.
            let dt = rng.pick(&[0.1, 0.1, 0.1, 0.07, 0.13, 0.5, 2.0]);
            let mode = hand.map_or(PidMode::Auto, PidMode::Manual);
            let input = PidInput { pv: shown, quality: Quality::GOOD, setpoint, mode };
            let expected = naive.scan(&t, (shown, setpoint, hand), dt);
            let ours = scan(&pid, &mut state, &input, dt);
            // What differs by rounding differs by it again at each scan.
            let is_near = (ours - expected).abs() <= 1e-7;
            if !is_near {
                return Some(format!("scan {row}: {ours} is not {expected}: {t:?} {input:?}"));
            }
        }
    }
    None
}

#[test]
fn promise_14_any_tuning_over_any_history_is_the_sum_of_the_book() {
    let cases = budget(20_000);
    assert_eq!(run(&mut Rng::from_env(), cases, |pid, state, input, dt| pid.step(state, input, dt)), None);
    println!("executed filter pid beside a naive one: {cases} cases");
}

#[test]
fn planted_bugs_are_found() {
    let bugs: [(&str, Scan); 3] = [
        ("time runs 0.1 % fast", |pid, state, input, dt| pid.step(state, input, dt * 1.001)),
        ("bad input is a change of hands", |pid, state, input, dt| {
            if input.pv.is_nan() {
                let mode = PidMode::Hold;
                return pid.step(state, &PidInput { mode, ..*input }, dt);
            }
            pid.step(state, input, dt)
        }),
        ("a hand bumps", |pid, state, input, dt| {
            let output = pid.step(state, input, dt);
            if matches!(input.mode, PidMode::Manual(_)) {
                *state = PidState::default();
            }
            output
        }),
    ];
    for (bug, scan) in bugs {
        assert!(run(&mut Rng::from_env(), 500, scan).is_some(), "{bug} was not found");
    }
}

/// A furnace that is heated slowly is still heated slowly after a reading was lost, and a setpoint that is none leaves nothing behind.
#[test]
fn promise_14_bad_input_does_not_skip_the_ramp_of_the_setpoint() {
    let pid = Pid::parallel(1.0, 0.1, 0.0).unwrap().setpoint_ramp(Ramp::per_s(1.0).unwrap());
    for (pv, setpoint) in [(f64::NAN, 200.0), (20.0, f64::NAN), (20.0, f64::INFINITY), (20.0, 1e200)] {
        let mut state = PidState::default();
        let scan = |state: &mut PidState, pv, setpoint, mode| {
            pid.step(state, &PidInput { pv, quality: Quality::GOOD, setpoint, mode }, 1.0);
            state.setpoint()
        };
        assert_eq!(scan(&mut state, 20.0, 20.0, PidMode::Auto), Some(20.0));
        assert_eq!(scan(&mut state, 20.0, 200.0, PidMode::Auto), Some(21.0));
        let during = scan(&mut state, pv, setpoint, PidMode::Auto);
        assert_eq!(during, Some(if setpoint == 200.0 { 22.0 } else { 21.0 }), "{pv} {setpoint}");
        assert_eq!(scan(&mut state, 20.0, 200.0, PidMode::Auto), during.map(|at| at + 1.0));
        // By hand the setpoint is taken as it is, if it is one.
        let by_hand = scan(&mut state, 20.0, setpoint, PidMode::Manual(5.0));
        assert_eq!(by_hand, Some(setpoint).filter(|setpoint| *setpoint == 200.0));
    }
}
