//! The real-time quality tests of QARTOD (US IOOS), with the flags of `ioos_qc` 3.0.
//!
//! Every test takes one value at a time and answers with a [`QartodFlag`]. A value that is NaN or infinite is missing:
//! give a reading whose quality is bad as NaN. Thresholds compare strictly, spans include their bounds.

mod attenuated_signal;
mod extremes;
mod flag;
mod flat_line;
mod gross_range;
mod rate_of_change;
mod spike;

pub use attenuated_signal::{AttenuatedSignal, AttenuatedSignalState, Attenuation};
pub use flag::QartodFlag;
pub use flat_line::{FlatLine, FlatLineState};
pub use rate_of_change::{RateOfChange, RateOfChangeState};
pub use spike::{Spike, SpikeMethod, SpikeState};

use crate::error::{ParamError, width};

/// Thresholds of a test; each is finite and 0 or more if it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Thresholds {
    suspect: Option<f64>,
    fail: Option<f64>,
}

impl Thresholds {
    /// Creates the thresholds; refuses them if none is given, or one is negative or not finite. Each comes with the name of its parameter.
    fn new(
        suspect: (&'static str, Option<f64>),
        fail: (&'static str, Option<f64>),
    ) -> Result<Self, ParamError> {
        if suspect.1.is_none() && fail.1.is_none() {
            return Err(ParamError::new(suspect.0, "given, or the failing threshold", "neither"));
        }
        let checked = |(param, threshold): (_, Option<f64>)| threshold.map(|t| width(param, t)).transpose();
        Ok(Thresholds { suspect: checked(suspect)?, fail: checked(fail)? })
    }

    /// Returns the flag of a quantity that must not be above the thresholds.
    fn exceeded_by(&self, quantity: f64) -> QartodFlag {
        self.flag(|threshold| quantity > threshold)
    }

    /// Returns the flag of a quantity that must not be below the thresholds.
    fn missed_by(&self, quantity: f64) -> QartodFlag {
        self.flag(|threshold| quantity < threshold)
    }

    fn flag(&self, beyond: impl Fn(f64) -> bool) -> QartodFlag {
        if self.fail.is_some_and(&beyond) {
            QartodFlag::Fail
        } else if self.suspect.is_some_and(beyond) {
            QartodFlag::Suspect
        } else {
            QartodFlag::Good
        }
    }
}
