//! Inputs of a controller: the last value of each, and whether it can still be used.

use super::part_names::PartNames;
use crate::Quality;
use crate::error::{ParamError, interval, span};

/// Definition of an input: its name, the age at which it is stale, and its measuring range.
///
/// ```
/// use edge_filter::control::InputSpec;
///
/// assert!(InputSpec::new("oven/temp", 500)?.range(-40.0, 400.0).is_ok());
/// assert!(InputSpec::new("oven/temp", 0).is_err());
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    name: String,
    stale_after_ms: i64,
    range: Option<(f64, f64)>,
}

impl InputSpec {
    /// Creates an input that is stale when no value came for `stale_after_ms`.
    ///
    /// # Errors
    /// If that time is less than 1 ms.
    pub fn new(name: impl Into<String>, stale_after_ms: i64) -> Result<Self, ParamError> {
        let stale_after_ms = interval("stale_after_ms", stale_after_ms)?;
        Ok(InputSpec { name: name.into(), stale_after_ms, range: None })
    }

    /// Sets the measuring range. A value outside it has bad quality, because a broken wire or a worn-out sensor gives it.
    ///
    /// # Errors
    /// If the limits are not finite or not in order.
    pub fn range(mut self, low: f64, high: f64) -> Result<Self, ParamError> {
        self.range = Some(span("range", low, high)?);
        Ok(self)
    }
}

/// Last value of each input. Before its first value an input is missing, which counts as bad.
///
/// The age of a value counts from its arrival, on the caller's clock `now`, which must not go back. A value from the future of `now` is stale,
/// because a clock that jumped is better not trusted.
///
/// ```
/// use edge_filter::Quality;
/// use edge_filter::control::{InputSpec, Inputs};
///
/// let mut inputs = Inputs::default();
/// let temp = inputs.add(InputSpec::new("oven/temp", 500)?.range(-40.0, 400.0)?)?;
/// inputs.set(temp, 180.0, Quality::GOOD, 0);
/// assert_eq!((inputs.good(temp, 499), inputs.good(temp, 500)), (Some(180.0), None)); // stale
/// inputs.set(temp, 999.0, Quality::GOOD, 600);
/// assert_eq!(inputs.good(temp, 600), None); // a broken wire
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    inputs: Vec<Input>,
    names: PartNames,
}

#[derive(Clone, Debug, PartialEq)]
struct Input {
    spec: InputSpec,
    last: Option<Arrival>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrival {
    value: f64,
    quality: Quality,
    at_ms: i64,
}

impl Inputs {
    /// Adds an input. Returns its number, from 0.
    ///
    /// # Errors
    /// If there is an input of that name.
    pub fn add(&mut self, spec: InputSpec) -> Result<usize, ParamError> {
        self.names.check(&spec.name)?;
        let number = self.names.add(&spec.name);
        self.inputs.push(Input { spec, last: None });
        Ok(number)
    }

    /// Returns the number of inputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Returns whether there are no inputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Returns the number of an input by its name; `None` if there is no such input.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.names.number(name)
    }

    /// Returns the name of an input; `None` if there is no such input.
    #[must_use]
    pub fn name(&self, input: usize) -> Option<&str> {
        self.inputs.get(input).map(|input| input.spec.name.as_str())
    }

    /// Returns the age at which an input's value is stale, in milliseconds; `None` if there is no such input.
    #[must_use]
    pub fn stale_after_ms(&self, input: usize) -> Option<i64> {
        self.inputs.get(input).map(|input| input.spec.stale_after_ms)
    }

    /// Stores a value that arrived. A number without an input is ignored.
    pub fn set(&mut self, input: usize, value: f64, quality: impl Into<Quality>, now_ms: i64) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.last = Some(Arrival { value, quality: quality.into(), at_ms: now_ms });
        }
    }

    /// Returns the value if it is good, finite, in its range and not stale, else `None`: the reader that
    /// [`Interlock::evaluate`](crate::interlock::Interlock::evaluate) needs.
    #[must_use]
    pub fn good(&self, input: usize, now_ms: i64) -> Option<f64> {
        let value = self.value(input);
        value.filter(|_| self.quality(input, now_ms).is_good())
    }

    /// Returns the last value, whatever its quality; `None` before the first.
    #[must_use]
    pub fn value(&self, input: usize) -> Option<f64> {
        self.inputs.get(input)?.last.map(|last| last.value)
    }

    /// Returns the present quality of an input: that with which the value came; `BAD_OUT_OF_RANGE`; `BAD` for NaN or an infinity;
    /// `UNCERTAIN_LAST_USABLE` when the value is stale; `BAD` before the first value.
    #[must_use]
    pub fn quality(&self, input: usize, now_ms: i64) -> Quality {
        let Some(Input { spec, last: Some(last) }) = self.inputs.get(input) else { return Quality::BAD };
        let fresh = now_ms >= last.at_ms && now_ms.saturating_sub(last.at_ms) < spec.stale_after_ms;
        let in_range = |(low, high): (f64, f64)| (low..=high).contains(&last.value);
        match last.quality {
            _ if !last.value.is_finite() => Quality::BAD,
            quality if quality.is_bad() => quality,
            _ if !spec.range.is_none_or(in_range) => Quality::BAD_OUT_OF_RANGE,
            _ if !fresh => Quality::UNCERTAIN_LAST_USABLE,
            quality => quality,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_good_number_within_its_range_is_good() -> Result<(), ParamError> {
        let mut inputs = Inputs::default();
        let n = inputs.add(InputSpec::new("t", 100)?.range(0.0, 50.0)?)?;
        assert!(inputs.add(InputSpec::new("t", 1)?).is_err());
        assert_eq!((inputs.good(n, 0), inputs.quality(n, 0)), (None, Quality::BAD), "missing");
        inputs.set(n, 20.0, Quality::GOOD, 1_000);
        assert_eq!(inputs.good(n, 1_099), Some(20.0));
        for now in [1_100, 999, i64::MIN, i64::MAX] {
            assert_eq!((inputs.good(n, now), inputs.quality(n, now)), (None, Quality::UNCERTAIN_LAST_USABLE));
        }
        for (value, quality) in [
            (f64::NAN, Quality::GOOD),
            (f64::INFINITY, Quality::GOOD),
            (50.1, Quality::GOOD),
            (20.0, Quality::BAD),
            (20.0, Quality::UNCERTAIN),
        ] {
            inputs.set(n, value, quality, 1_000);
            assert_eq!(inputs.good(n, 1_000), None, "{value} {quality}");
        }
        inputs.set(7, 1.0, Quality::GOOD, 0);
        assert_eq!(inputs.good(7, 0), None);
        Ok(())
    }
}
