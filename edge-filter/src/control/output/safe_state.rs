//! Safe state of an output: its value before the first scan, while an interlock or a bad input demands it, and when its law fails.

use super::{Law, Output, OutputSpec};
use crate::control::Cause;
use crate::error::ParamError;
use crate::pid::PidBadInput;

/// Behaviour of an output while an input of its law is not good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[allow(clippy::exhaustive_enums, reason = "the three of the specification")]
pub enum LoopBadInput {
    /// The output goes to its safe state.
    #[default]
    Safe,
    /// The output keeps its value. With this choice alone the output does not go to its safe state, so choose it only
    /// where the last value is safe.
    Hold,
    /// The output goes to its safe state and stays there in manual mode, until an operator has switched to manual and
    /// back.
    Manual,
}

impl LoopBadInput {
    /// Returns the rule for a PID controller whose output has the safe value `safe`.
    pub(super) fn of_pid(self, safe: f64) -> PidBadInput {
        match self {
            LoopBadInput::Hold => PidBadInput::Hold,
            LoopBadInput::Safe => PidBadInput::SafeValue(safe),
            LoopBadInput::Manual => PidBadInput::Manual,
        }
    }
}

impl OutputSpec {
    /// Sets the output's safe state: before the first scan, while an interlock is not energised, while its input is not good, and when
    /// the loop does not run.
    ///
    /// # Errors
    /// If it is NaN or infinite, or outside the limits of its PID controller.
    pub fn safe(mut self, safe: f64) -> Result<Self, ParamError> {
        self.check_safe(safe)?;
        self.safe = safe;
        Ok(self)
    }

    /// Checks a safe state for this law; that of a definition without one is 0.
    pub(super) fn check_safe(&self, safe: f64) -> Result<(), ParamError> {
        if !safe.is_finite() {
            return Err(ParamError::new("safe", "a finite number", safe));
        }
        if let Law::Pid { pid, .. } = &self.law
            && !pid.reaches(safe)
        {
            return Err(ParamError::new("safe", "within the output's limits", safe));
        }
        Ok(())
    }
}

impl Output {
    /// Safe value of the output.
    #[must_use]
    pub fn safe(&self) -> f64 {
        self.spec.safe
    }

    /// Returns the safe value and its cause: the interlock if one has tripped, else a bad input.
    pub(super) fn safe_state(&self) -> (f64, Cause) {
        (self.spec.safe, if self.tripped { Cause::Interlock } else { Cause::BadInput })
    }
}
