//! Decodes Protobuf rows into readings.

#![deny(clippy::indexing_slicing)]

use super::envelope;
use super::fields::{Fields, content, malformed};
use super::row::{self, Row};
use super::schema::{ROWS, SENSORS};
use crate::batch::Rows as AnyRows;
use crate::{Batch, DecodeError, Limits, Reading, SensorTable};

/// Decodes a batch. Costs one allocation, for the sensor table; names, text and bytes borrow from `input`. Unknown fields
/// are ignored.
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
    let rows = Rows { fields: Fields::new(input), base_time, limits: *limits };
    let mut check = rows.clone();
    while let Some((offset, Reading { sensor, .. })) = check.row()? {
        if sensors.get(sensor).is_none() {
            return Err(DecodeError::UnknownSensor { offset, sensor });
        }
    }
    Ok(Batch {
        header,
        sensors: sensors.into(),
        left: readings,
        seqs,
        skipped: 0,
        rows: AnyRows::Protobuf(rows),
    })
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

fn table<'a>(input: &'a [u8], count: usize, limits: &Limits) -> Result<SensorTable<'a>, DecodeError> {
    let mut list = Vec::with_capacity(count);
    let mut fields = Fields::new(input);
    while let Some(field) = fields.next()? {
        if field.number == SENSORS {
            list.push(row::sensor(content(&field, "sensors")?, field.offset, limits)?);
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
    limits: Limits,
}

impl<'a> Rows<'a> {
    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        self.row().map(|row| row.map(|(_, reading)| reading)).transpose()
    }

    /// The next reading, and where it stands.
    fn row(&mut self) -> Result<Option<(usize, Reading<'a>)>, DecodeError> {
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
