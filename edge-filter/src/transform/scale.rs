//! Scale: converts the sensor's numbers to the unit of the plant.

use crate::error::{ParamError, span};
use crate::{Cost, Value};

/// Stage that computes `value * factor + offset`.
///
/// Numbers become floats, except that a factor of 1 and an offset of 0 leave everything unchanged, including integers beyond 2^53. Booleans and
/// texts pass. The stage has no state.
///
/// ```
/// # use edge_filter::Value;
/// # use edge_filter::transform::Scale;
/// let celsius = Scale::linear(5.0 / 9.0, -160.0 / 9.0)?; // from °F
/// assert_eq!(celsius.apply(Value::F64(212.0)), Value::F64(100.0));
/// let level_percent = Scale::between((4.0, 20.0), (0.0, 100.0))?; // from mA
/// assert_eq!(level_percent.apply(Value::I64(12)), Value::F64(50.0));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    factor: f64,
    offset: f64,
}

impl Scale {
    /// Creates a stage with a factor and an offset.
    ///
    /// # Errors
    /// If one is not finite, or the factor is 0.
    pub fn linear(factor: f64, offset: f64) -> Result<Self, ParamError> {
        if !factor.is_finite() || factor == 0.0 {
            return Err(ParamError::new("factor", "a finite number other than 0", factor));
        }
        if !offset.is_finite() {
            return Err(ParamError::new("offset", "a finite number", offset));
        }
        Ok(Scale { factor, offset })
    }

    /// Creates a stage from two points of a line: `raw` becomes `unit` at both ends. The ends of `unit` may fall.
    ///
    /// # Errors
    /// If the raw ends are not two finite numbers, the first below the second, or the line has no finite factor other
    /// than 0.
    pub fn between(raw: (f64, f64), unit: (f64, f64)) -> Result<Self, ParamError> {
        let (low, high) = span("raw", raw.0, raw.1)?;
        let factor = (unit.1 - unit.0) / (high - low);
        Self::linear(factor, unit.0 - low * factor)
    }

    /// Returns the value in the unit of the plant. An overflow becomes an infinity, so check the result with
    /// [`Normalise`](crate::check::Normalise) or [`Range`](crate::check::Range) if raw values may be that large.
    #[must_use]
    pub fn apply<'a>(&self, value: Value<'a>) -> Value<'a> {
        if matches!(value, Value::Bool(_) | Value::Text(_)) || (self.factor == 1.0 && self.offset == 0.0) {
            return value;
        }
        match value.as_f64() {
            // Its bits may say more, as those of a null do.
            Some(raw) if raw.is_nan() => value,
            Some(raw) => Value::F64(raw.mul_add(self.factor, self.offset)),
            None => value,
        }
    }
}

impl Cost for Scale {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_keeps_every_integer_and_others_pass() -> Result<(), ParamError> {
        let same = Scale::linear(1.0, 0.0)?;
        assert_eq!(same.apply(Value::U64(u64::MAX)), Value::U64(u64::MAX));
        let twice = Scale::linear(2.0, 0.0)?;
        assert_eq!(twice.apply(Value::Bool(true)), Value::Bool(true));
        assert_eq!(twice.apply(Value::from("x")), Value::from("x"));
        assert_eq!(twice.apply(Value::U64(3)), Value::F64(6.0));
        Ok(())
    }

    #[test]
    fn ends_meet_and_may_fall() -> Result<(), ParamError> {
        let inverted = Scale::between((0.0, 4095.0), (150.0, -40.0))?;
        assert_eq!(inverted.apply(Value::I64(0)), Value::F64(150.0));
        let Value::F64(low) = inverted.apply(Value::I64(4095)) else { return Ok(()) };
        assert!((low + 40.0).abs() < 1e-12);
        for (raw, unit) in [((1.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (2.0, 2.0)), ((0.0, f64::NAN), (0.0, 1.0))]
        {
            assert!(Scale::between(raw, unit).is_err(), "{raw:?} {unit:?}");
        }
        assert!(Scale::linear(0.0, 1.0).is_err());
        assert!(Scale::linear(1.0, f64::INFINITY).is_err());
        Ok(())
    }
}
