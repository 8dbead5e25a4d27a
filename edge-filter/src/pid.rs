//! PID controller, positional, in the ISA and the parallel form. One scan is in `step`, its memory in `state`.

mod anti_windup;
mod bumpless_transfer;
mod rate_limit;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use anti_windup::AntiWindup;
pub use rate_limit::Ramp;
pub use state::{PidState, PidStatus};
pub use step::{PidInput, PidMode};

use crate::Cost;
use crate::error::{ParamError, width};

/// A PID controller: `u = P + I + D`, limited, never poisoned by a NaN, bumpless in every change of mode.
///
/// After Åström and Hägglund, *Advanced PID Control*, with `e = sp - pv`, `x = γ·sp - pv`:
///
/// * `P = Kp·(β·sp - pv)`; or on the measurement alone, accumulated: a step of the setpoint moves the integral only.
/// * `I` grows by `Ki·e·dt` before the output is made; it is kept in the output's unit, so a change of `Ki` bumps nothing.
/// * `D = Kd·dx/dt` through a first-order filter with the time constant `Tf`, by backward differences or exactly: see
///   [`DerivativeForm`].
/// * The output is limited, then limited in its rate; both feed the [`AntiWindup`].
/// * While the mode is not automatic, or the input is bad, `I` follows: the first automatic output is the last output
///   plus `Ki·e·dt`.
///
/// Without an integral (`Ki` = 0, `ti_s` infinite or left out) `I` stays where the last transfer put it: the output starts from where it was
/// (in a control loop from the safe value) and only follows changes of `P` and `D` from there. At a measurement of 40, a setpoint of 60 and `Kp` = 2 it
/// does not go to 40, and a lasting deviation stays. A controller that was never scanned is the exception: its first automatic output is `P`, with `I` = 0. A
/// fixed bias is the output from which it is switched to automatic: `PidMode::Manual(bias)` while the measurement is at the setpoint, then `Auto`.
///
/// `dt` is the caller's ([`Pid::step`]) or comes from event time ([`Pid::update`]). A `dt` of zero, negative or NaN leaves
/// the output as it is; one above `dt_max_s` does not move `I` and makes no `D`.
///
/// This is process control, not a safety function: use an independent, certified device for that.
///
/// ```
/// # use edge_filter::{*, pid::*};
/// let pid = Pid::isa(2.0, 30.0, 5.0)?.output_limits(0.0, 100.0)?;
/// let mut state = PidState::default();
/// let input = PidInput { pv: 18.5, quality: Quality::GOOD, setpoint: 21.0, mode: PidMode::Auto };
/// let valve = pid.step(&mut state, &input, 0.1);
/// assert!((0.0..=100.0).contains(&valve));
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pid {
    kp: f64,
    ki: f64,
    kd: f64,
    filter_s: f64,
    derivative_form: DerivativeForm,
    beta: f64,
    gamma: f64,
    on_measurement: bool,
    min: f64,
    max: f64,
    rate: Ramp,
    setpoint_ramp: Ramp,
    anti_windup: AntiWindup,
    dt_max_s: f64,
    bad_input: PidBadInput,
}

/// Discrete form of the filtered derivative `Kd·s / (1 + s·Tf)`. `Dₖ` is its value at a scan, `Δx` the change since the
/// scan before it, `dt` the time between the two. Both give the plain difference `Kd·Δx/dt` without a filter, both sum up
/// to `Kd` over a step, and neither rings; they differ where `Tf` is not much longer than the scans.
///
/// ```
/// # use edge_filter::{ParamError, pid::{DerivativeForm, Pid}};
/// let pid = Pid::isa(2.0, 30.0, 5.0)?.derivative_form(DerivativeForm::ZeroOrderHold);
/// # let _ = pid;
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DerivativeForm {
    /// `Dₖ = Tf/(Tf + dt)·Dₖ₋₁ + Kd/(Tf + dt)·Δx`: Åström and Hägglund, *PID Controllers: Theory, Design, and Tuning* (1995),
    /// backward differences; what most controllers do.
    #[default]
    BackwardDifference,
    /// `Dₖ = a·Dₖ₋₁ + (1 - a)·Kd·Δx/dt` with `a = e^(-dt/Tf)`: the filter solved exactly for a slope that is held from scan to
    /// scan (zero-order hold), whatever `dt`. The same book calls it ramp equivalence, since a ramp is differentiated
    /// without error.
    ZeroOrderHold,
}

/// Immediate effect on the output of a bad or NaN process value, or of a setpoint that is not finite.
///
/// ```
/// # use edge_filter::{ParamError, Quality, pid::{Pid, PidBadInput, PidInput, PidMode, PidState}};
/// let pid = Pid::isa(2.0, 30.0, 0.0)?.output_limits(0.0, 100.0)?.bad_input(PidBadInput::SafeValue(10.0))?;
/// let input = PidInput { pv: 18.5, quality: Quality::BAD, setpoint: 21.0, mode: PidMode::Auto };
/// assert_eq!(pid.step(&mut PidState::default(), &input, 0.1), 10.0);
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the three of the specification")]
pub enum PidBadInput {
    /// The output keeps its value, and control continues from there when the input is good again.
    #[default]
    Hold,
    /// The output goes to this value without regard to rate limits, and control continues from there when the input is
    /// good again.
    SafeValue(f64),
    /// The output keeps its value until an operator has switched to manual and back.
    Manual,
}

impl Pid {
    /// Creates a controller in the ISA standard form: gain `k`, integral time `ti_s` (infinity: none) and derivative time `td_s` (0: none) in
    /// seconds. The derivative is filtered with `Td/10`: see [`Pid::derivative_filter_s`].
    ///
    /// # Errors
    /// If a parameter is NaN, `k` or `td_s` is infinite, `ti_s` is not above 0, or `td_s` is negative.
    pub fn isa(k: f64, ti_s: f64, td_s: f64) -> Result<Self, ParamError> {
        if ti_s.is_nan() || ti_s <= 0.0 {
            return Err(ParamError::new("ti_s", "a number above 0", ti_s));
        }
        let td_s = width("td_s", td_s)?;
        let pid = Self::parallel(k, k / ti_s, k * td_s)?;
        pid.derivative_filter_s(td_s / 10.0)
    }

    /// Creates a controller in the parallel form: `Kp`, `Ki` per second, `Kd` in seconds. The derivative is not filtered. A process whose value
    /// falls when the output rises needs negative gains.
    ///
    /// # Errors
    /// If a gain is NaN or infinite.
    pub fn parallel(kp: f64, ki: f64, kd: f64) -> Result<Self, ParamError> {
        for (param, gain) in [("kp", kp), ("ki", ki), ("kd", kd)] {
            if !gain.is_finite() {
                return Err(ParamError::new(param, "a finite number", gain));
            }
        }
        Ok(Pid {
            kp,
            ki,
            kd,
            filter_s: 0.0,
            derivative_form: DerivativeForm::default(),
            beta: 1.0,
            gamma: 0.0,
            on_measurement: false,
            min: f64::MIN,
            max: f64::MAX,
            rate: Ramp::default(),
            setpoint_ramp: Ramp::default(),
            anti_windup: AntiWindup::default(),
            dt_max_s: f64::INFINITY,
            bad_input: PidBadInput::default(),
        })
    }

    /// Sets the time constant of the derivative's filter (`Tf`, `Td/N`) in seconds; 0 is no filter.
    ///
    /// # Errors
    /// If the time constant is NaN, infinite or negative.
    pub fn derivative_filter_s(mut self, tf_s: f64) -> Result<Self, ParamError> {
        self.filter_s = width("tf_s", tf_s)?;
        Ok(self)
    }

    /// Sets the discrete form of the filtered derivative. Default: backward differences.
    #[must_use]
    pub fn derivative_form(mut self, form: DerivativeForm) -> Self {
        self.derivative_form = form;
        self
    }

    /// Sets the share of the setpoint that enters `P` (β, default 1) and `D` (γ, default 0: derivative on the measurement; 1: on the error).
    ///
    /// # Errors
    /// If a weight is not within 0 to 1.
    pub fn setpoint_weights(mut self, beta: f64, gamma: f64) -> Result<Self, ParamError> {
        for (param, weight) in [("beta", beta), ("gamma", gamma)] {
            if !(0.0..=1.0).contains(&weight) {
                return Err(ParamError::new(param, "within 0 to 1", weight));
            }
        }
        (self.beta, self.gamma) = (beta, gamma);
        Ok(self)
    }

    /// Sets whether `P` accumulates from the changes of the measurement, starting at 0; β is not used then. Default false.
    #[must_use]
    pub fn proportional_on_measurement(mut self, yes: bool) -> Self {
        self.on_measurement = yes;
        self
    }

    /// Sets the limits of the output, in every mode. Default: every finite number.
    ///
    /// # Errors
    /// If a limit is NaN, or `min` is not below `max`.
    pub fn output_limits(mut self, min: f64, max: f64) -> Result<Self, ParamError> {
        if min.is_nan() || max.is_nan() || min >= max {
            return Err(ParamError::new("output_limits", "low below high", format_args!("{min} and {max}")));
        }
        (self.min, self.max) = (min.max(f64::MIN), max.min(f64::MAX));
        Ok(self)
    }

    /// Limits the rate of an automatic output. Default: no limit.
    #[must_use]
    pub fn output_rate(mut self, rate: Ramp) -> Self {
        self.rate = rate;
        self
    }

    /// Limits the rate of the setpoint inside the controller in automatic mode, over bad input too. Default: no limit.
    #[must_use]
    pub fn setpoint_ramp(mut self, rate: Ramp) -> Self {
        self.setpoint_ramp = rate;
        self
    }

    /// Sets the longest time between two scans, in seconds. Nothing is integrated or differentiated over a longer one. Default: no limit.
    ///
    /// # Errors
    /// If the time is NaN or not above 0.
    pub fn dt_max_s(mut self, dt_s: f64) -> Result<Self, ParamError> {
        if dt_s.is_nan() || dt_s <= 0.0 {
            return Err(ParamError::new("dt_max_s", "a number above 0", dt_s));
        }
        self.dt_max_s = dt_s;
        Ok(self)
    }

    /// Returns the longest time between two scans that is integrated over, in seconds.
    pub(crate) fn longest_dt_s(&self) -> f64 {
        self.dt_max_s
    }

    /// Sets the effect of input that cannot be used. Default: [`PidBadInput::Hold`].
    ///
    /// # Errors
    /// If the value of [`PidBadInput::SafeValue`] is NaN or infinite.
    pub fn bad_input(mut self, what: PidBadInput) -> Result<Self, ParamError> {
        if let PidBadInput::SafeValue(value) = what
            && !value.is_finite()
        {
            return Err(ParamError::new("safe_value", "a finite number", value));
        }
        self.bad_input = what;
        Ok(self)
    }

    /// Returns whether the controller has an integral gain other than 0.
    pub(crate) fn integrates(&self) -> bool {
        self.ki != 0.0
    }

    /// Returns whether the controller has a derivative with a filter.
    #[cfg(feature = "config")]
    pub(crate) fn filters_derivative(&self) -> bool {
        self.kd != 0.0 && self.filter_s > 0.0
    }

    /// Returns the lowest and the highest output.
    pub(crate) fn limits(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// Returns whether an output is within its limits.
    pub(crate) fn reaches(&self, output: f64) -> bool {
        (self.min..=self.max).contains(&output)
    }
}

/// No reading is held. After a crash the integral starts at 0, so switch to manual first for a bumpless start.
impl Cost for Pid {}
