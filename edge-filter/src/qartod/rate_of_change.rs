//! Rate of change: test for values that change faster than the process can.

use super::{QartodFlag, Thresholds};
use crate::error::interval;
use crate::snapshot_serde::OverflowingNumber;
use crate::{Cost, ParamError};

/// Rate of change test of QARTOD, in units of the sensor per second between a value and the one before it.
///
/// Times are exact to the millisecond (`ioos_qc` cuts them to whole seconds). The first value, and one after a missing value, are good, as in
/// `ioos_qc`, because nothing contradicts them. A value that is not later than the one before it, or that comes after a gap longer than
/// `max_gap_ms`, is unknown. The state takes 32 bytes per sensor.
///
/// ```
/// # use edge_filter::qartod::{QartodFlag, RateOfChange, RateOfChangeState};
/// let rate = RateOfChange::new(Some(1.0), None)?;
/// let mut state = RateOfChangeState::default();
/// assert_eq!(rate.check(&mut state, 20.0, 0), QartodFlag::Good);
/// assert_eq!(rate.check(&mut state, 20.9, 500), QartodFlag::Suspect); // 1.8 per second
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateOfChange {
    thresholds: Thresholds,
    max_gap_ms: i64,
}

/// State of a [`RateOfChange`] per sensor: the last value and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct RateOfChangeState {
    last: Option<(OverflowingNumber, i64)>,
    /// True if the last value was an infinity, of which a snapshot has no number.
    #[cfg_attr(feature = "config", serde(default, skip_serializing_if = "crate::value::is_default"))]
    is_infinite: bool,
}

impl RateOfChange {
    /// Creates a test: rates above `suspect_per_s` are suspect, and above `fail_per_s` they fail.
    ///
    /// # Errors
    /// If neither threshold is given, or one is NaN, infinite or negative.
    pub fn new(suspect_per_s: Option<f64>, fail_per_s: Option<f64>) -> Result<Self, ParamError> {
        let thresholds = Thresholds::new(("suspect_per_s", suspect_per_s), ("fail_per_s", fail_per_s))?;
        Ok(RateOfChange { thresholds, max_gap_ms: i64::MAX })
    }

    /// Sets the longest time between two values that are compared, in milliseconds; any time by default.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_gap_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_gap_ms = interval("max_gap_ms", ms)?;
        Ok(self)
    }

    /// Tests a value at event time `time`, Unix milliseconds.
    pub fn check(&self, state: &mut RateOfChangeState, value: f64, time: i64) -> QartodFlag {
        let was_infinite = std::mem::replace(&mut state.is_infinite, value.is_infinite());
        let Some((OverflowingNumber(last), last_time)) = state.last.replace((OverflowingNumber(value), time))
        else {
            return if value.is_finite() { QartodFlag::Good } else { QartodFlag::Missing };
        };
        if !value.is_finite() {
            return QartodFlag::Missing;
        }
        let last = if was_infinite { f64::INFINITY } else { last };
        match time.saturating_sub(last_time) {
            dt_ms if dt_ms > 0 && dt_ms <= self.max_gap_ms => {
                self.thresholds.exceeded_by((value - last).abs() / (dt_ms as f64 / 1000.0))
            }
            _ => QartodFlag::Unknown,
        }
    }
}

impl Cost for RateOfChange {}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(test: &RateOfChange, readings: &[(i64, f64)]) -> Vec<u8> {
        let mut state = RateOfChangeState::default();
        readings.iter().map(|&(t, v)| test.check(&mut state, v, t).number()).collect()
    }

    #[test]
    fn flags_are_those_of_ioos_qc_with_missing_values_among_them() -> Result<(), ParamError> {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let values = [
            1.0, 2.0, 9.0, 2.0, nan, 50.0, 51.0, inf, -60.0, 5.0, -inf, 7.0, 7.0, -8.0, 7.0, nan, -9.0, 9.0,
            -9.0,
        ];
        let readings: Vec<_> = (0..).step_by(10_000).zip(values).collect();
        // ioos_qc 3.0.0: rate_of_change_test(values, every 10 s, 0.3, 0.6); after an infinity the rate is infinite.
        let expected = [1, 1, 4, 4, 9, 1, 1, 9, 4, 4, 9, 4, 1, 4, 4, 9, 1, 4, 4];
        assert_eq!(flags(&RateOfChange::new(Some(0.3), Some(0.6))?, &readings), expected);
        Ok(())
    }

    #[test]
    fn times_below_a_second_are_not_cut_and_none_is_divided_by() -> Result<(), ParamError> {
        let test = RateOfChange::new(Some(1.0), None)?.max_gap_ms(10_000)?;
        let readings = [(0, 0.0), (1_900, 1.8), (2_400, 2.7), (2_400, 2.8), (2_300, 2.7), (12_301, 2.7)];
        assert_eq!(flags(&test, &readings), [1, 1, 3, 2, 2, 2]);
        let extremes = [(i64::MIN, 0.0), (i64::MAX, f64::MAX), (i64::MAX, -f64::MAX)];
        assert_eq!(flags(&RateOfChange::new(Some(1.0), None)?, &extremes), [1, 3, 2]);
        Ok(())
    }
}
