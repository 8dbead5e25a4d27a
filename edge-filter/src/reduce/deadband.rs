//! Deadband: report by exception.

use super::holding::released;
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, ReleasedReading, Settlement, Verdict};
use crate::error::{ParamError, delay, interval, ordered, span, width};
use crate::value::{Class, Tolerance};
use crate::{Cost, DropReason, EmitReason, ErrorBound, LossBound, Quality, Value};

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
/// is held, or one reading with `send_previous`. 32 bytes per sensor; about a nanosecond per reading.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{Deadband, DeadbandState};
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
    send_previous: bool,
    trigger: Trigger,
}

/// Trigger of a [`Deadband`]'s reports, OPC UA's `DataChangeTrigger`. Its third trigger, the timestamp, behaves as the second where there is a
/// deadband.
///
/// ```
/// # use edge_filter::{ParamError, Quality, reduce::{Deadband, DeadbandState, Trigger}};
/// let deadband = Deadband::absolute(0.5)?.trigger(Trigger::Status);
/// let mut state = DeadbandState::default();
/// assert!(deadband.check(&mut state, 20.0, Quality::GOOD, 0).is_some());
/// assert!(deadband.check(&mut state, 90.0, Quality::GOOD, 1).is_none(), "the status is the same");
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the standard's list")]
pub enum Trigger {
    /// Changes of status only. Values and the tolerance are not used, so there is no error bound.
    Status,
    /// Changes of status, and changes of the value beyond the deadband.
    #[default]
    StatusValue,
}

/// State of a [`Deadband`] per sensor: the last emitted reading, and with `send_previous` the one that is held since.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct DeadbandState {
    last: LastEmitted,
    #[cfg_attr(feature = "config", serde(default, skip_serializing_if = "crate::value::is_default"))]
    previous: Option<Point>,
}

impl DeadbandState {
    /// Returns the last emitted value that was usable (not bad, and finite); `None` if there was none.
    #[must_use]
    pub fn reference(&self) -> Option<Value<'_>> {
        self.last.reference()
    }

    /// Returns the status of the last emitted reading; `None` before the first.
    #[must_use]
    pub fn status(&self) -> Option<Quality> {
        self.last.status()
    }
}

impl Deadband {
    /// Creates a stage with a tolerance in the unit of the sensor.
    ///
    /// # Errors
    /// If the tolerance is NaN, infinite or negative.
    pub fn absolute(tolerance: f64) -> Result<Self, ParamError> {
        let tolerance = Tolerance::new(width("absolute", tolerance)?);
        Ok(Deadband { tolerance, trigger: Trigger::StatusValue, ..Self::on_status() })
    }

    /// Creates a stage with a tolerance in percent of the engineering range `low` to `high`.
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

    /// Creates a stage that passes changes of status only ([`Trigger::Status`]), and needs no tolerance.
    #[must_use]
    pub fn on_status() -> Self {
        Deadband {
            tolerance: Tolerance::ZERO,
            min_interval_ms: 0,
            max_interval_ms: None,
            uncertain_is_bad: false,
            send_previous: false,
            trigger: Trigger::Status,
        }
    }

    /// Suppresses changes of value for `ms` after an emitted reading; 0 (default) suppresses none. Changes of status or class are never
    /// suppressed. Within this time there is no error bound: see [`Deadband::error_bound`].
    ///
    /// # Errors
    /// If the time is negative, or more than `max_interval_ms`.
    pub fn min_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_interval_ms = delay("min_interval_ms", ms)?;
        ordered("min_interval_ms", ms, self.min_interval_ms, self.max_interval_ms)?;
        Ok(self)
    }

    /// Lets a reading pass, whatever its value, when nothing was emitted for `ms`; by default none passes for that. It needs a reading; for
    /// silence there is [`Stale`](crate::time::Stale).
    ///
    /// # Errors
    /// If the time is less than 1, or less than `min_interval_ms`.
    pub fn max_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_interval_ms = Some(interval("max_interval_ms", ms)?);
        ordered("max_interval_ms", ms, self.min_interval_ms, self.max_interval_ms)?;
        Ok(self)
    }

    /// Sets whether the last suppressed reading before a deviation, which is held until then, is emitted too, for consumers that draw a line.
    /// Default false: it doubles the traffic, and booleans and texts have no line.
    #[must_use]
    pub fn send_previous(mut self, yes: bool) -> Self {
        self.send_previous = yes;
        self
    }

    /// Sets the changes that make a reading pass.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = trigger;
        self
    }

    /// Sets whether uncertain readings are treated like bad ones (not compared, no reference). Default false: like good ones.
    #[must_use]
    pub fn uncertain_is_bad(mut self, yes: bool) -> Self {
        self.uncertain_is_bad = yes;
        self
    }

    /// Returns whether the reading passes, and the reason. With `send_previous` use [`check_with`](Self::check_with), which gives the reading
    /// before it too.
    #[inline]
    pub fn check<'v>(
        &self,
        state: &mut DeadbandState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
    ) -> Option<EmitReason> {
        match self.check_with(state, value, quality, time, &mut |_| ()) {
            Verdict::Emit(why) => Some(why),
            Verdict::Held | Verdict::Drop(_) => None,
        }
    }

    /// Filters a reading. `sink` gets a reading that must be sent before it.
    #[inline]
    pub fn check_with<'v>(
        &self,
        state: &mut DeadbandState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
        sink: &mut impl FnMut(ReleasedReading),
    ) -> Verdict {
        let (value, quality) = (value.into(), quality.into());
        let offered = (&value, quality, time);
        self.offer(&mut state.last, &mut state.previous, None, offered, &mut |event| released(event, sink))
    }

    /// Filters one reading. With `forced` it passes for this reason, whatever its value.
    #[inline]
    pub(crate) fn offer(
        &self,
        last: &mut LastEmitted,
        previous: &mut Option<Point>,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        let verdict = forced.map_or_else(|| self.decide(last, value, quality, time), Ok);
        match verdict {
            Ok(why) => {
                if let Some(previous) = previous.take() {
                    match why {
                        EmitReason::Deadband => on(previous.released(EmitReason::Previous)),
                        _ => on(Settlement::Drop(self.reason_while_usable(), 1)),
                    }
                }
                last.emitted(value, quality, time, self.usable(quality));
                Verdict::Emit(why)
            }
            Err(reason) if !self.send_previous || !self.usable(quality) => Verdict::Drop(reason),
            Err(reason) => match Number::of(value) {
                Some(value) => {
                    if previous.replace(Point::new(time, value, quality)).is_some() {
                        on(Settlement::Drop(self.reason_while_usable(), 1));
                    }
                    Verdict::Held
                }
                None => Verdict::Drop(reason),
            },
        }
    }

    /// Returns the verdict without changing a state.
    #[inline]
    pub(crate) fn decide(
        &self,
        last: &LastEmitted,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
    ) -> Result<EmitReason, DropReason> {
        let usable = self.usable(quality);
        if let Some(why) = last.transition(value, quality, usable) {
            return Ok(why);
        }
        let comparable = self.trigger == Trigger::StatusValue && usable && value.class() == Class::Finite;
        if comparable && last.moved(&self.tolerance, value) {
            // A time before the last emitted one says nothing about the interval: it must not freeze the sensor.
            let early = (0..self.min_interval_ms).contains(&last.elapsed(time));
            return if early { Err(DropReason::MinInterval) } else { Ok(EmitReason::Deadband) };
        }
        match self.max_interval_ms {
            Some(max) if last.elapsed(time) >= max => Ok(EmitReason::MaxInterval),
            _ if quality.is_bad() => Err(DropReason::BadQuality),
            _ if usable => Err(self.reason_while_usable()),
            _ => Err(DropReason::NotCompared),
        }
    }

    fn reason_while_usable(&self) -> DropReason {
        match self.trigger {
            Trigger::Status => DropReason::NotCompared,
            Trigger::StatusValue => DropReason::InDeadband,
        }
    }

    pub(crate) fn usable(&self, quality: Quality) -> bool {
        quality.is_usable(self.uncertain_is_bad)
    }

    pub(crate) fn holds(&self) -> bool {
        self.send_previous
    }

    /// Returns the tolerance in the unit of the sensor.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        self.tolerance.width()
    }
}

impl Cost for Deadband {
    fn error_bound(&self) -> ErrorBound {
        let max_error = self.tolerance.width();
        match self.min_interval_ms {
            _ if self.trigger == Trigger::Status => ErrorBound::NoneStated,
            0 => ErrorBound::Absolute(max_error),
            min_interval_ms => ErrorBound::AbsoluteAfter { max_error, min_interval_ms },
        }
    }

    fn loss_bound(&self) -> LossBound {
        if self.send_previous { LossBound::Readings(1) } else { LossBound::Nothing }
    }
}

#[cfg(test)]
mod tests;
