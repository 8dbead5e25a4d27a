//! Bumpless transfer: a change between manual, tracking and automatic makes no step in the output.

use super::step::is_usable;
use super::{Pid, PidState, PidStatus};

impl Pid {
    /// Sets the output to `value`, and the integral to match, so that an automatic scan continues from there without a
    /// bump.
    pub(super) fn follow(&self, state: &mut PidState, setpoint: f64, value: f64, status: PidStatus) -> f64 {
        let output = if value.is_nan() { self.last(state) } else { self.limited(value) };
        state.setpoint = Some(setpoint).filter(|value| is_usable(*value));
        (state.output, state.status) = (Some(output), status);
        output
    }

    /// Returns the integral with which automatic mode continues from the present output, whether an operator or the
    /// controller set it.
    pub(super) fn transferred(&self, state: &PidState, p: f64, d: f64) -> f64 {
        state.output.map_or_else(|| self.at_start(), |output| output - p - d)
    }
}
