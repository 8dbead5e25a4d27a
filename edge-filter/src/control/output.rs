//! Output, and the law that drives it.

mod safe_state;

pub use safe_state::LoopBadInput;

use super::{Cause, CommandError, ControlEvent, Inputs};
use crate::Quality;
use crate::error::ParamError;
use crate::hysteresis_switch::{HysteresisSwitch, HysteresisSwitchState};
use crate::pid::{Pid, PidInput, PidMode, PidState, PidStatus, Ramp};

/// Definition of an output.
///
/// ```
/// use edge_filter::control::{Law, OutputSpec};
///
/// assert!(OutputSpec::new("line/valve", Law::Fixed(100.0)).safe(0.0).is_ok());
/// assert!(OutputSpec::new("line/valve", Law::Fixed(100.0)).safe(f64::NAN).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    pub(super) name: String,
    pub(super) safe: f64,
    pub(super) law: Law,
}

impl OutputSpec {
    /// Defines an output whose safe state is 0.
    #[must_use]
    pub fn new(name: impl Into<String>, law: Law) -> Self {
        OutputSpec { name: name.into(), safe: 0.0, law }
    }
}

/// Law that drives an output.
///
/// ```
/// use edge_filter::control::{Law, LoopBadInput};
/// use edge_filter::hysteresis_switch::HysteresisSwitch;
///
/// // On below 18 degrees, off above 20, at full power; off while input 0 is not good.
/// let (switch, bad_input) = (HysteresisSwitch::new(18.0, 20.0)?, LoopBadInput::Safe);
/// let law = Law::Switch { switch, input: 0, on_off: (100.0, 0.0), bad_input };
/// assert!(matches!(law, Law::Switch { input: 0, .. }));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Law {
    /// A constant value; only interlocks change the output.
    Fixed(f64),
    /// A PID controller. `bad_input` replaces the controller's own rule for bad input.
    Pid {
        /// Controller of the output.
        pid: Pid,
        /// Input that gives the process value.
        input: usize,
        /// Setpoint of the controller.
        setpoint: Setpoint,
        /// Behaviour while an input is not good.
        bad_input: LoopBadInput,
    },
    /// A two-point controller. [`LoopBadInput::Manual`] has the effect of `Safe` here.
    Switch {
        /// Switch of the output.
        switch: HysteresisSwitch,
        /// Input of the switch.
        input: usize,
        /// Values of the output when the switch is on, and when it is off.
        on_off: (f64, f64),
        /// Behaviour while the input is not good.
        bad_input: LoopBadInput,
    },
    /// A value that follows a setpoint at a limited rate.
    Ramp {
        /// Limit of the rate.
        ramp: Ramp,
        /// Setpoint that the output follows.
        setpoint: Setpoint,
    },
}

/// Source of a setpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Setpoint {
    /// A number, until a command changes it.
    Value(f64),
    /// An input; while it is not good, the loop behaves as with a bad process value.
    Input(usize),
}

/// State of an output that is kept over a restart.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct OutputState {
    value: f64,
    /// Setpoint as configured, and as an operator may have changed it. `None`: no command can change it.
    setpoint: Option<(f64, f64)>,
    mode: PidMode,
    pid: PidState,
    switch: HysteresisSwitchState,
}

/// One output and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    spec: OutputSpec,
    value: f64,
    cause: Cause,
    mode: PidMode,
    pid: PidState,
    switch: HysteresisSwitchState,
    /// Setpoint of the configuration; `None` if no command can change it.
    configured: Option<f64>,
    /// Value from the snapshot of a process that stopped just now, until the first scan: a ramp, or an output that holds its value, continues
    /// from it.
    resumed: Option<f64>,
    /// True if an interlock holds the output. The interlocks set it before each scan.
    pub(super) tripped: bool,
}

impl Output {
    pub(super) fn new(mut spec: OutputSpec) -> Result<Self, ParamError> {
        if let Law::Pid { pid, bad_input, .. } = &mut spec.law {
            *pid = pid.bad_input(bad_input.of_pid(spec.safe))?;
        }
        spec.check_safe(spec.safe)?;
        let (value, cause, mode) = (spec.safe, Cause::Cold, PidMode::Auto);
        let (pid, switch) = (PidState::default(), HysteresisSwitchState::default());
        let mut output =
            Output { spec, value, cause, mode, pid, switch, configured: None, resumed: None, tripped: false };
        output.configured = output.setpoint();
        Ok(output)
    }

    /// Name of the output.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the value that the actuator should have; always finite.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Returns the cause of the output's value.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the part of the state that is kept over a restart.
    pub(super) fn state(&self) -> OutputState {
        let Output { value, mode, pid, switch, .. } = self;
        let setpoint = self.configured.zip(self.setpoint());
        OutputState { value: *value, setpoint, mode: *mode, pid: *pid, switch: *switch }
    }

    /// Restores the state from a snapshot of an earlier process. The value stays safe until the next scan, which goes on from the kept value only
    /// if that is still where the actuator is: `goes_on`.
    pub(super) fn resume(&mut self, kept: &OutputState, goes_on: bool, now_ms: i64) {
        if !(kept.value.is_finite() && kept.mode.is_sound() && kept.pid.is_sound()) {
            return;
        }
        if let Some((configured, commanded)) = kept.setpoint
            && Some(configured) == self.configured
        {
            // The file has not said another one since. One that is no number is refused.
            let _ = self.set_setpoint(commanded);
        }
        (self.mode, self.switch) = (kept.mode, kept.switch.resumed(goes_on, now_ms));
        self.pid = if goes_on { kept.pid } else { kept.pid.begun_anew(self.spec.safe) };
        self.resumed = goes_on.then_some(kept.value);
    }

    /// Returns the lowest and the highest value that an operator can set; `None` if the output has no manual mode, because it has no PID
    /// controller.
    #[must_use]
    pub fn manual_range(&self) -> Option<(f64, f64)> {
        match &self.spec.law {
            Law::Pid { pid, .. } => Some(pid.limits()),
            _ => None,
        }
    }

    /// Returns whether the output has a switch that is on.
    pub(super) fn is_switched_on(&self) -> bool {
        self.switch.is_on()
    }

    /// Returns whether the output has a PID controller without an integral, which removes no lasting deviation.
    #[must_use]
    pub fn lacks_integral(&self) -> bool {
        matches!(&self.spec.law, Law::Pid { pid, .. } if !pid.integrates())
    }

    /// Returns whether a bad input leaves the output in manual mode, where it waits for an operator: [`LoopBadInput::Manual`] of a PID controller.
    /// So does each start at whose first scan there is no input, unless an interlock holds the output until one has come.
    #[must_use]
    pub fn waits_for_a_hand(&self) -> bool {
        matches!(self.spec.law, Law::Pid { bad_input: LoopBadInput::Manual, .. })
    }

    /// Returns the setpoint; `None` if a command cannot change it.
    #[must_use]
    pub fn setpoint(&self) -> Option<f64> {
        match self.spec.law {
            Law::Pid { setpoint: Setpoint::Value(value), .. }
            | Law::Ramp { setpoint: Setpoint::Value(value), .. } => Some(value),
            _ => None,
        }
    }

    /// Returns the setpoint of the configuration, whatever a command set since; `None` if a command cannot change it.
    #[must_use]
    pub fn configured_setpoint(&self) -> Option<f64> {
        self.configured
    }

    /// Returns the mode that a command chose for the PID controller; automatic unless one did.
    #[must_use]
    pub fn mode(&self) -> PidMode {
        self.mode
    }

    /// Returns the longest time between two scans that the output's PID controller integrates over; `None` if it has none.
    #[must_use]
    pub fn dt_max_s(&self) -> Option<f64> {
        match &self.spec.law {
            Law::Pid { pid, .. } => Some(pid.longest_dt_s()),
            _ => None,
        }
    }

    pub(super) fn scan(
        &mut self,
        inputs: &Inputs,
        now_ms: i64,
        dt_s: f64,
        number: u16,
        on: &mut impl FnMut(ControlEvent),
    ) {
        let (value, cause) = self.decide(inputs, now_ms, dt_s);
        // A law that gives no number has failed: there is no other answer than the safe state.
        let (value, cause) = if value.is_finite() { (value, cause) } else { self.safe_state() };
        // What a controller or a ramp computes changes with each scan; what a switch says is news.
        let has_flipped = matches!(self.spec.law, Law::Switch { .. }) && value != self.value;
        if cause != self.cause || has_flipped {
            on(ControlEvent::Output { output: number, value, cause, at_ms: now_ms });
        }
        (self.value, self.cause) = (value, cause);
    }

    fn decide(&mut self, inputs: &Inputs, now_ms: i64, dt_s: f64) -> (f64, Cause) {
        let (safe, tripped) = (self.safe_state(), self.tripped);
        let last = self.resumed.take().unwrap_or(self.value);
        let good = |setpoint: Setpoint| match setpoint {
            Setpoint::Value(value) => Some(value),
            Setpoint::Input(input) => inputs.good(input, now_ms),
        };
        match self.spec.law {
            Law::Fixed(_) if tripped => safe,
            Law::Fixed(value) => (value, Cause::Running),
            Law::Pid { pid, input, setpoint, .. } => {
                let mode = if tripped { PidMode::Track(self.spec.safe) } else { self.mode };
                let pv = inputs.good(input, now_ms).unwrap_or(f64::NAN);
                let setpoint = good(setpoint).unwrap_or(f64::NAN);
                let scan = PidInput { pv, quality: Quality::GOOD, setpoint, mode };
                self.scan_pid(&pid, &scan, dt_s)
            }
            Law::Switch { switch, input, on_off, bad_input } => {
                let Some(value) = inputs.good(input, now_ms).filter(|_| !tripped) else {
                    let holds = bad_input == LoopBadInput::Hold && !tripped;
                    let stays = if holds { (last, Cause::BadInput) } else { safe };
                    // A machine that the safe state stopped starts no sooner than after any other stop.
                    self.switch.switched(stays.0 == on_off.0, now_ms);
                    return stays;
                };
                let is_on = switch.check(&mut self.switch, value, Quality::GOOD, now_ms);
                (if is_on { on_off.0 } else { on_off.1 }, Cause::Running)
            }
            Law::Ramp { ramp, setpoint } => match good(setpoint).filter(|_| !tripped) {
                Some(target) => (ramp.step(last, target, dt_s), Cause::Running),
                None => safe,
            },
        }
    }

    fn scan_pid(&mut self, pid: &Pid, scan: &PidInput, dt_s: f64) -> (f64, Cause) {
        let is_first = self.pid.output().is_none();
        let mut value = pid.step(&mut self.pid, scan, dt_s);
        let status = self.pid.status();
        let stays = matches!(status, PidStatus::BadInput | PidStatus::Manual)
            && !matches!(scan.mode, PidMode::Manual(_));
        // Where the output is, before the controller has computed one, is the safe state.
        if is_first && stays {
            value = self.spec.safe;
            self.pid.rest_at(value);
        }
        match status {
            PidStatus::Tracking => (value, Cause::Interlock),
            // A controller that bad input has put to manual waits in the safe state, not where it happened to be.
            PidStatus::BadInput | PidStatus::Manual if self.pid.waits_for_a_hand() => {
                self.pid.rest_at(self.spec.safe);
                self.safe_state()
            }
            PidStatus::BadInput => (value, Cause::BadInput),
            PidStatus::Manual => (value, Cause::Manual),
            PidStatus::Auto | PidStatus::Cold => (value, Cause::Running),
        }
    }

    pub(super) fn set_mode(&mut self, mode: PidMode) -> Result<(), CommandError> {
        if !(mode.is_sound() && matches!(self.spec.law, Law::Pid { .. })) {
            return Err(CommandError::NotFor);
        }
        self.mode = mode;
        Ok(())
    }

    pub(super) fn set_setpoint(&mut self, value: f64) -> Result<(), CommandError> {
        match &mut self.spec.law {
            Law::Pid { setpoint: Setpoint::Value(setpoint), .. }
            | Law::Ramp { setpoint: Setpoint::Value(setpoint), .. }
                if value.is_finite() =>
            {
                *setpoint = value;
                Ok(())
            }
            _ => Err(CommandError::NotFor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kept state with a number that is not finite is refused as a whole.
    #[test]
    fn promise_14_a_kept_state_that_is_not_finite_is_refused() -> Result<(), ParamError> {
        let output = || Output::new(OutputSpec::new("a", Law::Fixed(1.0)).safe(5.0)?);
        let sound = OutputState { value: 7.0, mode: PidMode::Hold, ..output()?.state() };
        let mut resumed = output()?;
        resumed.resume(&sound, true, 0);
        assert_eq!((resumed.resumed, resumed.mode), (Some(7.0), PidMode::Hold));
        for spoilt in [
            OutputState { value: f64::NAN, ..sound.clone() },
            OutputState { value: f64::INFINITY, ..sound.clone() },
            OutputState { mode: PidMode::Manual(f64::NAN), ..sound.clone() },
            OutputState { mode: PidMode::Track(f64::INFINITY), ..sound },
        ] {
            let mut cold = output()?;
            cold.resume(&spoilt, true, 0);
            assert_eq!((cold.resumed, cold.mode, cold.value()), (None, PidMode::Auto, 5.0), "{spoilt:?}");
        }
        Ok(())
    }
}
