//! Memory of a PID controller between scans.

/// State of a [`Pid`](crate::pid::Pid). By default the controller was never scanned.
///
/// ```
/// use edge_filter::Quality;
/// use edge_filter::pid::{Pid, PidInput, PidMode, PidState};
///
/// let pid = Pid::parallel(2.0, 0.1, 0.0)?.output_limits(0.0, 100.0)?;
/// let mut state = PidState::default(); // one per loop
/// let mut input = PidInput { pv: 18.5, quality: Quality::GOOD, setpoint: 21.0, mode: PidMode::Manual(40.0) };
/// assert_eq!(pid.step(&mut state, &input, 1.0), 40.0);
/// input.mode = PidMode::Auto; // goes on from the hand's 40, by one scan of the integral
/// assert!((pid.step(&mut state, &input, 1.0) - 40.25).abs() < 1e-9);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct PidState {
    /// Integral part, in the output's unit.
    pub(super) integral: f64,
    /// Accumulated proportional part in the output's unit, if the controller is proportional on measurement; otherwise unused.
    pub(super) proportional: f64,
    /// Last usable process value; `None` before the first automatic scan.
    pub(super) pv: Option<f64>,
    /// Input of the derivative after its filter.
    pub(super) filtered: Option<f64>,
    /// Setpoint after its ramp.
    pub(super) setpoint: Option<f64>,
    pub(super) output: Option<f64>,
    /// Event time of the last scan by [`Pid::update`](crate::pid::Pid::update).
    pub(super) time: Option<i64>,
    pub(super) status: PidStatus,
    /// True if bad input switched to manual; only an operator's own switch to manual ends that.
    pub(super) forced_manual: bool,
}

/// Origin of the last scan's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PidStatus {
    /// There was no scan yet.
    #[default]
    Cold,
    /// The algorithm computed the output.
    Auto,
    /// An operator set the output, or [`PidBadInput::Manual`](crate::pid::PidBadInput::Manual) keeps it.
    Manual,
    /// Another controller or an interlock set the output, which the controller tracks.
    Tracking,
    /// The rule for bad input set the output.
    BadInput,
}

impl PidState {
    /// Returns the last output; `None` before the first scan.
    #[must_use]
    pub fn output(&self) -> Option<f64> {
        self.output
    }

    /// Returns the origin of the output.
    #[must_use]
    pub fn status(&self) -> PidStatus {
        self.status
    }

    /// Returns the integral part, in the output's unit.
    #[must_use]
    pub fn integral(&self) -> f64 {
        self.integral
    }

    /// Returns the setpoint after its ramp; `None` if there was no usable one yet, or at the last scan of another mode than automatic.
    #[must_use]
    pub fn setpoint(&self) -> Option<f64> {
        self.setpoint
    }

    /// Returns whether every number in the state is finite, since a stored state may contain anything.
    pub(crate) fn is_sound(&self) -> bool {
        let always = [self.integral, self.proportional];
        let perhaps = [self.pv, self.filtered, self.setpoint, self.output];
        always.iter().chain(perhaps.iter().flatten()).all(|number| number.is_finite())
    }

    /// Returns whether bad input has switched to manual, and no operator has switched there since.
    pub(crate) fn waits_for_a_hand(&self) -> bool {
        self.forced_manual
    }

    /// Returns the state after a stop for which nothing was controlled: as before the first scan, but that a hand is still waited for, and that the
    /// output goes from `output` at its rate.
    pub(crate) fn begun_anew(self, output: f64) -> Self {
        PidState { forced_manual: self.forced_manual, output: Some(output), ..PidState::default() }
    }

    /// Stores the output that the application set while the controller waits in manual mode.
    pub(crate) fn rest_at(&mut self, output: f64) {
        self.output = Some(output);
    }
}
