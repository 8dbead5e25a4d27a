//! Decoding of Protobuf columns into readings.

#![deny(clippy::indexing_slicing)]

use super::super::envelope;
use super::super::fields::malformed;
use super::packed::{Column, MORE};
use super::rows::{Entry, Rows, needed, text};
use super::schema::{Kind, tag};
use crate::batch::Rows as AnyRows;
use crate::{Batch, DecodeError, Limits, Sensor, SensorTable};
use std::borrow::Cow;
use std::sync::Arc;

/// Decodes a batch; text and bytes borrow from `input`.
///
/// It costs two allocations for the sensor table and none per reading. Unknown fields are ignored.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the schema do not allow. Protobuf has no end mark, but an input that is cut
/// lacks elements of its arrays and is refused, with two exceptions. Cut between two fields before its base time and its first sensor, it is a
/// batch without readings. Cut at the end of the values or of the qualities, it has all its readings, but may have lost their qualities
/// (all are good then) and the numbers of the sensors (they are 0, 1, … then); if a value is no double, this is noticed too.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let (entries, readings) = count(input, limits)?;
    let (header, base_time) = envelope::read(input)?;
    // A table or a base time is there for readings: without one, the input was cut before its arrays.
    if readings == 0 && (entries > 0 || base_time != 0) {
        return Err(DecodeError::Missing { offset: input.len(), field: "sensor".into() });
    }
    let (sensors, entries) = table(input, entries, limits)?;
    let seqs = crate::seq_runs::seqs(0, &header, envelope::runs(input, limits)?, readings)?;
    let rows = Rows::new(input, base_time, entries, limits);
    let mut check = rows.clone();
    for _ in 0..readings {
        check.row()?;
    }
    check.end(input.len())?;
    Ok(Batch {
        header,
        sensors: sensors.into(),
        left: readings,
        seqs,
        skipped: 0,
        rows: AnyRows::Columns(Box::new(rows)),
    })
}

/// Counts the entries of the sensor table and the readings, before anything is allocated.
fn count(input: &[u8], limits: &Limits) -> Result<(usize, usize), DecodeError> {
    let mut entries = 0_usize;
    let mut names = Column::new(input, tag::NAME);
    while let Some((offset, _)) = names.string()? {
        entries = entries.saturating_add(1);
        let limit = limits.sensors;
        if entries > limit {
            return Err(DecodeError::Limit { what: "sensors", offset, limit, found: entries as u64 });
        }
    }
    let mut readings = 0_usize;
    let mut sensors = Column::new(input, tag::SENSOR);
    while sensors.varint()?.is_some() {
        readings = readings.saturating_add(1);
        let limit = limits.readings;
        if readings > limit {
            let offset = input.len();
            return Err(DecodeError::Limit { what: "readings", offset, limit, found: readings as u64 });
        }
    }
    Ok((entries, readings))
}

fn table<'a>(
    input: &'a [u8],
    count: usize,
    limits: &Limits,
) -> Result<(SensorTable<'a>, Arc<Vec<Entry>>), DecodeError> {
    let mut list = Vec::with_capacity(count);
    let mut entries = Vec::with_capacity(count);
    let column = |number| Column::new(input, number);
    let mut names = column(tag::NAME);
    // `None`: the array is absent, and all entries are as its absence says.
    let mut units = column(tag::UNIT).string()?.map(|_| column(tag::UNIT));
    let mut ids = column(tag::ID).varint()?.map(|_| column(tag::ID));
    let mut kinds = column(tag::KIND).varint()?.map(|_| column(tag::KIND));
    while let Some((offset, name)) = names.string()? {
        let name = text(offset, name, limits)?;
        let unit = match &mut units {
            None => Cow::Borrowed(""),
            Some(units) => {
                let (offset, unit) = needed(units.string()?, "unit")?;
                text(offset, unit, limits)?
            }
        };
        let id = match &mut ids {
            None => entries.len() as u64,
            Some(ids) => needed(ids.varint()?, "id")?,
        };
        let kind = match &mut kinds {
            None => Some(Kind::F64),
            Some(kinds) => kind(needed(kinds.varint()?, "kind")?),
        };
        let id = id.try_into().map_err(|_| malformed(offset, "sensor number above 32 bits"))?;
        entries.push((id, kind.ok_or_else(|| malformed(offset, "values of an unknown kind"))?));
        list.push(Sensor { id, name, unit });
    }
    // The second entry of a sensor repeats nothing but its number.
    list.sort_unstable_by_key(|s| (s.id, s.name.is_empty() && s.unit.is_empty()));
    list.dedup_by(|later, first| later.id == first.id && later.name.is_empty() && later.unit.is_empty());
    let sensors = SensorTable::from_unsorted(list)
        .map_err(|twice| DecodeError::Duplicate { offset: 0, field: format!("sensor {twice}").into() })?;
    for rest in [ids, kinds].into_iter().flatten() {
        rest.end(input.len())?;
    }
    if units.is_some_and(|mut units| !matches!(units.string(), Ok(None))) {
        return Err(malformed(input.len(), MORE));
    }
    Ok((sensors, Arc::new(entries)))
}

fn kind(number: u64) -> Option<Kind> {
    Kind::try_from(i32::try_from(number).ok()?).ok()
}
