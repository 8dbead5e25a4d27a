//! Jump reject: refuses values that are too far from the last accepted one.

use crate::error::{ParamError, width};
use crate::{Cost, LossBound};

/// Accepts a value within `max_step` of the last accepted one (the rule of Node-RED's `narrowband`, `<=`).
///
/// A process that really jumped would be rejected for ever, so after `accept_after` rejections in a row (3 by default)
/// the next value is accepted and becomes the reference. NaN and the infinities are never accepted and do not count.
/// 16 bytes per sensor.
///
/// ```
/// # use edge_filter::check::{JumpReject, JumpRejectState};
/// let jump = JumpReject::new(5.0)?.accept_after(Some(2));
/// let mut state = JumpRejectState::default();
/// let accepted = [20.0, 85.0, 21.0, 85.0, 85.0, 85.0].map(|v| jump.check(&mut state, v));
/// assert_eq!(accepted, [true, false, true, false, false, true]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JumpReject {
    max_step: f64,
    accept_after: Option<u32>,
}

/// State of a [`JumpReject`] per sensor: the last accepted value. By default it has none, and accepts any finite value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct JumpRejectState {
    reference: Option<f64>,
    rejected: u32,
}

impl JumpRejectState {
    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.reference.is_none_or(f64::is_finite)
    }
}

impl JumpReject {
    /// Creates a check with the largest step that is accepted, in the unit of the sensor.
    ///
    /// # Errors
    /// If the step is NaN, infinite or negative.
    pub fn new(max_step: f64) -> Result<Self, ParamError> {
        Ok(JumpReject { max_step: width("max_step", max_step)?, accept_after: Some(3) })
    }

    /// Sets the number of rejections in a row after which the next value is accepted. `None`: values are rejected for ever once the process has
    /// jumped.
    #[must_use]
    pub fn accept_after(mut self, rejections: Option<u32>) -> Self {
        self.accept_after = rejections;
        self
    }

    /// Returns whether the value is accepted.
    pub fn check(&self, state: &mut JumpRejectState, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        let near = state.reference.is_none_or(|reference| (value - reference).abs() <= self.max_step);
        let patience_is_over = self.accept_after.is_some_and(|n| state.rejected >= n);
        if near || patience_is_over {
            *state = JumpRejectState { reference: Some(value), rejected: 0 };
            true
        } else {
            state.rejected = state.rejected.saturating_add(1);
            false
        }
    }
}

impl Cost for JumpReject {
    fn loss_bound(&self) -> LossBound {
        LossBound::Readings(self.accept_after.unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_exactly_the_limit_is_accepted_and_the_reference_follows() -> Result<(), ParamError> {
        let jump = JumpReject::new(5.0)?.accept_after(None);
        let mut state = JumpRejectState::default();
        let values = [10.0, 15.0, 20.0, 25.1, 14.9, f64::NAN, f64::INFINITY, 15.0, 30.0];
        let accepted = values.map(|v| jump.check(&mut state, v));
        assert_eq!(accepted, [true, true, true, false, false, false, false, true, false]);
        Ok(())
    }

    #[test]
    fn a_process_that_jumped_is_believed_in_the_end() -> Result<(), ParamError> {
        let jump = JumpReject::new(1.0)?;
        let mut state = JumpRejectState::default();
        let accepted: Vec<bool> =
            [0.0, 50.0, 50.0, f64::NAN, 50.0, 50.0, 50.5].map(|v| jump.check(&mut state, v)).into();
        assert_eq!(accepted, [true, false, false, false, false, true, true]);
        assert_eq!(jump.loss_bound(), LossBound::Readings(3));
        assert!(JumpReject::new(-1.0).is_err());
        Ok(())
    }
}
