//! Columnar access: the readings of a batch by sensor, for consumers of numbers, without a row per reading.

use crate::{Batch, DecodeError, Reading, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Readings of one sensor, as columns of equal length, in the order in which they were pushed. A column of qualities may be missing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series<'a> {
    /// Number of the sensor; [`Batch::sensors`] has its name and unit.
    pub sensor: u32,
    /// Source times in milliseconds since 1970-01-01T00:00:00Z.
    pub times: Vec<i64>,
    /// Values, bit-exact.
    pub values: SeriesValues<'a>,
    /// OPC UA StatusCodes; empty if all readings are good.
    pub qualities: Vec<u32>,
}

/// Values of a series: a list of one type, or of [`Value`]s. Exhaustive, as [`Value`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesValues<'a> {
    /// Doubles only.
    F64(Vec<f64>),
    /// Whole numbers that fit `i64` only.
    I64(Vec<i64>),
    /// Unsigned whole numbers only: above `i64::MAX`, or sent as unsigned.
    U64(Vec<u64>),
    /// Booleans only.
    Bool(Vec<bool>),
    /// Texts, bytes or nulls, or values of several kinds.
    Other(Vec<Value<'a>>),
}

impl<'a> Batch<'a> {
    /// Returns the readings that were not taken yet, by rising number of the sensor. A compact batch has them in columns already; for other
    /// formats each reading is decoded into its series. Sequence numbers are lost, because they belong to rows: [`next_seq`](Self::next_seq)
    /// returns them.
    ///
    /// ```
    /// use edge_codec::{Format, Limits, Reading, SensorTable, SeriesValues, Value};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut sensors = SensorTable::new();
    /// sensors.insert(7, "line2/temp", "Cel");
    /// let mut encoder = Format::Compact.encoder(&sensors)?;
    /// for (time, value) in [(1_000, 53.6), (2_000, 53.8)] {
    ///     encoder.push(&Reading { sensor: 7, time, value: Value::F64(value), quality: 0 })?;
    /// }
    /// let bytes = encoder.finish_under(16_184)?;
    ///
    /// let series = Format::Compact.decode(&bytes, &Limits::default())?.into_series()?;
    /// assert_eq!((series[0].sensor, &series[0].times[..]), (7, &[1_000, 2_000][..]));
    /// assert_eq!(series[0].values, SeriesValues::F64(vec![53.6, 53.8]));
    /// assert_eq!(series[0].values.to_f64(f64::NAN)[1], 53.8);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the iterator. No decoder of this crate accepts a batch whose readings fail later.
    pub fn into_series(self) -> Result<Vec<Series<'a>>, DecodeError> {
        let mut series = match self.compact_columns() {
            Some(series) => series,
            None => by_rows(self)?,
        };
        series.sort_unstable_by_key(|s| s.sensor);
        Ok(series)
    }

    /// Returns the columns of a compact batch. `None`: the batch has another format, or a reading was taken from it.
    #[cfg(feature = "compact")]
    fn compact_columns(&self) -> Option<Vec<Series<'a>>> {
        let crate::batch::Rows::Compact(rows) = &self.rows else { return None };
        rows.series(self.left)
    }

    #[cfg(not(feature = "compact"))]
    fn compact_columns(&self) -> Option<Vec<Series<'a>>> {
        None
    }
}

fn by_rows(batch: Batch<'_>) -> Result<Vec<Series<'_>>, DecodeError> {
    let mut all: Vec<Series<'_>> = Vec::new();
    let mut at_sensor: HashMap<u32, usize> = HashMap::new();
    for reading in batch {
        let Reading { sensor, time, value, quality } = reading?;
        let at = *at_sensor.entry(sensor).or_insert(all.len());
        if at == all.len() {
            let values = SeriesValues::Other(Vec::new());
            all.push(Series { sensor, times: Vec::new(), values, qualities: Vec::new() });
        }
        if let Some(series) = all.get_mut(at) {
            if quality != 0 || !series.qualities.is_empty() {
                series.qualities.resize(series.times.len(), 0);
                series.qualities.push(quality);
            }
            series.values.push(series.times.is_empty(), value);
            series.times.push(time);
        }
    }
    Ok(all)
}

impl<'a> SeriesValues<'a> {
    /// Returns the values as doubles: whole numbers as the nearest one, booleans as 0 and 1, and `missing` for every value that is not a
    /// number.
    #[must_use]
    pub fn to_f64(&self, missing: f64) -> Cow<'_, [f64]> {
        let double = |value: &Value<'_>| match value {
            Value::F64(v) => *v,
            Value::I64(v) => *v as f64,
            Value::U64(v) => *v as f64,
            Value::Bool(v) => f64::from(*v),
            Value::Text(_) | Value::Bytes(_) | Value::Null => missing,
        };
        match self {
            Self::F64(values) => Cow::Borrowed(values),
            Self::I64(values) => values.iter().map(|v| *v as f64).collect(),
            Self::U64(values) => values.iter().map(|v| *v as f64).collect(),
            Self::Bool(values) => values.iter().map(|v| f64::from(*v)).collect(),
            Self::Other(values) => values.iter().map(double).collect(),
        }
    }

    #[cfg(feature = "compact")]
    pub(crate) fn of(values: impl Iterator<Item = Value<'a>>) -> Self {
        let mut list = Self::Other(Vec::new());
        values.enumerate().for_each(|(at, value)| list.push(at == 0, value));
        list
    }

    fn push(&mut self, is_first: bool, value: Value<'a>) {
        match (&mut *self, value) {
            (Self::F64(values), Value::F64(v)) => values.push(v),
            (Self::I64(values), Value::I64(v)) => values.push(v),
            (Self::U64(values), Value::U64(v)) => values.push(v),
            (Self::Bool(values), Value::Bool(v)) => values.push(v),
            (_, Value::F64(v)) if is_first => *self = Self::F64(vec![v]),
            (_, Value::I64(v)) if is_first => *self = Self::I64(vec![v]),
            (_, Value::U64(v)) if is_first => *self = Self::U64(vec![v]),
            (_, Value::Bool(v)) if is_first => *self = Self::Bool(vec![v]),
            (Self::Other(values), other) => values.push(other),
            (_, other) => {
                let mut values = std::mem::replace(self, Self::Other(Vec::new())).into_values();
                values.push(other);
                *self = Self::Other(values);
            }
        }
    }

    fn into_values(self) -> Vec<Value<'a>> {
        match self {
            Self::F64(values) => values.into_iter().map(Value::F64).collect(),
            Self::I64(values) => values.into_iter().map(Value::I64).collect(),
            Self::U64(values) => values.into_iter().map(Value::U64).collect(),
            Self::Bool(values) => values.into_iter().map(Value::Bool).collect(),
            Self::Other(values) => values,
        }
    }
}
