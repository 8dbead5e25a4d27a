//! Decodes Protobuf columns into readings.

#![deny(clippy::indexing_slicing)]

use super::super::envelope;
use super::super::fields::malformed;
use super::packed::{Column, MORE, unzigzag};
use super::schema::{Kind, tag};
use crate::batch::Rows as AnyRows;
use crate::{Batch, DecodeError, Limits, Reading, Sensor, SensorTable, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// Decodes a batch; text and bytes borrow from `input`.
///
/// Costs two allocations for the sensor table and none per reading; unknown fields are ignored.
///
/// # Errors
/// Everything in [`DecodeError`] that the [`limits`](Limits) and the schema refuse. Protobuf has no end mark, but an
/// input that is cut lacks values for its readings and is refused, unless it has lost nothing but the qualities.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let (entries, readings) = count(input, limits)?;
    let (header, base_time) = envelope::read(input)?;
    let (sensors, entries) = table(input, entries, limits)?;
    let seqs = crate::batch::seqs(0, &header, envelope::runs(input, limits)?, readings)?;
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

/// Counts before anything is allocated: entries of the table, readings.
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

/// A sensor's number and what kind its values are.
type Entry = (u32, Kind);

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

fn text<'a>(offset: usize, content: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, DecodeError> {
    limits.check_text(offset, content)?;
    std::str::from_utf8(content)
        .map(Cow::Borrowed)
        .map_err(|e| malformed(offset.saturating_add(e.valid_up_to()), "text is not UTF-8"))
}

/// Decodes the readings one by one, with a reader in each array.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    entries: Arc<Vec<Entry>>,
    limits: Limits,
    /// Of the reading before, at first the base time.
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
    /// The run of equal qualities we are in: status and readings left.
    run: (u32, u64),
    has_qualities: bool,
}

impl<'a> Rows<'a> {
    fn new(input: &'a [u8], base_time: i64, entries: Arc<Vec<Entry>>, limits: &Limits) -> Self {
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

    fn row(&mut self) -> Result<Reading<'a>, DecodeError> {
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

    /// Checks that the arrays end together.
    fn end(mut self, offset: usize) -> Result<(), DecodeError> {
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

fn needed<T>(element: Option<T>, field: &'static str) -> Result<T, DecodeError> {
    element.ok_or(DecodeError::Missing { offset: 0, field: field.into() })
}
