//! Decoded columns as series, for columnar access.

#![deny(clippy::indexing_slicing)]

use super::rows::{Column, Rows};
use crate::compact::values::kind::Kind;
use crate::{Series, SeriesValues};

impl<'a> Rows<'a> {
    /// Returns all columns. `None`: fewer than all readings are `left`, because some were returned already.
    pub(crate) fn series(&self, left: usize) -> Option<Vec<Series<'a>>> {
        if left != self.values.len() {
            return None;
        }
        self.columns.iter().map(|column| self.column_series(column)).collect()
    }

    fn column_series(&self, column: &Column) -> Option<Series<'a>> {
        let (skip, len) = (column.skip as usize, column.len as usize);
        let instants = column.times + skip..column.times + skip + len;
        let first = column.values.wrapping_add(column.skip) as usize;
        let bits = self.values.get(first..first + len)?;
        let values = match column.kind {
            Kind::F64 => SeriesValues::F64(bits.iter().map(|v| f64::from_bits(*v)).collect()),
            Kind::I64 => SeriesValues::I64(bits.iter().map(|v| *v as i64).collect()),
            Kind::U64 => SeriesValues::U64(bits.to_vec()),
            Kind::Bool => SeriesValues::Bool(bits.iter().map(|v| *v != 0).collect()),
            Kind::Mixed => {
                let kinds = self.kinds.get(first..first + len)?;
                SeriesValues::of(kinds.iter().zip(bits).map(|(kind, v)| self.value(*kind, *v)))
            }
            kind => SeriesValues::Other(bits.iter().map(|v| self.value(kind, *v)).collect()),
        };
        let qualities = self.qualities.get(first..first + len).unwrap_or_default();
        let qualities = if qualities.iter().all(|q| *q == 0) { Vec::new() } else { qualities.to_vec() };
        Some(Series { sensor: column.sensor, times: self.times.get(instants)?.to_vec(), values, qualities })
    }
}
