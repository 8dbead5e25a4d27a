//! Quality checks of a rule, in their order. Each gives a reading a worse quality, drops it, or leaves it as it is.

use crate::check::{Hampel, HampelState, JumpReject, JumpRejectState, OutlierAction, Range, RangeAction};
use crate::qartod::{
    AttenuatedSignal, AttenuatedSignalState, FlatLine, FlatLineState, QartodFlag, RateOfChange,
    RateOfChangeState,
};
use crate::{Cost, DropReason, LossBound, Quality, Reading, Value};

/// Parameters of a rule's quality checks; `None` for a check that it does not have. The states of the checks are kept per sensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct QualityChecks {
    pub(super) range: Option<Range>,
    pub(super) rate_of_change: Option<(RateOfChange, RangeAction)>,
    pub(super) flat_line: Option<(FlatLine, RangeAction)>,
    pub(super) attenuated_signal: Option<(AttenuatedSignal, RangeAction)>,
    /// The Hampel test with a causal window; one with a centred window is in the `Lookahead`.
    pub(super) hampel: Option<(Hampel, OutlierAction)>,
    pub(super) jump_reject: Option<(JumpReject, RangeAction)>,
}

/// States of the quality checks per sensor. They are stored separately, because few sensors have any.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default))]
pub(super) struct QualityCheckStates {
    #[cfg_attr(feature = "config", serde(rename = "r", skip_serializing_if = "crate::value::is_default"))]
    rate_of_change: RateOfChangeState,
    #[cfg_attr(feature = "config", serde(rename = "f", skip_serializing_if = "crate::value::is_default"))]
    flat_line: FlatLineState,
    #[cfg_attr(feature = "config", serde(rename = "a", skip_serializing_if = "crate::value::is_default"))]
    attenuated_signal: AttenuatedSignalState,
    #[cfg_attr(feature = "config", serde(rename = "h", skip_serializing_if = "crate::value::is_default"))]
    hampel: HampelState,
    #[cfg_attr(feature = "config", serde(rename = "j", skip_serializing_if = "crate::value::is_default"))]
    jump_reject: JumpRejectState,
}

impl QualityChecks {
    /// Returns whether a sensor needs a [`QualityCheckStates`].
    pub(super) fn keeps_state(&self) -> bool {
        self.rate_of_change.is_some()
            || self.flat_line.is_some()
            || self.attenuated_signal.is_some()
            || self.hampel.is_some()
            || self.jump_reject.is_some()
    }

    /// Runs the range test, which has no state. `Err`: the reading is dropped.
    #[inline]
    pub(super) fn check_range(&self, reading: &mut Reading<'_>) -> Result<(), DropReason> {
        if let Some(range) = &self.range {
            reading.quality = range.check(&reading.value, reading.quality).ok_or(DropReason::OutOfRange)?;
        }
        Ok(())
    }

    /// Runs the other tests, for sensors that have a state for them. A value that one test made bad is missing for the next.
    pub(super) fn check(
        &self,
        state: &mut QualityCheckStates,
        reading: &mut Reading<'_>,
    ) -> Result<(), DropReason> {
        let (time, value, mut quality) = (reading.time, &mut reading.value, reading.quality);
        if let Some((test, action)) = &self.rate_of_change {
            let flag = test.check(&mut state.rate_of_change, measured(value, quality), time);
            quality = marked(flag, *action, quality, DropReason::RateOfChange)?;
        }
        if let Some((test, action)) = &self.flat_line {
            let flag = test.check(&mut state.flat_line, measured(value, quality));
            quality = marked(flag, *action, quality, DropReason::FlatLine)?;
        }
        if let Some((test, action)) = &self.attenuated_signal {
            let flag = test.check(&mut state.attenuated_signal, measured(value, quality), time);
            quality = marked(flag, *action, quality, DropReason::Attenuated)?;
        }
        // A boolean has no median, with which it would also change its type.
        if let Some((test, action)) = &self.hampel
            && !matches!(value, Value::Bool(_))
            && let Some(verdict) = test.check(&mut state.hampel, measured(value, quality))
        {
            let (median, after) = action.apply(verdict, quality).ok_or(DropReason::Outlier)?;
            quality = after;
            median.into_iter().for_each(|median| *value = Value::F64(median));
        }
        if let Some((test, action)) = &self.jump_reject {
            let measured = measured(value, quality);
            let jumped = measured.is_finite() && !test.check(&mut state.jump_reject, measured);
            let flag = if jumped { QartodFlag::Fail } else { QartodFlag::Good };
            quality = marked(flag, *action, quality, DropReason::Jump)?;
        }
        reading.quality = quality;
        Ok(())
    }

    /// Returns the most bytes that the windows of a sensor take.
    pub(super) fn window_bytes(&self) -> usize {
        let flat_line = self.flat_line.as_ref().map_or(0, |(stage, _)| stage.window_bytes());
        let attenuated = self.attenuated_signal.as_ref().map_or(0, |(stage, _)| stage.window_bytes());
        flat_line + attenuated + self.hampel.as_ref().map_or(0, |(stage, _)| stage.window_bytes())
    }

    /// Returns the most readings that are refused before a stage accepts a new level.
    pub(super) fn refused_max(&self) -> u32 {
        match &self.jump_reject {
            Some((stage, RangeAction::Drop)) => match stage.loss_bound() {
                LossBound::Readings(n) => n,
                _ => 0,
            },
            _ => 0,
        }
    }
}

impl QualityCheckStates {
    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(super) fn is_sound(&self) -> bool {
        let QualityCheckStates { rate_of_change: _, flat_line, attenuated_signal, hampel, jump_reject } =
            self;
        flat_line.is_sound() && attenuated_signal.is_sound() && hampel.is_sound() && jump_reject.is_sound()
    }
}

/// Returns the value for the tests; NaN if the quality is bad or the value is no number.
fn measured(value: &Value<'_>, quality: Quality) -> f64 {
    value.as_f64().filter(|_| !quality.is_bad()).unwrap_or(f64::NAN)
}

/// Applies the verdict of a test: a failed reading is dropped if the stage is set to drop, a suspect one never is.
pub(super) fn marked(
    flag: QartodFlag,
    action: RangeAction,
    quality: Quality,
    why: DropReason,
) -> Result<Quality, DropReason> {
    match (flag, action) {
        (QartodFlag::Fail, RangeAction::Drop) => Err(why),
        _ => Ok(flag.mark(quality)),
    }
}
