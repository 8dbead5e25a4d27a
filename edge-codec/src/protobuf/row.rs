//! Rows and entries of the sensor table, field by field: prost would allocate for every string, and these borrow.
//!
//! Like every Protobuf reader: unknown fields are ignored, and of a field that stands twice the last one counts.

#![deny(clippy::indexing_slicing)]

use super::fields::{Field, Fields, content, malformed, shifted};
use super::schema::{ROWS, tag};
use crate::zigzag::unzigzag;
use crate::{DecodeError, Limits, Reading, Sensor, Value};
use std::borrow::Cow;

/// Iterator that decodes the rows one by one.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    fields: Fields<'a>,
    base_time: i64,
    limits: Limits,
}

impl<'a> Rows<'a> {
    pub(super) fn new(input: &'a [u8], base_time: i64, limits: &Limits) -> Self {
        Self { fields: Fields::new(input), base_time, limits: *limits }
    }

    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        self.row().map(|row| row.map(|(_, reading)| reading)).transpose()
    }

    /// Returns the next reading with its byte offset; `None` after the last.
    pub(super) fn row(&mut self) -> Result<Option<(usize, Reading<'a>)>, DecodeError> {
        while let Some(field) = self.fields.next()? {
            if field.number == ROWS {
                let offset = field.offset;
                let row = Row::read(content(&field, "rows")?, offset, &self.limits)?;
                return self.reading(offset, row).map(|reading| Some((offset, reading)));
            }
        }
        Ok(None)
    }

    fn reading(&self, offset: usize, row: Row<'a>) -> Result<Reading<'a>, DecodeError> {
        let time = self.base_time.checked_add(row.time);
        // Taking an absent value, one of a kind that we do not know, for null would be a lie.
        let value =
            row.value.ok_or(DecodeError::Missing { offset, field: "value of a known kind".into() })?;
        Ok(Reading {
            sensor: row.sensor,
            time: time.ok_or_else(|| malformed(offset, "time out of range"))?,
            value,
            quality: row.quality,
        })
    }
}

/// One reading as it stands in a batch.
#[derive(Debug, Default)]
struct Row<'a> {
    sensor: u32,
    /// Milliseconds since the base time.
    time: i64,
    /// Value of the reading. `None`: a kind that only a newer schema has.
    value: Option<Value<'a>>,
    quality: u32,
}

impl<'a> Row<'a> {
    /// Reads the message that starts at the byte `offset` of the input.
    fn read(content: &'a [u8], offset: usize, limits: &Limits) -> Result<Self, DecodeError> {
        let mut row = Self::default();
        each(content, offset, limits, |field| row.set(field, limits))?;
        Ok(row)
    }

    fn set(&mut self, field: &Field<'a>, limits: &Limits) -> Result<(), DecodeError> {
        use tag::row as tag;
        match field.number {
            // As Protobuf reads numbers that are too long: their low bits count.
            tag::SENSOR => self.sensor = field.number()? as u32,
            tag::TIME => self.time = unzigzag(field.number()?),
            tag::F64 => self.value = Some(Value::F64(f64::from_bits(field.bits64("f64 is not a double")?))),
            tag::I64 => self.value = Some(Value::I64(unzigzag(field.number()?))),
            tag::U64 => self.value = Some(Value::U64(field.number()?)),
            tag::BOOL => self.value = Some(Value::Bool(field.number()? != 0)),
            tag::TEXT => self.value = Some(Value::Text(Cow::Borrowed(field.text(limits)?))),
            tag::BYTES => self.value = Some(Value::Bytes(Cow::Borrowed(field.bytes(limits)?))),
            tag::NULL => self.value = field.number().map(|_| Some(Value::Null))?,
            tag::QUALITY => self.quality = field.number()? as u32,
            _ => {}
        }
        Ok(())
    }
}

/// Reads an entry of the sensor table.
pub(super) fn sensor<'a>(
    content: &'a [u8],
    offset: usize,
    limits: &Limits,
) -> Result<Sensor<'a>, DecodeError> {
    use tag::sensor as tag;
    let mut sensor = Sensor { id: 0, name: Cow::Borrowed(""), unit: Cow::Borrowed("") };
    each(content, offset, limits, |field| {
        match field.number {
            tag::ID => sensor.id = field.number()? as u32,
            tag::NAME => sensor.name = Cow::Borrowed(field.text(limits)?),
            tag::UNIT => sensor.unit = Cow::Borrowed(field.text(limits)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(sensor)
}

/// Gives every field to `take`, after checking its length, whether the field is known or not.
fn each<'a>(
    content: &'a [u8],
    offset: usize,
    limits: &Limits,
    mut take: impl FnMut(&Field<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut fields = Fields::new(content);
    let mut next = || -> Result<bool, DecodeError> {
        let Some(field) = fields.next()? else { return Ok(false) };
        limits.check_text(field.offset, field.content.unwrap_or_default())?;
        take(&field).map(|()| true)
    };
    while next().map_err(|e| shifted(e, offset))? {}
    Ok(())
}
