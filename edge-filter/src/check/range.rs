//! Range check: finds values that the sensor cannot have measured.

use crate::error::{ParamError, span};
use crate::{Cost, Quality, Value};

/// Treatment of a reading outside the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum RangeAction {
    /// A reading outside the range passes with a quality that shows it.
    #[default]
    Mark,
    /// The reading is dropped and counted.
    Drop,
}

/// The gross range test of QARTOD: outside `fail` a value is wrong, outside `suspect` it is doubtful. The bounds
/// themselves are good.
///
/// A failed reading becomes `BadOutOfRange` or is dropped; a suspect one becomes `UncertainEngineeringUnitsExceeded`
/// and is never dropped. A quality of the source that is at least as severe is kept. Integers are compared exactly.
/// Booleans, texts and NaN have no range and pass; infinities fail.
///
/// ```
/// use edge_filter::check::{Range, RangeAction};
/// use edge_filter::{Quality, Value};
///
/// let range = Range::new(-40.0, 150.0)?.suspect(0.0, 120.0)?;
/// let check = |value| range.check(&Value::F64(value), Quality::GOOD);
/// assert_eq!(check(20.0), Some(Quality::GOOD));
/// assert_eq!(check(130.0), Some(Quality::UNCERTAIN_UNITS_EXCEEDED));
/// assert_eq!(check(327.67), Some(Quality::BAD_OUT_OF_RANGE));
/// assert_eq!(range.action(RangeAction::Drop).check(&Value::F64(327.67), Quality::GOOD), None);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    fail: Bounds,
    suspect: Option<Bounds>,
    action: RangeAction,
}

impl Range {
    /// Creates a range: values from `low` to `high`, both included, are possible.
    ///
    /// # Errors
    /// If a bound is not finite or `low` is not below `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, ParamError> {
        Ok(Range { fail: Bounds::new("fail", low, high)?, suspect: None, action: RangeAction::Mark })
    }

    /// Sets the range of values that are not doubtful, from `low` to `high`, both included.
    ///
    /// # Errors
    /// If a bound is not finite, `low` is not below `high`, or the suspect range is not within the failing one.
    pub fn suspect(mut self, low: f64, high: f64) -> Result<Self, ParamError> {
        let bounds = Bounds::new("suspect", low, high)?;
        if low < self.fail.low || high > self.fail.high {
            return Err(ParamError::new("suspect", "within `fail`", format_args!("{low} and {high}")));
        }
        self.suspect = Some(bounds);
        Ok(self)
    }

    /// Sets whether failed readings are marked (default) or dropped.
    #[must_use]
    pub fn action(mut self, action: RangeAction) -> Self {
        self.action = action;
        self
    }

    /// Returns the quality of the reading after the test; `None` if the reading must be dropped.
    #[inline]
    #[must_use]
    pub fn check(&self, value: &Value<'_>, quality: Quality) -> Option<Quality> {
        if self.fail.contain(value) {
            let doubtful = self.suspect.is_some_and(|s| !s.contain(value));
            let marked =
                if doubtful && quality.is_good() { Quality::UNCERTAIN_UNITS_EXCEEDED } else { quality };
            return Some(marked);
        }
        match self.action {
            RangeAction::Drop => None,
            RangeAction::Mark if quality.is_bad() => Some(quality),
            RangeAction::Mark => Some(Quality::BAD_OUT_OF_RANGE),
        }
    }
}

/// No reading is held. Readings dropped by the configured action are counted as `out_of_range`.
impl Cost for Range {}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    low: f64,
    high: f64,
    // The integers within, so that no i64 is rounded to f64 before it is compared.
    low_integer: i128,
    high_integer: i128,
}

impl Bounds {
    fn new(param: &'static str, low: f64, high: f64) -> Result<Self, ParamError> {
        let (low, high) = span(param, low, high)?;
        Ok(Bounds { low, high, low_integer: low.ceil() as i128, high_integer: high.floor() as i128 })
    }

    #[inline]
    fn contain(&self, value: &Value<'_>) -> bool {
        if let Value::F64(v) = *value {
            return v.is_nan() || (self.low..=self.high).contains(&v);
        }
        value.as_integer().is_none_or(|v| (self.low_integer..=self.high_integer).contains(&v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_good_and_suspect_is_between() -> Result<(), ParamError> {
        let range = Range::new(-40.0, 150.0)?.suspect(-10.0, 120.0)?;
        for (v, expected) in [
            (-40.1, Quality::BAD_OUT_OF_RANGE),
            (-40.0, Quality::UNCERTAIN_UNITS_EXCEEDED),
            (-10.0, Quality::GOOD),
            (120.0, Quality::GOOD),
            (120.1, Quality::UNCERTAIN_UNITS_EXCEEDED),
            (150.0, Quality::UNCERTAIN_UNITS_EXCEEDED),
            (150.1, Quality::BAD_OUT_OF_RANGE),
            (f64::INFINITY, Quality::BAD_OUT_OF_RANGE),
        ] {
            assert_eq!(range.check(&Value::F64(v), Quality::GOOD), Some(expected), "{v}");
        }
        assert_eq!(range.check(&Value::from("x"), Quality::GOOD), Some(Quality::GOOD));
        assert_eq!(range.action(RangeAction::Drop).check(&Value::F64(200.0), Quality::GOOD), None);
        assert_eq!(
            range.action(RangeAction::Drop).check(&Value::F64(140.0), Quality::GOOD),
            Some(Quality(0x4094_0000))
        );
        Ok(())
    }

    #[test]
    fn a_worse_quality_of_the_source_is_kept() -> Result<(), ParamError> {
        let range = Range::new(0.0, 10.0)?.suspect(1.0, 9.0)?;
        let failure = Quality(0x808C_0000);
        assert_eq!(range.check(&Value::F64(99.0), failure), Some(failure));
        assert_eq!(
            range.check(&Value::F64(9.5), Quality::UNCERTAIN_LAST_USABLE),
            Some(Quality::UNCERTAIN_LAST_USABLE)
        );
        assert_eq!(range.check(&Value::F64(99.0), Quality::UNCERTAIN), Some(Quality::BAD_OUT_OF_RANGE));
        Ok(())
    }

    #[test]
    fn integers_are_exact_at_a_bound_beyond_2_pow_53() -> Result<(), ParamError> {
        let range = Range::new(-1.0, 9_007_199_254_740_992.0)?;
        assert_eq!(range.check(&Value::I64(9_007_199_254_740_992), Quality::GOOD), Some(Quality::GOOD));
        assert_eq!(
            range.check(&Value::I64(9_007_199_254_740_993), Quality::GOOD),
            Some(Quality::BAD_OUT_OF_RANGE)
        );
        assert_eq!(range.check(&Value::U64(u64::MAX), Quality::GOOD), Some(Quality::BAD_OUT_OF_RANGE));
        Ok(())
    }

    #[test]
    fn constructors_refuse_what_cannot_work() -> Result<(), ParamError> {
        for (low, high) in
            [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (-f64::MAX, f64::MAX)]
        {
            assert!(Range::new(low, high).is_err(), "{low} {high}");
        }
        assert!(Range::new(0.0, 1.0)?.suspect(-1.0, 1.0).is_err());
        Ok(())
    }
}
