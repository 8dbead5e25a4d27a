//! Protobuf to readings.

#![deny(clippy::indexing_slicing)]

use super::envelope::{self, refused};
use super::fields::{Fields, content, malformed, shifted};
use super::schema::{self, ROWS, SENSORS};
use crate::batch::Rows as AnyRows;
use crate::{Batch, DecodeError, Limits, Reading, Sensor, SensorTable, Value};
use prost::Message;
use std::borrow::Cow;

/// Decodes a batch. Costs one allocation for the sensor table, two per sensor, and one per reading whose value is
/// text or bytes; unknown fields are ignored.
///
/// # Errors
/// Everything in [`DecodeError`] that the [`limits`](Limits) and the schema refuse. Protobuf has no end mark, so an
/// input cut between two fields is a shorter batch: the transport must tell its length.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let (sensors, readings) = count(input, limits)?;
    let (header, base_time) = envelope::read(input)?;
    let sensors = table(input, sensors, limits)?;
    let seqs = crate::batch::seqs(0, &header, envelope::runs(input, limits)?, readings)?;
    let rows = Rows { fields: Fields::new(input), base_time, text_bytes: limits.text_bytes };
    let mut check = rows.clone();
    while let Some(row) = check.row()? {
        if sensors.get(row.reading.sensor).is_none() {
            return Err(DecodeError::UnknownSensor { offset: row.offset, sensor: row.reading.sensor });
        }
    }
    Ok(Batch { header, sensors, left: readings, seqs, skipped: 0, rows: AnyRows::Protobuf(rows) })
}

/// Counts before anything is allocated.
fn count(input: &[u8], limits: &Limits) -> Result<(usize, usize), DecodeError> {
    let (mut sensors, mut readings) = (0_usize, 0_usize);
    let mut fields = Fields::new(input);
    while let Some(field) = fields.next()? {
        let (what, n, limit) = match field.number {
            SENSORS => ("sensors", &mut sensors, limits.sensors),
            ROWS => ("readings", &mut readings, limits.readings),
            _ => continue,
        };
        content(&field, what)?;
        *n = n.saturating_add(1);
        if *n > limit {
            return Err(DecodeError::Limit { what, offset: field.offset, limit, found: *n as u64 });
        }
    }
    Ok((sensors, readings))
}

fn table<'a>(input: &[u8], count: usize, limits: &Limits) -> Result<SensorTable<'a>, DecodeError> {
    let mut list = Vec::with_capacity(count);
    let mut fields = Fields::new(input);
    while let Some(field) = fields.next()? {
        if field.number == SENSORS {
            let offset = field.offset;
            let entry = content(&field, "sensors")?;
            check_text(entry, offset, limits.text_bytes)?;
            let s = schema::Sensor::decode(entry).map_err(|e| refused(offset, &e))?;
            list.push(Sensor { id: s.id, name: Cow::Owned(s.name), unit: Cow::Owned(s.unit) });
        }
    }
    SensorTable::from_unsorted(list)
        .map_err(|twice| DecodeError::Duplicate { offset: 0, field: format!("sensor {twice}").into() })
}

/// Decodes the rows one by one.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    fields: Fields<'a>,
    base_time: i64,
    text_bytes: usize,
}

struct Row<'a> {
    offset: usize,
    reading: Reading<'a>,
}

impl<'a> Rows<'a> {
    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        self.row().map(|row| row.map(|row| row.reading)).transpose()
    }

    fn row(&mut self) -> Result<Option<Row<'a>>, DecodeError> {
        while let Some(field) = self.fields.next()? {
            if field.number == ROWS {
                let offset = field.offset;
                let reading = self.reading(offset, content(&field, "rows")?)?;
                return Ok(Some(Row { offset, reading }));
            }
        }
        Ok(None)
    }

    fn reading(&self, offset: usize, content: &[u8]) -> Result<Reading<'a>, DecodeError> {
        check_text(content, offset, self.text_bytes)?;
        let row = schema::Row::decode(content).map_err(|e| refused(offset, &e))?;
        let time = self.base_time.checked_add(row.time);
        Ok(Reading {
            sensor: row.sensor,
            time: time.ok_or_else(|| malformed(offset, "time out of range"))?,
            value: value(offset, row.value)?,
            quality: row.quality,
        })
    }
}

/// An absent value is one that a newer schema has and we do not know: taking it for null would be a lie.
fn value(offset: usize, value: Option<schema::Value>) -> Result<Value<'static>, DecodeError> {
    Ok(match value {
        Some(schema::Value::F64(v)) => Value::F64(v),
        Some(schema::Value::I64(v)) => Value::I64(v),
        Some(schema::Value::U64(v)) => Value::U64(v),
        Some(schema::Value::Bool(v)) => Value::Bool(v),
        Some(schema::Value::Text(v)) => Value::Text(Cow::Owned(v)),
        Some(schema::Value::Bytes(v)) => Value::Bytes(Cow::Owned(v)),
        Some(schema::Value::Null(_)) => Value::Null,
        None => return Err(DecodeError::Missing { offset, field: "value of a known kind".into() }),
    })
}

/// No string in a message is longer than allowed. Repeats are looked at one by one: prost keeps the last.
fn check_text(content: &[u8], offset: usize, limit: usize) -> Result<(), DecodeError> {
    let mut fields = Fields::new(content);
    while let Some(field) = fields.next().map_err(|e| shifted(e, offset))? {
        let len = field.content.map_or(0, <[u8]>::len);
        if len > limit {
            let offset = offset.saturating_add(field.offset);
            return Err(DecodeError::Limit { what: "text bytes", offset, limit, found: len as u64 });
        }
    }
    Ok(())
}
