//! Transforms, the stages that alter a value: counter, and scale with its unit. They run on judged readings, before alarms and the reducer.

use crate::qartod::QartodFlag;
use crate::transform::{Count, Counter, CounterState, Scale};
use crate::{EmitReason, Quality, Reading, Value};

/// Transforms of a rule; `None` for one that it does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Transforms {
    pub(super) counter: Option<Counter>,
    pub(super) scale: Option<Scale>,
}

/// State of the transforms per sensor. It is stored separately, because few sensors have one.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(default))]
pub(super) struct TransformsState {
    counter: CounterState,
}

impl Transforms {
    /// Returns whether the rule has a transform.
    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.counter.is_some() || self.scale.is_some()
    }

    /// Returns whether a sensor needs a [`TransformsState`].
    pub(super) fn keeps_state(&self) -> bool {
        self.counter.is_some()
    }

    /// Alters value and quality in place. Returns a reason if the reading must pass the reducer whatever its value. `is_beside`: the reading is
    /// late, of the last one's time, or ahead of the clock, and changes no state.
    pub(super) fn apply(
        &self,
        state: Option<&mut TransformsState>,
        reading: &mut Reading<'_>,
        is_beside: bool,
    ) -> Option<EmitReason> {
        let mut forced = None;
        if let (Some(counter), Some(state)) = (&self.counter, state) {
            forced = count(counter, &mut state.counter, reading, is_beside);
        }
        if let Some(scale) = &self.scale {
            let was_finite = is_finite(&reading.value);
            let value = std::mem::replace(&mut reading.value, Value::Bool(false));
            reading.value = scale.apply(value);
            // No number too large for a float leaves as good. What was none before has the quality that the rule gave it.
            if was_finite && !is_finite(&reading.value) {
                reading.quality = QartodFlag::Fail.mark(reading.quality);
            }
        }
        forced
    }
}

fn is_finite(value: &Value<'_>) -> bool {
    !matches!(*value, Value::F64(number) if !number.is_finite())
}

/// Replaces the value by the counter's total. A bad reading, and one beside the series, counts nothing and gets the total so far, which is not
/// that of its time: a good one becomes uncertain. A value that the register cannot hold becomes bad.
fn count(
    counter: &Counter,
    state: &mut CounterState,
    reading: &mut Reading<'_>,
    is_beside: bool,
) -> Option<EmitReason> {
    let counted = whole(&reading.value).map(|raw| (raw, reading.time));
    let counted = match counted {
        _ if reading.quality.is_bad() || is_beside => None,
        Some((raw, time)) => Some(counter.check(state, raw, time)),
        None => Some(Count::TooLarge),
    };
    reading.value = Value::U64(state.total());
    match counted {
        Some(Count::Reset) => Some(EmitReason::CounterReset),
        Some(Count::TooLarge) => {
            reading.quality = QartodFlag::Fail.mark(reading.quality);
            None
        }
        None if reading.quality.is_good() => {
            reading.quality = Quality::UNCERTAIN_SUBSTITUTE;
            None
        }
        _ => None,
    }
}

/// Returns the value as an exact whole number; `None` if it is none or is negative.
fn whole(value: &Value<'_>) -> Option<u64> {
    match *value {
        Value::U64(v) => Some(v),
        Value::I64(v) => u64::try_from(v).ok(),
        Value::F64(v) if v.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&v) => Some(v as u64),
        Value::F64(_) | Value::Bool(_) | Value::Text(_) => None,
    }
}
