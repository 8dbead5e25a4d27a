//! The row of aggregates of one window.

use super::aggregate::Numbers;
use super::cover::Cover;
use crate::Quality;

/// The aggregates of one window. All are of its good readings; `None` where there is nothing to compute from, or where
/// the result would be no finite number.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowResult {
    /// The window's first instant; the time of the result.
    pub start: i64,
    /// The window's end, which is not part of it.
    pub end: i64,
    /// Readings in the window, good or not.
    pub readings: u64,
    /// The quality of the aggregates.
    pub quality: Quality,
    numbers: Numbers,
    cover: Cover,
}

/// One of the aggregates.
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
    /// The middle one; the mean of the two middle ones.
    Median,
    /// The standard deviation of the population.
    StdPop,
    /// Sum of the readings.
    Sum,
    /// The average over time, each reading held until the next.
    TimeAvgStepped,
    /// The average over time of the line through the readings, with interpolated values at the window's bounds.
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

    /// Arithmetic mean of good readings.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.get(Aggregate::Mean)
    }

    /// The median, if it was asked for and the window had at most
    /// [`MEDIAN_READINGS_MAX`](crate::window::MEDIAN_READINGS_MAX) readings.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.get(Aggregate::Median)
    }

    /// Returns any of the aggregates. The count is always there.
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
