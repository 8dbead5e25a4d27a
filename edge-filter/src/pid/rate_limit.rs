//! Rate limit of a setpoint or an output: a ramp bounds how fast a value may change.

use crate::error::ParamError;

/// Ramp: moves a value towards a target at a limited rate. It is used alone, for setpoints, and for the outputs of a [`Pid`](crate::pid::Pid).
///
/// ```
/// # use edge_filter::ParamError;
/// # use edge_filter::pid::Ramp;
/// let ramp = Ramp::per_s(2.0)?;
/// assert_eq!(ramp.step(20.0, 80.0, 0.5), 21.0);
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    up_per_s: f64,
    down_per_s: f64,
}

impl Default for Ramp {
    /// Creates a ramp without limits.
    fn default() -> Self {
        Ramp { up_per_s: f64::INFINITY, down_per_s: f64::INFINITY }
    }
}

impl Ramp {
    /// Creates a ramp with the same rate both ways, in the value's unit per second; infinity is no limit.
    ///
    /// # Errors
    /// If the rate is NaN, zero or negative.
    pub fn per_s(rate: f64) -> Result<Self, ParamError> {
        Self::up_down_per_s(rate, rate)
    }

    /// Creates a ramp with a rate for each way, in the value's unit per second.
    ///
    /// # Errors
    /// If a rate is NaN, zero or negative.
    pub fn up_down_per_s(up: f64, down: f64) -> Result<Self, ParamError> {
        for (param, rate) in [("rate_up_per_s", up), ("rate_down_per_s", down)] {
            if rate.is_nan() || rate <= 0.0 {
                return Err(ParamError::new(param, "a number above 0", rate));
            }
        }
        Ok(Ramp { up_per_s: up, down_per_s: down })
    }

    /// Returns the value after `dt_s` seconds on the way from `from` to `target`, never beyond the target. A time that is zero, negative or NaN
    /// moves nothing, and neither does a target that is NaN.
    #[must_use]
    pub fn step(&self, from: f64, target: f64, dt_s: f64) -> f64 {
        if from.is_nan() || target.is_nan() || dt_s.is_nan() {
            return from;
        }
        // Infinity × 0 is no number: without a limit the target is reached at once.
        let most = |rate: f64| if rate.is_infinite() { f64::INFINITY } else { rate * dt_s.max(0.0) };
        if target >= from {
            (from + most(self.up_per_s)).min(target)
        } else {
            (from - most(self.down_per_s)).max(target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_rate_and_the_target_is_met_exactly() -> Result<(), ParamError> {
        let ramp = Ramp::up_down_per_s(1.0, 10.0)?;
        assert_eq!(ramp.step(0.0, 5.0, 2.0), 2.0);
        assert_eq!(ramp.step(4.5, 5.0, 2.0), 5.0);
        assert_eq!(ramp.step(0.0, -50.0, 2.0), -20.0);
        for dt in [0.0, -1.0, f64::NAN] {
            assert_eq!(ramp.step(3.0, 5.0, dt), 3.0);
        }
        assert_eq!(ramp.step(3.0, f64::NAN, 1.0), 3.0);
        assert_eq!(Ramp::default().step(f64::MIN, f64::MAX, 0.0), f64::MAX);
        for rate in [0.0, -1.0, f64::NAN] {
            assert!(Ramp::per_s(rate).is_err());
        }
        Ok(())
    }
}
