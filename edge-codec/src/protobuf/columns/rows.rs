//! Readings of a columns batch, decoded one by one with a reader per array.

#![deny(clippy::indexing_slicing)]

use super::super::fields::malformed;
use super::packed::{Column, MORE};
use super::schema::{Kind, tag};
use crate::zigzag::unzigzag;
use crate::{DecodeError, Limits, Reading, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A sensor's number and the kind of its values.
pub(super) type Entry = (u32, Kind);

/// Iterator over the readings.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    entries: Arc<Vec<Entry>>,
    limits: Limits,
    /// Time of the reading before, in milliseconds since the Unix epoch; at first the base time.
    time_ms: i64,
    sensor: Column<'a>,
    time: Column<'a>,
    f64: Column<'a>,
    i64: Column<'a>,
    u64: Column<'a>,
    bool: Column<'a>,
    text: Column<'a>,
    bytes: Column<'a>,
    quality: Column<'a>,
    /// Current run of equal qualities: StatusCode, and the readings left in it.
    run: (u32, u64),
    has_qualities: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(input: &'a [u8], base_time: i64, entries: Arc<Vec<Entry>>, limits: &Limits) -> Self {
        let column = |number| Column::new(input, number);
        Self {
            entries,
            limits: *limits,
            time_ms: base_time,
            sensor: column(tag::SENSOR),
            time: column(tag::TIME),
            f64: column(tag::F64),
            i64: column(tag::I64),
            u64: column(tag::U64),
            bool: column(tag::BOOL),
            text: column(tag::TEXT),
            bytes: column(tag::BYTES),
            quality: column(tag::QUALITY),
            run: (0, 0),
            has_qualities: !matches!(column(tag::QUALITY).varint(), Ok(None)),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        Some(self.row())
    }

    pub(super) fn row(&mut self) -> Result<Reading<'a>, DecodeError> {
        let place = needed(self.sensor.varint()?, "sensor")?;
        let entry = usize::try_from(place).ok().and_then(|place| self.entries.get(place));
        let Some((sensor, kind)) = entry.copied() else {
            let sensor = u32::try_from(place).unwrap_or(u32::MAX);
            return Err(DecodeError::UnknownSensor { offset: 0, sensor });
        };
        let delta = unzigzag(needed(self.time.varint()?, "time")?);
        self.time_ms = self.time_ms.wrapping_add(delta);
        let value = self.value(kind)?;
        Ok(Reading { sensor, time: self.time_ms, value, quality: self.status()? })
    }

    fn value(&mut self, kind: Kind) -> Result<Value<'a>, DecodeError> {
        Ok(match kind {
            Kind::F64 => Value::F64(f64::from_bits(needed(self.f64.fixed64()?, "f64")?)),
            Kind::I64 => Value::I64(unzigzag(needed(self.i64.varint()?, "i64")?)),
            Kind::U64 => Value::U64(needed(self.u64.varint()?, "u64")?),
            Kind::Bool => Value::Bool(needed(self.bool.varint()?, "bool")? != 0),
            Kind::Text => {
                let (offset, content) = needed(self.text.string()?, "text")?;
                Value::Text(text(offset, content, &self.limits)?)
            }
            Kind::Bytes => {
                let (offset, content) = needed(self.bytes.string()?, "bytes")?;
                self.limits.check_text(offset, content)?;
                Value::Bytes(Cow::Borrowed(content))
            }
            Kind::Null => Value::Null,
        })
    }

    fn status(&mut self) -> Result<u32, DecodeError> {
        if !self.has_qualities {
            return Ok(0);
        }
        if self.run.1 == 0 {
            let status = needed(self.quality.varint()?, "quality")?;
            let count = needed(self.quality.varint()?, "quality")?;
            let status = status.try_into().map_err(|_| malformed(0, "quality above 32 bits"))?;
            if count == 0 {
                return Err(malformed(0, "quality has a run of 0"));
            }
            self.run = (status, count);
        }
        self.run.1 = self.run.1.saturating_sub(1);
        Ok(self.run.0)
    }

    /// Refuses arrays that have elements beyond the last reading.
    pub(super) fn end(mut self, offset: usize) -> Result<(), DecodeError> {
        for column in [self.time, self.i64, self.u64, self.bool, self.quality] {
            column.end(offset)?;
        }
        let more = self.f64.fixed64()?.is_some() || self.text.string()?.is_some();
        if more || self.bytes.string()?.is_some() || self.run.1 > 0 {
            return Err(malformed(offset, MORE));
        }
        Ok(())
    }
}

pub(super) fn needed<T>(element: Option<T>, field: &'static str) -> Result<T, DecodeError> {
    element.ok_or(DecodeError::Missing { offset: 0, field: field.into() })
}

pub(super) fn text<'a>(
    offset: usize,
    content: &'a [u8],
    limits: &Limits,
) -> Result<Cow<'a, str>, DecodeError> {
    limits.check_text(offset, content)?;
    std::str::from_utf8(content)
        .map(Cow::Borrowed)
        .map_err(|e| malformed(offset.saturating_add(e.valid_up_to()), "text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that is none would be followed by as many as there are numbers.
    #[test]
    fn a_run_of_no_qualities_is_refused() {
        let read = |runs: &[u8]| {
            // Number 19, of bytes.
            let mut input = vec![0x9a, 1, runs.len() as u8];
            input.extend(runs);
            let mut rows = Rows::new(&input, 0, Arc::default(), &Limits::default());
            (0..3).map(|_| rows.status().ok()).collect::<Vec<_>>()
        };
        assert_eq!(read(&[7, 2, 9, 1]), [Some(7), Some(7), Some(9)]);
        assert_eq!(read(&[7, 0, 9, 1])[0], None);
        assert_eq!(read(&[7, 1, 9, 0]), [Some(7), None, None]);
    }
}
