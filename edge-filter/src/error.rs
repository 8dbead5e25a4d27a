//! Error for a parameter that a stage cannot work with.

use std::fmt;

/// Refusal of a parameter by a constructor: its name, the values that are allowed, and the value that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamError {
    param: &'static str,
    must_be: &'static str,
    found: String,
}

impl ParamError {
    pub(crate) fn new(param: &'static str, must_be: &'static str, found: impl fmt::Display) -> Self {
        ParamError { param, must_be, found: found.to_string() }
    }

    /// Returns the error with the name that the parameter has in a file.
    #[cfg(feature = "config")]
    pub(crate) fn renamed(self, param: &'static str) -> Self {
        ParamError { param, ..self }
    }

    /// Returns the name of the parameter, as in a configuration file.
    #[must_use]
    pub fn param(&self) -> &'static str {
        self.param
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` must be {}, found {}", self.param, self.must_be, self.found)
    }
}

impl std::error::Error for ParamError {}

/// Returns a finite number that is not negative; refuses others.
pub(crate) fn width(param: &'static str, value: f64) -> Result<f64, ParamError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(ParamError::new(param, "a finite number, 0 or more", value))
    }
}

/// Returns two finite numbers of which the second is larger; refuses others.
pub(crate) fn span(param: &'static str, low: f64, high: f64) -> Result<(f64, f64), ParamError> {
    if low.is_finite() && high.is_finite() && low < high && (high - low).is_finite() {
        Ok((low, high))
    } else {
        Err(ParamError::new(param, "two finite numbers, low below high", format_args!("{low} and {high}")))
    }
}

/// Returns milliseconds of 0 or more; refuses others.
pub(crate) fn delay(param: &'static str, ms: i64) -> Result<i64, ParamError> {
    if ms >= 0 { Ok(ms) } else { Err(ParamError::new(param, "0 ms or more", ms)) }
}

/// Returns milliseconds of 1 or more; refuses others.
pub(crate) fn interval(param: &'static str, ms: i64) -> Result<i64, ParamError> {
    if ms >= 1 { Ok(ms) } else { Err(ParamError::new(param, "1 ms or more", ms)) }
}

/// Returns a finite number above 0; refuses others.
pub(crate) fn positive(param: &'static str, value: f64) -> Result<f64, ParamError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(ParamError::new(param, "a finite number above 0", value))
    }
}

/// Refuses a longest interval below the least one. The error names `param`, which was just set to `found`.
pub(crate) fn ordered(param: &'static str, found: i64, min: i64, max: Option<i64>) -> Result<(), ParamError> {
    match max {
        Some(max) if max < min => {
            Err(ParamError::new(param, "so that min_interval_ms <= max_interval_ms", found))
        }
        _ => Ok(()),
    }
}
