//! On change: passes the readings that differ from the last emitted one.

use super::last_emitted::LastEmitted;
use crate::error::{ParamError, delay, interval};
use crate::value::Tolerance;
use crate::{Cost, DropReason, EmitReason, ErrorBound, Quality, Value};

/// Stage that passes a reading when its value or its whole status differs from the last emitted one.
///
/// Floats are compared bit by bit, except that the two zeros are one value and all NaN are one. Unlike a
/// [`Deadband`](crate::reduce::Deadband) of 0, it compares values under a bad status too.
///
/// **Error bound**: 0, because suppressed readings are the same ([`OnChange::error_bound`]); within `min_interval_ms` there is none. **Loss
/// bound**: nothing is held.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{OnChange, OnChangeState};
/// let mut state = OnChangeState::default();
/// let on_change = OnChange::new();
/// assert!(on_change.check(&mut state, "run", Quality::GOOD, 0).is_some());
/// assert!(on_change.check(&mut state, "run", Quality::GOOD, 1).is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OnChange {
    min_interval_ms: i64,
    max_interval_ms: Option<i64>,
}

/// State of [`OnChange`] and [`Dedup`] per sensor when they are used alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct OnChangeState(pub(crate) LastEmitted);

impl OnChange {
    /// Creates a stage that lets every change pass.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Suppresses changes of value for `ms` after an emitted reading; 0 (default) suppresses none. Changes of status pass.
    ///
    /// # Errors
    /// If the time is negative, or more than `max_interval_ms`.
    pub fn min_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_interval_ms = delay("min_interval_ms", ms)?;
        crate::error::ordered("min_interval_ms", ms, self.min_interval_ms, self.max_interval_ms)?;
        Ok(self)
    }

    /// Lets a reading pass when nothing was emitted for `ms`; by default none passes for that.
    ///
    /// # Errors
    /// If the time is less than 1, or less than `min_interval_ms`.
    pub fn max_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_interval_ms = Some(interval("max_interval_ms", ms)?);
        crate::error::ordered("max_interval_ms", ms, self.min_interval_ms, self.max_interval_ms)?;
        Ok(self)
    }

    /// Returns whether the reading passes, and the reason.
    #[inline]
    pub fn check<'v>(
        &self,
        state: &mut OnChangeState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
    ) -> Option<EmitReason> {
        let (value, quality) = (value.into(), quality.into());
        let why = self.decide(&state.0, &value, quality, time).ok()?;
        state.0.emitted(&value, quality, time, true);
        Some(why)
    }

    #[inline]
    pub(crate) fn decide(
        &self,
        last: &LastEmitted,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
    ) -> Result<EmitReason, DropReason> {
        if let Some(why) = last.transition(value, quality, true) {
            return Ok(why);
        }
        let elapsed = last.elapsed(time);
        // The class is the last one: two infinities of one sign, or two NaN, are the same value.
        let number = !matches!(value, Value::F64(v) if !v.is_finite());
        match (number && last.moved(&Tolerance::ZERO, value), (0..self.min_interval_ms).contains(&elapsed)) {
            (true, false) => Ok(EmitReason::Change),
            (true, true) => Err(DropReason::MinInterval),
            (false, _) if self.max_interval_ms.is_some_and(|max| elapsed >= max) => {
                Ok(EmitReason::MaxInterval)
            }
            (false, _) => Err(DropReason::Unchanged),
        }
    }
}

impl Cost for OnChange {
    fn error_bound(&self) -> ErrorBound {
        match self.min_interval_ms {
            0 => ErrorBound::Exact,
            min_interval_ms => ErrorBound::AbsoluteAfter { max_error: 0.0, min_interval_ms },
        }
    }
}

/// Stage that drops a reading with the value and status of the last emitted one within a time. It is for retransmissions, and for sources that
/// publish every second a value that changes twice a day.
///
/// Only event time decides, so data that comes late after an outage is treated as it would have been in time. **Error bound**: 0, because
/// dropped readings are the same. **Loss bound**: nothing is held.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{Dedup, OnChangeState};
/// let mut state = OnChangeState::default();
/// let dedup = Dedup::within_ms(60_000)?;
/// assert!(dedup.check(&mut state, 20.0, Quality::GOOD, 0).is_some());
/// assert!(dedup.check(&mut state, 20.0, Quality::GOOD, 59_999).is_none());
/// assert!(dedup.check(&mut state, 20.0, Quality::GOOD, 60_000).is_some());
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dedup(OnChange);

impl Dedup {
    /// Creates a stage that lets the same value pass again when `ms` have passed since the last emitted reading.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn within_ms(ms: i64) -> Result<Self, ParamError> {
        let max_interval_ms = Some(interval("within_ms", ms)?);
        Ok(Dedup(OnChange { min_interval_ms: 0, max_interval_ms }))
    }

    /// Returns whether the reading passes, and the reason.
    #[inline]
    pub fn check<'v>(
        &self,
        state: &mut OnChangeState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
    ) -> Option<EmitReason> {
        self.0.check(state, value, quality, time)
    }

    #[inline]
    pub(crate) fn decide(
        &self,
        last: &LastEmitted,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
    ) -> Result<EmitReason, DropReason> {
        self.0.decide(last, value, quality, time).map_err(|_| DropReason::Duplicate)
    }
}

impl Cost for Dedup {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_is_suppressed() {
        let (stage, mut state) = (OnChange::new(), OnChangeState::default());
        let bad = Quality::BAD;
        let mut check = |value: Value<'_>, quality, time| stage.check(&mut state, value, quality, time);
        use EmitReason as E;
        for (row, (value, quality, expected)) in [
            (Value::F64(0.0), Quality::GOOD, Some(E::First)),
            (Value::F64(-0.0), Quality::GOOD, None),
            (Value::F64(5e-324), Quality::GOOD, Some(E::Change)),
            (Value::F64(f64::NAN), Quality::GOOD, Some(E::NanEnter)),
            (Value::F64(-f64::NAN), Quality::GOOD, None),
            (Value::F64(f64::INFINITY), Quality::GOOD, Some(E::NanEnter)),
            (Value::F64(f64::INFINITY), Quality::GOOD, None),
            (Value::F64(1.0), Quality::GOOD, Some(E::NanExit)),
            (Value::F64(1.0), bad, Some(E::StatusChange)),
            (Value::F64(2.0), bad, Some(E::Change)),
            (Value::F64(2.0), bad, None),
            (Value::Text("x".into()), bad, Some(E::Change)),
            (Value::Text("x".into()), bad, None),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(check(value, quality, row as i64), expected, "row {row}");
        }
    }

    #[test]
    fn intervals_hold_back_values_and_let_repeats_pass() -> Result<(), ParamError> {
        let stage = OnChange::new().min_interval_ms(10)?.max_interval_ms(100)?;
        let mut state = OnChangeState::default();
        let mut check = |v: f64, time| stage.check(&mut state, v, Quality::GOOD, time);
        assert!(check(1.0, 0).is_some());
        assert_eq!(check(2.0, 9), None);
        assert_eq!(check(2.0, 10), Some(EmitReason::Change));
        assert_eq!(check(2.0, 109), None);
        assert_eq!(check(2.0, 110), Some(EmitReason::MaxInterval));
        assert!(stage.min_interval_ms(101).is_err() && Dedup::within_ms(0).is_err());
        Ok(())
    }
}
