//! Decoding of Protobuf rows into readings.

#![deny(clippy::indexing_slicing)]

use super::envelope;
use super::fields::{Fields, content};
use super::row::{self, Rows};
use super::schema::{ROWS, SENSORS};
use crate::batch::Rows as AnyRows;
use crate::{Batch, DecodeError, Limits, Reading, SensorTable};

/// Decodes a batch. It costs one allocation, for the sensor table; names, text and bytes borrow from `input`. Unknown fields are ignored.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the schema do not allow. Protobuf has no end mark, so an input cut between two
/// fields is a shorter batch: the transport must tell its length.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let (sensors, readings) = count(input, limits)?;
    let (header, base_time) = envelope::read(input)?;
    let sensors = table(input, sensors, limits)?;
    let seqs = crate::seq_runs::seqs(0, &header, envelope::runs(input, limits)?, readings)?;
    let rows = Rows::new(input, base_time, limits);
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

/// Counts the sensors and the readings, before anything is allocated.
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
