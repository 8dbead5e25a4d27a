//! Deadband: report by exception.

use crate::error::{ParamError, delay, interval, span, width};
use crate::value::{Class, Tolerance};
use crate::{DropReason, EmitReason, ErrorBound, LossBound, Quality, Value};

/// Passes a reading when it differs from the last *emitted* good value by more than the tolerance.
///
/// The rule is that of OPC UA Part 4 §7.22.1, `|last - current| > deadband`, strict, with these corners settled:
///
/// * A change of the status (the whole 32-bit code) always passes, whatever the value and the intervals.
/// * While the status is bad, values are not compared and do not move the reference, so a failing sensor does not
///   flood the link. The first reading that is not bad passes and becomes the reference.
/// * Finite, NaN, +Inf and -Inf are four classes (EPICS): a change of class always passes; within one of the three
///   non-finite classes nothing does.
/// * Otherwise: emit if `elapsed >= min_interval` and (difference > tolerance or `elapsed >= max_interval`).
/// * Tolerance 0 means any change. Booleans and texts pass on any change. Integers are compared exactly.
/// * A percentage is of the engineering range, converted once to an absolute tolerance (Part 8 §6.2).
///
/// **Error bound**: held until the next emitted value, the last one is never further than the tolerance from a
/// suppressed reading ([`Deadband::error_bound`]); `min_interval` gives that up for its length. **Loss bound**: nothing
/// is held. 24 bytes of text-free value and 16 of bookkeeping per sensor; about a nanosecond per reading.
///
/// ```
/// # use edge_filter::{Deadband, DeadbandState, Quality};
/// let db = Deadband::absolute(0.5)?;
/// let mut state = DeadbandState::default();
/// assert!(db.check(&mut state, 20.0, Quality::GOOD, 0).is_some()); // the first always passes
/// assert!(db.check(&mut state, 20.5, Quality::GOOD, 1000).is_none());
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deadband {
    tolerance: Tolerance,
    min_interval_ms: i64,
    max_interval_ms: Option<i64>,
    uncertain_is_bad: bool,
}

/// What [`Deadband`] keeps per sensor: the last emitted reading. The default passes the next one as
/// [`EmitReason::First`].
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct DeadbandState {
    /// The last emitted usable value: never bad, always finite.
    #[cfg_attr(
        feature = "config",
        serde(rename = "r", default, skip_serializing_if = "crate::value::is_default")
    )]
    reference: Option<Value<'static>>,
    #[cfg_attr(
        feature = "config",
        serde(rename = "t", default, skip_serializing_if = "crate::value::is_default")
    )]
    emitted_at: i64,
    #[cfg_attr(
        feature = "config",
        serde(rename = "q", default, skip_serializing_if = "crate::value::is_default")
    )]
    status: Quality,
    #[cfg_attr(
        feature = "config",
        serde(rename = "c", default, skip_serializing_if = "crate::value::is_default")
    )]
    class: Class,
    #[cfg_attr(
        feature = "config",
        serde(rename = "s", default, skip_serializing_if = "crate::value::is_default")
    )]
    started: bool,
}

impl DeadbandState {
    /// The last emitted value that was usable (not bad, finite), if there was one.
    #[must_use]
    pub fn reference(&self) -> Option<&Value<'static>> {
        self.reference.as_ref()
    }

    /// The status of the last emitted reading; `None` before the first.
    #[must_use]
    pub fn status(&self) -> Option<Quality> {
        self.started.then_some(self.status)
    }

    /// Records an emitted reading; only a `usable` value becomes the reference.
    pub(crate) fn emitted(&mut self, value: &Value<'_>, quality: Quality, time: i64, usable: bool) {
        self.class = value.class();
        if usable && self.class == Class::Finite {
            match &mut self.reference {
                Some(reference) => reference.assign(value),
                None => self.reference = Some(value.clone().into_owned()),
            }
        }
        self.status = quality;
        self.emitted_at = time;
        self.started = true;
    }

    /// The status became `quality` without a reading.
    pub(crate) fn restate(&mut self, quality: Quality) {
        self.status = quality;
    }
}

impl Deadband {
    /// A tolerance in the unit of the sensor.
    ///
    /// # Errors
    /// If it is NaN, infinite or negative.
    pub fn absolute(tolerance: f64) -> Result<Self, ParamError> {
        let tolerance = Tolerance::new(width("absolute", tolerance)?);
        Ok(Deadband { tolerance, min_interval_ms: 0, max_interval_ms: None, uncertain_is_bad: false })
    }

    /// A tolerance in percent of the engineering range `low` to `high`.
    ///
    /// # Errors
    /// If `percent` is not within 0 to 100 (OPC UA: `Bad_DeadbandFilterInvalid`), or the range is not two finite
    /// numbers, `low` below `high`.
    pub fn percent_of_range(percent: f64, low: f64, high: f64) -> Result<Self, ParamError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ParamError::new("percent", "within 0 to 100", percent));
        }
        let (low, high) = span("range", low, high)?;
        Self::absolute(percent / 100.0 * (high - low))
    }

    /// Suppresses changes of value for `ms` after an emitted reading; 0 (default) is off. Changes of status or class
    /// are never suppressed. Costs the error bound: see [`Deadband::error_bound`].
    ///
    /// # Errors
    /// If it is negative, or more than `max_interval_ms`.
    pub fn min_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_interval_ms = delay("min_interval_ms", ms)?;
        self.ordered("min_interval_ms", ms)
    }

    /// Lets a reading pass, whatever its value, when nothing was emitted for `ms`; default is never. It is an answer
    /// to a reading, not to silence: for that see [`Stale`](crate::Stale).
    ///
    /// # Errors
    /// If it is less than 1, or less than `min_interval_ms`.
    pub fn max_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_interval_ms = Some(interval("max_interval_ms", ms)?);
        self.ordered("max_interval_ms", ms)
    }

    fn ordered(self, param: &'static str, ms: i64) -> Result<Self, ParamError> {
        match self.max_interval_ms {
            Some(max) if max < self.min_interval_ms => {
                Err(ParamError::new(param, "so that min_interval_ms <= max_interval_ms", ms))
            }
            _ => Ok(self),
        }
    }

    /// Treats uncertain readings like bad ones: not compared, no reference. Default: like good ones.
    #[must_use]
    pub fn uncertain_is_bad(mut self, yes: bool) -> Self {
        self.uncertain_is_bad = yes;
        self
    }

    /// Whether the reading passes, and why.
    pub fn check<'v>(
        &self,
        state: &mut DeadbandState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
    ) -> Option<EmitReason> {
        let (value, quality) = (value.into(), quality.into());
        let why = self.decide(state, &value, quality, time).ok()?;
        state.emitted(&value, quality, time, self.usable(quality));
        Some(why)
    }

    /// The verdict alone; the state is not touched.
    ///
    /// # Errors
    /// The reason to drop the reading.
    pub fn decide(
        &self,
        state: &DeadbandState,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
    ) -> Result<EmitReason, DropReason> {
        if !state.started {
            return Ok(EmitReason::First);
        }
        let class = value.class();
        if quality != state.status || (class != state.class && self.usable(quality)) {
            return Ok(match (state.class == class, class) {
                (true, _) => EmitReason::StatusChange,
                (false, Class::Finite) => EmitReason::NanExit,
                (false, _) => EmitReason::NanEnter,
            });
        }
        let elapsed = time.saturating_sub(state.emitted_at);
        let changed = self.usable(quality) && class == Class::Finite && self.moved(state, value);
        // A time before the last emitted one says nothing about the interval: it must not freeze the sensor.
        let early = (0..self.min_interval_ms).contains(&elapsed);
        match (changed, early) {
            (true, false) => Ok(EmitReason::Deadband),
            (true, true) => Err(DropReason::MinInterval),
            (false, _) if self.max_interval_ms.is_some_and(|max| elapsed >= max) => {
                Ok(EmitReason::MaxInterval)
            }
            (false, _) if quality.is_bad() => Err(DropReason::BadQuality),
            (false, _) => Err(DropReason::InDeadband),
        }
    }

    fn moved(&self, state: &DeadbandState, value: &Value<'_>) -> bool {
        state.reference.as_ref().is_none_or(|reference| self.tolerance.exceeded(reference, value))
    }

    pub(crate) fn usable(&self, quality: Quality) -> bool {
        quality.is_good() || (quality.is_uncertain() && !self.uncertain_is_bad)
    }

    /// The tolerance in the unit of the sensor.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        self.tolerance.width()
    }

    /// How far the last emitted value may be from a suppressed reading that is usable.
    #[must_use]
    pub fn error_bound(&self) -> ErrorBound {
        let max_error = self.tolerance.width();
        match self.min_interval_ms {
            0 => ErrorBound::Absolute(max_error),
            min_interval_ms => ErrorBound::AbsoluteAfter { max_error, min_interval_ms },
        }
    }

    /// Nothing is held.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        LossBound::Nothing
    }
}

#[cfg(test)]
mod tests;
