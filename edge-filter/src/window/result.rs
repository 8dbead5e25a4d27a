//! Result of one window: its row of aggregates.

use super::aggregate::Numbers;
use super::cover::Cover;
use crate::Quality;

/// Aggregates of one window, computed from its good readings. An aggregate is `None` if there is nothing to compute it from, or if it would not
/// be a finite number.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowResult {
    /// First instant of the window, which is the time of the result.
    pub start: i64,
    /// End of the window, which is not part of it.
    pub end: i64,
    /// Number of readings in the window, good or not.
    pub readings: u64,
    /// Quality of the aggregates.
    pub quality: Quality,
    numbers: Numbers,
    cover: Cover,
}

/// Aggregate that a window computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Aggregate {
    /// Number of good readings.
    Count,
    /// Value of the earliest reading.
    First,
    /// Value of the latest reading.
    Last,
    /// Value of the least reading.
    Min,
    /// Value of the greatest reading.
    Max,
    /// Arithmetic mean of the readings.
    Mean,
    /// Median: the middle reading, or the mean of the two middle ones.
    Median,
    /// Standard deviation of the population.
    StdPop,
    /// Sum of the readings.
    Sum,
    /// Average over time, where each reading is held until the next.
    TimeAvgStepped,
    /// Average over time of the line through the readings, with interpolated values at the window's bounds.
    TimeAvgSloped,
}

impl WindowResult {
    pub(super) fn new(
        start: i64,
        end: i64,
        readings: u64,
        quality: Quality,
        numbers: Numbers,
        cover: Cover,
    ) -> Self {
        WindowResult { start, end, readings, quality, numbers, cover }
    }

    /// Number of good readings.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.numbers.count
    }

    /// Returns the arithmetic mean of the good readings; `None` if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.get(Aggregate::Mean)
    }

    /// Returns the median; `None` if it was not configured, or the window had more than
    /// [`MEDIAN_READINGS_MAX`](crate::window::MEDIAN_READINGS_MAX) readings.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.get(Aggregate::Median)
    }

    /// Returns any of the aggregates. The count is never `None`.
    #[must_use]
    pub fn get(&self, aggregate: Aggregate) -> Option<f64> {
        let numbers = &self.numbers;
        let of = |value: f64| (numbers.count > 0).then_some(value);
        let value = match aggregate {
            Aggregate::Count => Some(numbers.count as f64),
            Aggregate::First => of(numbers.first.1),
            Aggregate::Last => of(numbers.last.1),
            Aggregate::Min => of(numbers.min),
            Aggregate::Max => of(numbers.max),
            Aggregate::Mean => of(numbers.mean()),
            Aggregate::Median => numbers.median(),
            Aggregate::StdPop => of(numbers.std()),
            Aggregate::Sum => of(numbers.sum.total()),
            Aggregate::TimeAvgStepped => self.cover.average(false).or(of(numbers.last.1)),
            Aggregate::TimeAvgSloped => self.cover.average(true).or(of(numbers.last.1)),
        };
        value.filter(|value| value.is_finite())
    }
}
