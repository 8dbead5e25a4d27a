//! Attenuated signal: the sensor still moves, but less than the process does.

use super::extremes::Extremes;
use super::{QartodFlag, Thresholds};
use crate::Cost;
use crate::error::{ParamError, interval};
use crate::snapshot_serde::OverflowingNumber;
use std::collections::VecDeque;

/// Statistic by which the test measures the variation of the signal in the test period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the checks of the standard")]
pub enum Attenuation {
    /// The standard deviation of the values (of the population, not the sample).
    #[default]
    Std,
    /// Largest value less the smallest.
    Range,
}

/// The attenuated signal test of QARTOD over the readings of `(time - period, time]`.
///
/// As in `ioos_qc`: fewer than `min_obs` values in the period are unknown; missing values are left out of the standard
/// deviation, while a range with a missing value in its period is unknown. A period with more than
/// [`AttenuatedSignal::MAX_READINGS`] is cut to the newest of them. 16 bytes per reading of the period (three times
/// that for the range); the cost per reading does not grow with the period, but for a recalculation now and then.
///
/// ```
/// # use edge_filter::qartod::{AttenuatedSignal, AttenuatedSignalState, Attenuation};
/// let test = AttenuatedSignal::new(Attenuation::Range, Some(5.0), Some(2.0), 40_000)?.min_obs(3)?;
/// let mut state = AttenuatedSignalState::default();
/// let readings = [(0, 1.0), (10_000, 9.0), (20_000, 9.0), (30_000, 9.0), (40_000, 10.5), (50_000, 10.0)];
/// assert_eq!(readings.map(|(t, v)| test.check(&mut state, v, t).number()), [2, 2, 1, 1, 4, 4]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttenuatedSignal {
    check: Attenuation,
    thresholds: Thresholds,
    period_ms: i64,
    min_obs: usize,
}

/// State of an [`AttenuatedSignal`] per sensor: the readings of the period.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct AttenuatedSignalState {
    window: VecDeque<(i64, OverflowingNumber)>,
    present: usize,
    extremes: Extremes,
    moments: Moments,
}

impl AttenuatedSignalState {
    /// Forgets the readings, for a gap or after the clock was set.
    pub fn restart(&mut self) {
        self.window.clear();
        self.present = 0;
        self.extremes.clear();
        self.moments = Moments::default();
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        let present = self.window.iter().filter(|(_, value)| value.0.is_finite()).count();
        let Moments { count, removed, .. } = self.moments;
        let most = AttenuatedSignal::MAX_READINGS;
        let counts = [present, count as usize, removed as usize];
        self.present == present && self.window.len() <= most && counts.iter().all(|count| *count <= most)
    }

    /// Recomputes what the other check, by which a restored state was made, did not keep.
    fn change_to(&mut self, check: Attenuation) {
        let values = || self.window.iter().map(|&(_, v)| v.0).filter(|v| v.is_finite());
        match check {
            Attenuation::Range if self.moments.count > 0 => {
                self.moments = Moments::default();
                self.extremes.clear();
                for &(time, OverflowingNumber(value)) in self.window.iter().filter(|(_, v)| v.0.is_finite()) {
                    self.extremes.push(time, value);
                }
            }
            Attenuation::Std if self.moments.count as usize != self.present => {
                self.moments = Moments::of(values);
                self.extremes.clear();
            }
            Attenuation::Range | Attenuation::Std => {}
        }
    }

    fn push(&mut self, check: Attenuation, value: f64, time: i64) {
        self.window.push_back((time, OverflowingNumber(value)));
        if !value.is_finite() {
            return;
        }
        self.present += 1;
        match check {
            Attenuation::Range => self.extremes.push(time, value),
            Attenuation::Std => self.moments.add(value),
        }
    }

    /// Removes the readings that are not after `start`, and the oldest beyond the limit.
    fn expire(&mut self, check: Attenuation, start: i64) {
        while let Some(&(time, OverflowingNumber(value))) = self.window.front() {
            if time > start && self.window.len() <= AttenuatedSignal::MAX_READINGS {
                break;
            }
            self.window.pop_front();
            if value.is_finite() {
                self.present -= 1;
                self.moments.remove(value);
            }
        }
        match check {
            Attenuation::Range => {
                self.extremes.expire(self.window.front().map_or(i64::MAX, |&(time, _)| time));
            }
            Attenuation::Std if self.moments.is_worn() => {
                let values = || self.window.iter().map(|&(_, v)| v.0).filter(|v| v.is_finite());
                self.moments = Moments::of(values);
            }
            Attenuation::Std => {}
        }
    }
}

impl AttenuatedSignal {
    /// Most readings of one period that are kept.
    pub const MAX_READINGS: usize = 16_384;

    /// Returns the most bytes that the window of a sensor takes. Lists double when they grow.
    pub(crate) fn window_bytes(&self) -> usize {
        let values = Self::MAX_READINGS + 1;
        let list = values.next_power_of_two() * size_of::<(i64, f64)>();
        list + if self.check == Attenuation::Range { Extremes::bytes(values) } else { 0 }
    }

    /// Creates a test: a spread below `suspect` is suspect, and below `fail` it fails; both in the unit of the sensor.
    ///
    /// # Errors
    /// If neither threshold is given, one is NaN, infinite or negative, or the period is less than 1 ms.
    pub fn new(
        check: Attenuation,
        suspect: Option<f64>,
        fail: Option<f64>,
        period_ms: i64,
    ) -> Result<Self, ParamError> {
        let thresholds = Thresholds::new(("suspect", suspect), ("fail", fail))?;
        Ok(AttenuatedSignal { check, thresholds, period_ms: interval("period_ms", period_ms)?, min_obs: 1 })
    }

    /// Sets the fewest values of a period that are judged; 1 by default.
    ///
    /// # Errors
    /// If the number is 0 or more than [`AttenuatedSignal::MAX_READINGS`].
    pub fn min_obs(mut self, values: usize) -> Result<Self, ParamError> {
        if values == 0 || values > Self::MAX_READINGS {
            return Err(ParamError::new("min_obs", "within 1 to 16384", values));
        }
        self.min_obs = values;
        Ok(self)
    }

    /// Tests a value at event time `time`, Unix milliseconds. A value older than the last one is unknown and changes
    /// nothing.
    pub fn check(&self, state: &mut AttenuatedSignalState, value: f64, time: i64) -> QartodFlag {
        if state.window.back().is_some_and(|&(last, _)| time < last) {
            return if value.is_finite() { QartodFlag::Unknown } else { QartodFlag::Missing };
        }
        state.change_to(self.check);
        state.push(self.check, value, time);
        state.expire(self.check, time.saturating_sub(self.period_ms));
        let complete = state.present == state.window.len();
        let spread = match self.check {
            _ if state.present < self.min_obs => None,
            Attenuation::Range => state.extremes.range().filter(|_| complete),
            Attenuation::Std => state.moments.std_population(),
        };
        match spread {
            _ if !value.is_finite() => QartodFlag::Missing,
            None => QartodFlag::Unknown,
            Some(spread) => self.thresholds.missed_by(spread),
        }
    }

    /// Returns the only flag of a whole recording, as `ioos_qc` does without a test period. `period` and `min_obs` are not used, and missing
    /// values are left out. The flag is unknown if there are no values.
    #[must_use]
    pub fn check_whole(&self, values: &[f64]) -> QartodFlag {
        let present = || values.iter().copied().filter(|v| v.is_finite());
        let spread = match self.check {
            Attenuation::Range => {
                present().reduce(f64::max).zip(present().reduce(f64::min)).map(|(high, low)| high - low)
            }
            Attenuation::Std => Moments::of(present).std_population(),
        };
        spread.map_or(QartodFlag::Unknown, |spread| self.thresholds.missed_by(spread))
    }
}

impl Cost for AttenuatedSignal {}

/// Mean, and sum of squared distances from it, updated with every value (Welford).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct Moments {
    count: u32,
    removed: u32,
    #[cfg_attr(feature = "config", serde(with = "crate::snapshot_serde"))]
    mean: f64,
    #[cfg_attr(feature = "config", serde(with = "crate::snapshot_serde"))]
    squares: f64,
    #[cfg_attr(feature = "config", serde(with = "crate::snapshot_serde"))]
    largest_squares: f64,
}

impl Moments {
    /// Computes the moments in two passes, as exactly as doubles allow.
    fn of<I: Iterator<Item = f64>>(values: impl Fn() -> I) -> Self {
        let (count, sum) = values().fold((0_u32, 0.0), |(n, sum), v| (n + 1, sum + v));
        let Some(first) = values().next() else { return Moments::default() };
        // The mean of equal values is that value, without the rounding of a sum.
        let mean = if values().all(|v| v == first) { first } else { sum / f64::from(count) };
        let squares = values().map(|v| (v - mean) * (v - mean)).sum();
        Moments { count, removed: 0, mean, squares, largest_squares: squares }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / f64::from(self.count);
        self.squares += distance * (value - self.mean);
        self.largest_squares = self.largest_squares.max(self.squares);
    }

    fn remove(&mut self, value: f64) {
        self.count = self.count.saturating_sub(1);
        self.removed += 1;
        if self.count == 0 {
            *self = Moments::default();
            return;
        }
        let distance = value - self.mean;
        self.mean -= distance / f64::from(self.count);
        self.squares -= distance * (value - self.mean);
    }

    /// Returns whether rounding may have spoilt the result: all values were replaced once, the remaining squares are small against those
    /// removed, or removing has left no finite number.
    fn is_worn(&self) -> bool {
        let eaten = self.largest_squares > 0.0 && self.squares <= self.largest_squares * 1e-6;
        self.removed > self.count || (self.removed > 0 && (eaten || !self.squares.is_finite()))
    }

    /// Returns the standard deviation of the population; `None` without values. Infinite if the squares overflow, for values beyond 1e150,
    /// because such a signal is not attenuated.
    fn std_population(&self) -> Option<f64> {
        let squares = if self.squares.is_finite() { self.squares.max(0.0) } else { f64::INFINITY };
        (self.count > 0).then(|| (squares / f64::from(self.count)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(test: &AttenuatedSignal, readings: &[(i64, f64)]) -> Vec<u8> {
        let mut state = AttenuatedSignalState::default();
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
        // ioos_qc 3.0.0: attenuated_signal_test(values, every 10 s, 5, 2, 40, min_obs, check_type=...)
        let std = AttenuatedSignal::new(Attenuation::Std, Some(5.0), Some(2.0), 40_000)?;
        let expected = [2, 2, 3, 3, 9, 1, 1, 9, 1, 1, 9, 1, 4, 1, 1, 9, 1, 1, 1];
        assert_eq!(flags(&std.min_obs(3)?, &readings), expected);
        let range = AttenuatedSignal::new(Attenuation::Range, Some(5.0), Some(2.0), 40_000)?;
        let expected = [2, 2, 1, 1, 9, 2, 2, 9, 2, 2, 9, 2, 2, 2, 1, 9, 2, 2, 2];
        assert_eq!(flags(&range.min_obs(3)?, &readings), expected);
        let expected = [4, 4, 1, 1, 9, 2, 2, 9, 2, 2, 9, 2, 2, 2, 1, 9, 2, 2, 2];
        assert_eq!(flags(&range, &readings), expected);
        Ok(())
    }

    #[test]
    fn the_number_of_readings_is_bounded_by_name() -> Result<(), ParamError> {
        let of =
            |count| AttenuatedSignal::new(Attenuation::Std, Some(5.0), Some(2.0), 40_000)?.min_obs(count);
        assert!(of(1).is_ok() && of(AttenuatedSignal::MAX_READINGS).is_ok());
        for count in [0, AttenuatedSignal::MAX_READINGS + 1] {
            assert_eq!(
                of(count).map_err(|error| error.param().to_owned()),
                Err("min_obs".to_owned()),
                "{count}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_whole_recording_has_one_flag() -> Result<(), ParamError> {
        let values = [1.0, f64::NAN, 4.0, f64::INFINITY, 1.0, 4.0];
        for (check, spread) in [(Attenuation::Std, 1.5), (Attenuation::Range, 3.0)] {
            let test = |suspect, fail| AttenuatedSignal::new(check, Some(suspect), Some(fail), 1);
            assert_eq!(test(spread, 1.0)?.check_whole(&values), QartodFlag::Good);
            assert_eq!(test(spread * 1.01, 1.0)?.check_whole(&values), QartodFlag::Suspect);
            assert_eq!(test(4.0, spread * 1.01)?.check_whole(&values), QartodFlag::Fail);
            assert_eq!(test(4.0, 1.0)?.check_whole(&[f64::NAN]), QartodFlag::Unknown);
        }
        Ok(())
    }

    #[test]
    fn a_spike_that_has_left_the_window_leaves_nothing_behind() -> Result<(), ParamError> {
        let test = AttenuatedSignal::new(Attenuation::Std, Some(1e-9), None, 10_000)?;
        for spike in [1e12, f64::MAX] {
            let mut readings: Vec<(i64, f64)> = (0..40).map(|i| (i * 1000, 0.1)).collect();
            readings[5].1 = spike;
            let flags = flags(&test, &readings);
            assert_eq!(flags[14], 1, "still in the window");
            assert!(flags[15..].iter().all(|&f| f == 3), "a constant signal is suspect: {flags:?}");
        }
        Ok(())
    }

    #[test]
    fn the_window_is_bounded_whatever_the_period() -> Result<(), ParamError> {
        for check in [Attenuation::Std, Attenuation::Range] {
            let test = AttenuatedSignal::new(check, Some(1.0), None, i64::MAX)?;
            let mut state = AttenuatedSignalState::default();
            for t in 0..40_000 {
                test.check(&mut state, (t % 7) as f64, t);
            }
            assert_eq!(state.window.len(), AttenuatedSignal::MAX_READINGS);
            assert!(state.window.capacity() * size_of::<(i64, f64)>() <= test.window_bytes());
            assert!(state.is_sound(), "a full window is kept over a restart");
            let readings = [0, 1, AttenuatedSignal::MAX_READINGS, AttenuatedSignal::MAX_READINGS + 1];
            assert_eq!(readings.map(|n| test.min_obs(n).is_ok()), [false, true, true, false]);
            assert_eq!(test.check(&mut state, 1.0, 0), QartodFlag::Unknown, "from before the last one");
            state.restart();
            assert_eq!(state.window.len(), 0);
        }
        Ok(())
    }

    #[test]
    fn a_count_that_no_window_has_is_told() {
        let most = AttenuatedSignal::MAX_READINGS as u32;
        let counted = |count, removed| {
            let moments = Moments { count, removed, ..Moments::default() };
            AttenuatedSignalState { moments, ..AttenuatedSignalState::default() }
        };
        assert!(counted(most, most).is_sound());
        assert!(!counted(most + 1, 0).is_sound() && !counted(0, most + 1).is_sound());
        let present = AttenuatedSignalState { present: 1, ..AttenuatedSignalState::default() };
        assert!(!present.is_sound());
    }
}
