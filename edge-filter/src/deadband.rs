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
    reference: Option<Value<'static>>,
    emitted_at: i64,
    status: Quality,
    class: Class,
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
mod tests {
    use super::*;
    use EmitReason as E;

    const GOOD: Quality = Quality::GOOD;
    const BAD: Quality = Quality::BAD;

    fn run(db: &Deadband, rows: &[(f64, Quality, i64, Option<EmitReason>)]) {
        let mut state = DeadbandState::default();
        for (row, &(value, quality, time, expected)) in rows.iter().enumerate() {
            assert_eq!(
                db.check(&mut state, value, quality, time),
                expected,
                "row {row}: {value} {quality} @{time}"
            );
        }
    }

    #[test]
    fn min_interval_delays_values_but_never_a_status() -> Result<(), ParamError> {
        let rows = [
            (10.0, GOOD, 0, Some(E::First)),
            (20.0, GOOD, 999, None),
            (20.0, BAD, 999, Some(E::StatusChange)),
            (20.0, GOOD, 999, Some(E::StatusChange)),
            (30.0, GOOD, 1998, None),
            (30.0, GOOD, 1999, Some(E::Deadband)),
            (f64::NAN, GOOD, 2000, Some(E::NanEnter)),
            (50.0, GOOD, 1500, Some(E::NanExit)),
            (60.0, GOOD, 1400, Some(E::Deadband)), // a clock set back does not freeze the sensor
        ];
        run(&Deadband::absolute(1.0)?.min_interval_ms(1000)?, &rows);
        Ok(())
    }

    #[test]
    fn max_interval_repeats_also_while_bad_without_moving_the_reference() -> Result<(), ParamError> {
        let rows = [
            (10.0, GOOD, 0, Some(E::First)),
            (10.0, GOOD, 59_999, None),
            (10.0, GOOD, 60_000, Some(E::MaxInterval)),
            (99.0, BAD, 60_001, Some(E::StatusChange)),
            (98.0, BAD, 120_000, None),
            (97.0, BAD, 120_001, Some(E::MaxInterval)),
            (10.5, GOOD, 120_002, Some(E::StatusChange)),
            (11.6, GOOD, 120_003, Some(E::Deadband)),
        ];
        run(&Deadband::absolute(1.0)?.max_interval_ms(60_000)?, &rows);
        Ok(())
    }

    #[test]
    fn infinities_are_classes_of_their_own() -> Result<(), ParamError> {
        let rows = [
            (1.0, GOOD, 0, Some(E::First)),
            (f64::INFINITY, GOOD, 1, Some(E::NanEnter)),
            (f64::INFINITY, GOOD, 2, None),
            (f64::NEG_INFINITY, GOOD, 3, Some(E::NanEnter)),
            (f64::NAN, GOOD, 4, Some(E::NanEnter)),
            (-f64::NAN, GOOD, 5, None),
            (1.0, GOOD, 6, Some(E::NanExit)),
            (f64::NAN, BAD, 7, Some(E::NanEnter)),
            (2.0, BAD, 8, None), // bad either way: not compared
        ];
        run(&Deadband::absolute(0.5)?, &rows);
        Ok(())
    }

    #[test]
    fn uncertain_is_compared_unless_told_otherwise() -> Result<(), ParamError> {
        let u = Quality::UNCERTAIN;
        let db = Deadband::absolute(1.0)?;
        run(&db, &[(10.0, u, 0, Some(E::First)), (12.0, u, 1, Some(E::Deadband)), (12.5, u, 2, None)]);
        let db = db.uncertain_is_bad(true);
        run(&db, &[(10.0, u, 0, Some(E::First)), (12.0, u, 1, None), (12.0, GOOD, 2, Some(E::StatusChange))]);
        Ok(())
    }

    #[test]
    fn zero_means_any_change_and_percent_is_of_the_range() -> Result<(), ParamError> {
        let zero = Deadband::absolute(0.0)?;
        run(
            &zero,
            &[(0.0, GOOD, 0, Some(E::First)), (-0.0, GOOD, 1, None), (5e-324, GOOD, 2, Some(E::Deadband))],
        );
        let half = Deadband::percent_of_range(0.5, -40.0, 160.0)?;
        assert_eq!(half.tolerance(), 1.0);
        assert_eq!(half.error_bound(), ErrorBound::Absolute(1.0));
        Ok(())
    }

    #[test]
    fn constructors_refuse_what_cannot_work() -> Result<(), ParamError> {
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(Deadband::absolute(bad).is_err());
            assert!(Deadband::percent_of_range(bad, 0.0, 1.0).is_err());
        }
        assert!(Deadband::percent_of_range(100.1, 0.0, 1.0).is_err());
        assert!(Deadband::percent_of_range(1.0, 5.0, 5.0).is_err());
        let db = Deadband::absolute(1.0)?;
        assert!(db.min_interval_ms(-1).is_err());
        assert!(db.max_interval_ms(0).is_err());
        assert!(db.max_interval_ms(10)?.min_interval_ms(11).is_err());
        assert!(db.min_interval_ms(11)?.max_interval_ms(10).is_err());
        Ok(())
    }
}
