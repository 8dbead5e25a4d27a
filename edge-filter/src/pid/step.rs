//! Scan of a PID controller.

use super::{DerivativeForm, Pid, PidBadInput, PidState, PidStatus};
use crate::Quality;

/// Largest number that counts as a measurement, because differences of larger ones overflow. A NaN does not count either.
const LARGEST: f64 = 1e100;

/// Inputs of a scan.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "callers build it with a literal; a new field is a new major version"
)]
pub struct PidInput {
    /// Process value of the loop.
    pub pv: f64,
    /// Quality of the process value; bad, NaN and values beyond ±1e100 act by [`Pid::bad_input`].
    pub quality: Quality,
    /// Setpoint of the loop.
    pub setpoint: f64,
    /// Owner of the output in this scan.
    pub mode: PidMode,
}

/// Owner of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[allow(clippy::exhaustive_enums, reason = "the algorithm, a hand, a hand that stays, or another signal")]
pub enum PidMode {
    /// The algorithm computes the output.
    Auto,
    /// An operator sets the output to this value, within its limits, whatever the input and its quality are.
    Manual(f64),
    /// An operator keeps the output where it is, bumpless from automatic, whatever the input and its quality are.
    Hold,
    /// Another controller, or an interlock, sets the output. Unlike `Manual`, it does not end a manual mode that bad input forced.
    Track(f64),
}

impl PidMode {
    /// Returns whether the value of a hand or of another controller, if there is one, is finite.
    pub(crate) fn is_sound(self) -> bool {
        match self {
            PidMode::Manual(value) | PidMode::Track(value) => value.is_finite(),
            PidMode::Auto | PidMode::Hold => true,
        }
    }
}

impl Pid {
    /// Runs one scan, `dt_s` seconds after the last. Returns the output, which is always finite and within its limits. It takes about 20 ns.
    pub fn step(&self, state: &mut PidState, input: &PidInput, dt_s: f64) -> f64 {
        // A hand ends the manual mode that bad input forced.
        state.forced_manual &= !matches!(input.mode, PidMode::Manual(_) | PidMode::Hold);
        match input.mode {
            PidMode::Auto if !state.forced_manual => self.automatic(state, input, dt_s),
            PidMode::Auto | PidMode::Hold => {
                self.follow(state, input.setpoint, self.last(state), PidStatus::Manual)
            }
            PidMode::Manual(value) => self.follow(state, input.setpoint, value, PidStatus::Manual),
            PidMode::Track(value) => self.follow(state, input.setpoint, value, PidStatus::Tracking),
        }
    }

    /// Runs a scan as [`Pid::step`] does, with the time since the last one from event times. The first scan has none, so it neither integrates
    /// nor differentiates. A time that is not after the last one leaves the output as it is.
    pub fn update(&self, state: &mut PidState, input: &PidInput, time_ms: i64) -> f64 {
        let dt_ms = state.time.map_or(0, |last| time_ms.saturating_sub(last));
        state.time = Some(state.time.map_or(time_ms, |last| last.max(time_ms)));
        self.step(state, input, dt_ms as f64 / 1000.0)
    }

    /// Returns the last output, or 0 before the first, within the limits.
    pub(super) fn last(&self, state: &PidState) -> f64 {
        self.limited(state.output.unwrap_or(0.0))
    }

    /// Returns the output within its limits. It is never called with `NaN`.
    pub(super) fn limited(&self, output: f64) -> f64 {
        output.max(self.min).min(self.max)
    }

    fn automatic(&self, state: &mut PidState, input: &PidInput, dt_s: f64) -> f64 {
        let PidInput { pv, quality, setpoint, .. } = *input;
        if !is_usable(pv) || !is_usable(setpoint) || quality.is_bad() {
            return self.bad(state, input, dt_s);
        }
        let goes_on = state.status == PidStatus::Auto;
        // NaN, zero and negative times: nothing passed.
        let dt_s = if dt_s > 0.0 { dt_s } else { 0.0 };
        if dt_s == 0.0 && goes_on {
            return self.last(state);
        }
        let (span_s, over) = if dt_s > self.dt_max_s { (0.0, true) } else { (dt_s, false) };
        let mut next = *state;
        let sp = self.setpoint_ramp.step(state.setpoint.unwrap_or(setpoint), setpoint, dt_s);
        next.setpoint = Some(sp);
        if !goes_on {
            // What was accumulated belongs to the integral now.
            (next.proportional, next.pv) = (0.0, None);
        }
        let p = self.proportional(&mut next, sp, pv);
        let before = state.setpoint.zip(state.pv).map(|(sp, pv)| self.gamma * sp - pv);
        let d = self.derivative(&mut next, (before, self.gamma * sp - pv), span_s, goes_on && !over);
        if !goes_on {
            next.integral = self.transferred(state, p, d);
        }
        next.integral = self.integrated(next.integral, self.ki * (sp - pv) * span_s);
        let wanted = p + next.integral + d;
        if !(p.is_finite() && d.is_finite() && next.integral.is_finite()) {
            return self.bad(state, input, dt_s);
        }
        let output = self.limited(wanted);
        let output = state.output.map_or(output, |last| self.rate.step(last, output, dt_s));
        let output = self.limited(output);
        let excess = (output - wanted) * self.back_share(span_s);
        next.integral = Some(next.integral + excess).filter(|i| i.is_finite()).unwrap_or(next.integral);
        next.pv = Some(pv);
        (next.output, next.status) = (Some(output), PidStatus::Auto);
        *state = next;
        output
    }

    fn proportional(&self, next: &mut PidState, sp: f64, pv: f64) -> f64 {
        if !self.on_measurement {
            return self.kp * (self.beta * sp - pv);
        }
        next.proportional -= self.kp * (pv - next.pv.unwrap_or(pv));
        next.proportional
    }

    /// Returns `Kd` times the filtered slope of `x`, in the form of [`DerivativeForm`]. `before`: `x` at the last scan.
    fn derivative(
        &self,
        next: &mut PidState,
        (before, x): (Option<f64>, f64),
        dt_s: f64,
        goes_on: bool,
    ) -> f64 {
        let Some(filtered) = next.filtered.filter(|_| goes_on && self.kd != 0.0 && dt_s > 0.0) else {
            next.filtered = Some(x);
            return 0.0;
        };
        if let (DerivativeForm::ZeroOrderHold, Some(before), true) =
            (self.derivative_form, before, self.filter_s > 0.0)
        {
            let scans = -dt_s / self.filter_s;
            let kept = scans.exp();
            // What a filter remembers that is faster than the scan is nothing, not nothing times infinity.
            let past = if kept > 0.0 { kept * (before - filtered) / self.filter_s } else { 0.0 };
            let slope = past - scans.exp_m1() * ((x - before) / dt_s);
            next.filtered = Some(x - slope * self.filter_s);
            return self.kd * slope;
        }
        let kept = self.filter_s / (self.filter_s + dt_s);
        next.filtered = Some(kept * filtered + (1.0 - kept) * x);
        self.kd * (x - filtered) / (self.filter_s + dt_s)
    }

    fn bad(&self, state: &mut PidState, input: &PidInput, dt_s: f64) -> f64 {
        let ramped = state.setpoint;
        state.forced_manual |= self.bad_input == PidBadInput::Manual;
        let value = if let PidBadInput::SafeValue(value) = self.bad_input { value } else { self.last(state) };
        let output = self.follow(state, input.setpoint, value, PidStatus::BadInput);
        // Nobody took the loop over, so the setpoint goes on by its ramp.
        if let Some(from) = ramped {
            state.setpoint = Some(self.setpoint_ramp.step(from, state.setpoint.unwrap_or(from), dt_s));
        }
        output
    }
}

/// Returns whether a number can be a measurement or a setpoint.
pub(super) fn is_usable(value: f64) -> bool {
    value.abs() <= LARGEST
}
