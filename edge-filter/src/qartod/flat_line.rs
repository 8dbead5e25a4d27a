//! Flat line: test for a sensor that does not move any more.

use super::QartodFlag;
use super::extremes::Extremes;
use crate::Cost;
use crate::error::{ParamError, interval, width};

/// Flat line test of QARTOD: flags a reading if the values of the last readings lie within less than `tolerance`.
///
/// A window is counted in readings, as in `ioos_qc`: one that covers `n` sampling intervals has `n + 1` readings, and
/// until it is full the values are good. Missing values count as readings but have no part in the range. At most two
/// values of 16 bytes per reading of the two windows, and constant cost per reading.
///
/// ```
/// # use edge_filter::qartod::{FlatLine, FlatLineState, QartodFlag};
/// let flat = FlatLine::over_seconds(20, 30, 10_000, 0.1)?; // 3 and 4 readings, sampled every 10 s
/// let mut state = FlatLineState::default();
/// let flags = [5.0, 5.0, 5.0, 5.05, 5.2].map(|v| flat.check(&mut state, v).number());
/// assert_eq!(flags, [1, 1, 3, 4, 1]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlatLine {
    suspect_intervals: i64,
    fail_intervals: i64,
    tolerance: f64,
}

/// State of a [`FlatLine`] per sensor.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct FlatLineState {
    readings: i64,
    suspect: Extremes,
    fail: Extremes,
    /// Lengths of the two windows. With others the readings are forgotten, because a longer window would count as full that is not.
    #[cfg_attr(feature = "config", serde(default))]
    intervals: (i64, i64),
}

impl FlatLineState {
    /// Forgets the readings, for a gap or after the clock was set.
    pub fn restart(&mut self) {
        self.readings = 0;
        self.suspect.clear();
        self.fail.clear();
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.readings >= 0
    }
}

impl FlatLine {
    /// Longest window, in sampling intervals.
    pub const MAX_INTERVALS: u32 = 65_536;

    /// Creates a test with windows of `suspect` and `fail` sampling intervals, each of one reading more than that.
    ///
    /// # Errors
    /// If a window is longer than [`FlatLine::MAX_INTERVALS`], or the tolerance is NaN, infinite or negative.
    pub fn over_intervals(suspect: u32, fail: u32, tolerance: f64) -> Result<Self, ParamError> {
        Self::new([("suspect", suspect), ("fail", fail)], tolerance)
    }

    fn new(windows: [(&'static str, u32); 2], tolerance: f64) -> Result<Self, ParamError> {
        for (param, intervals) in windows {
            if intervals > Self::MAX_INTERVALS {
                return Err(ParamError::new(param, "65536 sampling intervals at most", intervals));
            }
        }
        let tolerance = width("tolerance", tolerance)?;
        let [(_, suspect), (_, fail)] = windows;
        Ok(FlatLine { suspect_intervals: suspect.into(), fail_intervals: fail.into(), tolerance })
    }

    /// Creates a test with windows in seconds, for a sensor that is read every `sampling_ms`.
    ///
    /// # Errors
    /// If `sampling_ms` is less than 1, if a window is shorter than it, since its one reading would always be flat, and as
    /// [`FlatLine::over_intervals`].
    pub fn over_seconds(
        suspect_s: u32,
        fail_s: u32,
        sampling_ms: i64,
        tolerance: f64,
    ) -> Result<Self, ParamError> {
        let sampling_ms = interval("sampling_ms", sampling_ms)?;
        let windows = [("suspect_s", suspect_s), ("fail_s", fail_s)];
        if let Some((param, s)) = windows.into_iter().find(|(_, s)| i64::from(*s) * 1000 < sampling_ms) {
            return Err(ParamError::new(param, "at least one sampling interval (`sampling_ms`)", s));
        }
        let intervals = |s: u32| u32::try_from(i64::from(s) * 1000 / sampling_ms).unwrap_or(u32::MAX);
        Self::new(windows.map(|(param, s)| (param, intervals(s))), tolerance)
    }

    /// Returns the most bytes that the windows of a sensor take. Lists double when they grow.
    pub(crate) fn window_bytes(&self) -> usize {
        let window =
            |intervals: i64| Extremes::bytes(usize::try_from(intervals).unwrap_or(0).saturating_add(1));
        window(self.suspect_intervals) + window(self.fail_intervals)
    }

    /// Tests a value against the values before it.
    pub fn check(&self, state: &mut FlatLineState, value: f64) -> QartodFlag {
        let intervals = (self.suspect_intervals, self.fail_intervals);
        if state.intervals != intervals {
            state.restart();
            state.intervals = intervals;
        }
        let position = state.readings;
        state.readings = state.readings.saturating_add(1);
        let flat = |window: &mut Extremes, intervals: i64| {
            window.expire(position - intervals);
            if value.is_finite() {
                window.push(position, value);
            }
            position >= intervals && window.range().is_some_and(|range| range < self.tolerance)
        };
        let suspect = flat(&mut state.suspect, self.suspect_intervals);
        let fail = flat(&mut state.fail, self.fail_intervals);
        match (value.is_finite(), fail, suspect) {
            (false, _, _) => QartodFlag::Missing,
            (true, true, _) => QartodFlag::Fail,
            (true, false, true) => QartodFlag::Suspect,
            (true, false, false) => QartodFlag::Good,
        }
    }
}

impl Cost for FlatLine {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_ioos_qc_with_missing_values_among_them() -> Result<(), ParamError> {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let values = [
            1.0, 2.0, 9.0, 2.0, nan, 50.0, 51.0, inf, -60.0, 5.0, -inf, 7.0, 7.0, -8.0, 7.0, nan, -9.0, 9.0,
            -9.0,
        ];
        // ioos_qc 3.0.0: flat_line_test(values, every 10 s, 20, 30, 5)
        let expected = [1, 1, 1, 1, 9, 1, 3, 9, 1, 1, 9, 3, 4, 1, 1, 9, 1, 1, 1];
        let flat = FlatLine::over_seconds(20, 30, 10_000, 5.0)?;
        let mut state = FlatLineState::default();
        assert_eq!(values.map(|v| flat.check(&mut state, v).number()), expected);
        state.restart();
        assert_eq!(values.map(|v| flat.check(&mut state, v).number()), expected);
        Ok(())
    }

    #[test]
    fn windows_that_cannot_be_kept_are_refused() {
        assert!(FlatLine::over_intervals(1, 65_537, 0.0).is_err());
        assert!(FlatLine::over_seconds(u32::MAX, 1, 1, 0.0).is_err());
        assert!(FlatLine::over_seconds(1, 1, 0, 0.0).is_err());
        for (suspect_s, fail_s, named) in [(30, 60, "suspect_s"), (0, 60, "suspect_s"), (60, 59, "fail_s")] {
            let error = FlatLine::over_seconds(suspect_s, fail_s, 60_000, 0.1).unwrap_err().to_string();
            assert!(error.contains(named), "{error}: it would flag every reading");
        }
        assert!(FlatLine::over_seconds(60, 60, 60_000, 0.1).is_ok());
        assert!(FlatLine::over_intervals(1, 2, f64::NAN).is_err());
    }
}
