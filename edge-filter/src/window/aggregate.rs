//! Aggregates of numbers, updated with every number.

use crate::snapshot_serde::{OverflowingNumber, as_array};

/// Most readings of one window from which a median is computed; a window with more has none.
pub const MEDIAN_READINGS_MAX: usize = 65_536;

/// Count, extremes, sum and variance of numbers, and the numbers themselves if a median is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) count: u64,
    pub(super) first: (i64, f64),
    pub(super) last: (i64, f64),
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: Sum,
    /// Welford's running mean and sum of squared deviations.
    mean: OverflowingNumber,
    squares: OverflowingNumber,
    values: Vec<f64>,
}

as_array!(Numbers { count, first, last, min, max, sum, mean, squares, values });

impl Numbers {
    pub(super) fn add(&mut self, time: i64, value: f64, keep: bool) {
        if self.count == 0 {
            (self.first, self.last, self.min, self.max) = ((time, value), (time, value), value, value);
        }
        self.count = self.count.saturating_add(1);
        if time < self.first.0 {
            self.first = (time, value);
        }
        if time >= self.last.0 {
            self.last = (time, value);
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum.add(value);
        let before = value - self.mean.0;
        self.mean.0 += before / self.count as f64;
        self.squares.0 += before * (value - self.mean.0);
        if keep && self.values.len() <= MEDIAN_READINGS_MAX {
            self.values.push(value);
        }
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(super) fn is_sound(&self) -> bool {
        let kept = self.values.len();
        let numbers = [self.first.1, self.last.1, self.min, self.max];
        kept <= MEDIAN_READINGS_MAX + 1 && kept as u64 <= self.count && numbers.iter().all(|n| n.is_finite())
    }

    pub(super) fn mean(&self) -> f64 {
        let sum = self.sum.total();
        // The sum may be too large for a number where the mean is not.
        if sum.is_finite() { sum / self.count as f64 } else { self.mean.0 }
    }

    /// Returns the standard deviation of the whole population.
    pub(super) fn std(&self) -> f64 {
        let variance = self.squares.0 / self.count as f64;
        // What cannot be computed is no zero.
        if variance < 0.0 { 0.0 } else { variance.sqrt() }
    }

    /// Returns the median: the middle number, or the middle between the two. `None` if the numbers were not kept, or were too many.
    pub(super) fn median(&self) -> Option<f64> {
        let readings = self.values.len();
        if readings as u64 != self.count || !(1..=MEDIAN_READINGS_MAX).contains(&readings) {
            return None;
        }
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let upper = *sorted.get(readings / 2)?;
        if readings % 2 == 1 {
            return Some(upper);
        }
        let lower = *sorted.get(readings / 2 - 1)?;
        Some(lower.midpoint(upper))
    }
}

/// Sum that keeps the digits which rounding would lose (Neumaier).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Sum(OverflowingNumber, OverflowingNumber);

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let Self(OverflowingNumber(before), OverflowingNumber(rest)) = self;
        let sum = *before + value;
        let (large, small) = if before.abs() >= value.abs() { (*before, value) } else { (value, *before) };
        *rest += (large - sum) + small;
        *before = sum;
    }

    pub(super) fn total(self) -> f64 {
        self.0.0 + self.1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_kept_for_a_median_are_bounded() {
        let mut numbers = Numbers::default();
        for n in 0..MEDIAN_READINGS_MAX as i64 + 100 {
            numbers.add(n, n as f64, true);
        }
        assert!(numbers.values.len() <= MEDIAN_READINGS_MAX + 1, "{}", numbers.values.len());
        assert_eq!(numbers.median(), None, "not all of its readings are there");
        assert!(numbers.is_sound());
    }
}
