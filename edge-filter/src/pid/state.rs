//! Memory of a PID controller from scan to scan.

/// State of a [`Pid`](crate::pid::Pid). The default is a controller that was never scanned.
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
    /// `P` as it was accumulated, if it is on the measurement.
    pub(super) proportional: f64,
    /// The last usable process value.
    pub(super) pv: Option<f64>,
    /// The derivative's input behind its filter.
    pub(super) filtered: Option<f64>,
    /// The setpoint behind its ramp.
    pub(super) setpoint: Option<f64>,
    pub(super) output: Option<f64>,
    /// Event time of the last scan by [`Pid::update`](crate::pid::Pid::update).
    pub(super) time: Option<i64>,
    pub(super) status: PidStatus,
    /// Bad input switched to manual; somebody has to switch there too.
    pub(super) forced_manual: bool,
}

/// Source of the last scan's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PidStatus {
    /// There was no scan.
    #[default]
    Cold,
    /// The algorithm gives the output.
    Auto,
    /// Somebody's hand, or [`PidBadInput::Manual`](crate::pid::PidBadInput::Manual).
    Manual,
    /// A signal that is tracked.
    Tracking,
    /// The rule for bad input.
    BadInput,
}

impl PidState {
    /// The last output; `None` before the first scan.
    #[must_use]
    pub fn output(&self) -> Option<f64> {
        self.output
    }

    /// Returns the source of the output.
    #[must_use]
    pub fn status(&self) -> PidStatus {
        self.status
    }

    /// The integral part, in the output's unit.
    #[must_use]
    pub fn integral(&self) -> f64 {
        self.integral
    }

    /// The setpoint as the controller sees it, behind its ramp.
    #[must_use]
    pub fn setpoint(&self) -> Option<f64> {
        self.setpoint
    }

    /// Returns whether every number in it is one: a state that was stored may be anything.
    pub(crate) fn is_sound(&self) -> bool {
        let always = [self.integral, self.proportional];
        let perhaps = [self.pv, self.filtered, self.setpoint, self.output];
        always.iter().chain(perhaps.iter().flatten()).all(|number| number.is_finite())
    }

    /// Returns whether bad input has switched to manual, and nobody has been there since.
    pub(crate) fn waits_for_a_hand(&self) -> bool {
        self.forced_manual
    }

    /// Sets the output that somebody else has while the controller waits.
    pub(crate) fn rest_at(&mut self, output: f64) {
        self.output = Some(output);
    }
}
