//! Resolution of packs into readings: base fields applied, names concatenated, times absolute (RFC 8428 §4.6).

#![deny(clippy::indexing_slicing)]

use super::number::{add, to_ms};
use super::record::Record;
use super::{RELATIVE_BELOW_S, VERSION, VERSION_WITH_MORE_UNITS};
use crate::batch::Rows;
use crate::{Batch, DecodeError, Header, Limits, Reading, Sensor, SensorTable, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Most bytes of resolved names per byte of input, because a long base name before many short names would otherwise fill the memory.
const NAME_BYTES_PER_BYTE: usize = 16;

/// Resolver that takes the records of a pack one after the other.
pub(super) struct Resolver<'a> {
    limits: Limits,
    arrival_ms: Option<i64>,
    base: Base<'a>,
    texts: HashMap<Cow<'a, str>, u32>,
    numbers: HashMap<Key, u32>,
    sensors: Vec<Sensor<'a>>,
    name_bytes_left: usize,
    header: Header,
    runs: Option<Vec<u64>>,
    skipped: usize,
    readings: Vec<Reading<'a>>,
}

/// Base fields in effect; name and unit with the numbers of their texts.
#[derive(Default)]
struct Base<'a> {
    name: (Cow<'a, str>, u32),
    unit: (Cow<'a, str>, u32),
    time: f64,
    value: Option<Value<'a>>,
    sum: Option<Value<'a>>,
}

/// Key of a sensor: base name, name and unit as numbers of texts, and whether it is the integral (the sum `s`).
type Key = (u32, u32, u32, bool);

impl<'a> Resolver<'a> {
    /// Makes a resolver for an input of `bytes` bytes with at most `records` records.
    pub(super) fn new(bytes: usize, records: usize, arrival_ms: Option<i64>, limits: &Limits) -> Self {
        Self {
            limits: *limits,
            arrival_ms,
            base: Base::default(),
            texts: HashMap::from([(Cow::Borrowed(""), 0)]),
            numbers: HashMap::new(),
            sensors: Vec::new(),
            name_bytes_left: bytes.saturating_mul(NAME_BYTES_PER_BYTE),
            header: Header::default(),
            runs: None,
            skipped: 0,
            readings: Vec::with_capacity(records),
        }
    }

    /// Takes a record that ends at the byte `offset`.
    pub(super) fn record(&mut self, offset: usize, mut record: Record<'a>) -> Result<(), DecodeError> {
        self.header(offset, &mut record)?;
        let regular = record.is_regular();
        self.rebase(&mut record);
        let value = self.value(record.value, regular);
        let sum = match (&self.base.sum, record.sum) {
            (Some(base), Some(sum)) => add(base, &sum),
            (Some(base), None) if regular => Some(base.clone()),
            (_, sum) => sum,
        };
        if value.is_none() && sum.is_none() {
            self.skipped = self.skipped.saturating_add(regular.into());
            return Ok(());
        }
        let time = self.time(offset, record.time)?;
        let (name, unit) = (record.name.unwrap_or_default(), record.unit);
        let quality = record.quality;
        if let Some(value) = sum {
            let sensor = self.sensor(offset, name.clone(), unit.clone(), true)?;
            self.push(offset, Reading { sensor, time, value, quality })?;
        }
        if let Some(value) = value {
            let sensor = self.sensor(offset, name, unit, false)?;
            self.push(offset, Reading { sensor, time, value, quality })?;
        }
        Ok(())
    }

    /// Returns the batch. The input ends at the byte `offset`.
    pub(super) fn finish(self, offset: usize) -> Result<Batch<'a>, DecodeError> {
        let left = self.readings.len();
        let seqs = crate::seq_runs::seqs(offset, &self.header, self.runs, left)?;
        let sensors = SensorTable::from_unsorted(self.sensors)
            .map_err(|twice| DecodeError::Duplicate { offset, field: format!("sensor {twice}").into() })?;
        let rows = Rows::Ready(self.readings.into_iter());
        Ok(Batch { header: self.header, sensors: sensors.into(), left, seqs, skipped: self.skipped, rows })
    }

    fn header(&mut self, offset: usize, record: &mut Record<'a>) -> Result<(), DecodeError> {
        if let Some(found) = record.version.filter(|v| *v > VERSION && *v != VERSION_WITH_MORE_UNITS) {
            return Err(DecodeError::Version { offset, found, supported: VERSION });
        }
        self.header.id = record.id.or(self.header.id);
        self.header.pd |= record.pd;
        self.runs = record.seqs.take().or_else(|| self.runs.take());
        Ok(())
    }

    fn rebase(&mut self, record: &mut Record<'a>) {
        if let Some(name) = record.base_name.take() {
            self.base.name = (name.clone(), self.text(name));
        }
        if let Some(unit) = record.base_unit.take() {
            self.base.unit = (unit.clone(), self.text(unit));
        }
        if let Some(time) = record.base_time {
            self.base.time = time;
        }
        self.base.value = record.base_value.take().or_else(|| self.base.value.take());
        self.base.sum = record.base_sum.take().or_else(|| self.base.sum.take());
    }

    fn value(&self, value: Option<Value<'a>>, regular: bool) -> Option<Value<'a>> {
        match (&self.base.value, value) {
            (Some(base), Some(v @ (Value::F64(_) | Value::I64(_) | Value::U64(_)))) => add(base, &v),
            (Some(base), None) if regular => Some(base.clone()),
            (_, value) => value,
        }
    }

    fn time(&self, offset: usize, time: Option<f64>) -> Result<i64, DecodeError> {
        let seconds = self.base.time + time.unwrap_or(0.0);
        let out_of_range = || DecodeError::Malformed { offset, what: "time out of range".into() };
        let ms = to_ms(seconds).ok_or_else(out_of_range)?;
        if seconds >= RELATIVE_BELOW_S as f64 {
            return Ok(ms);
        }
        let field = "time of arrival, from which a time below 2^28 seconds counts";
        let arrival_ms = self.arrival_ms.ok_or(DecodeError::Missing { offset, field: field.into() })?;
        arrival_ms.checked_add(ms).ok_or_else(out_of_range)
    }

    fn sensor(
        &mut self,
        offset: usize,
        name: Cow<'a, str>,
        unit: Option<Cow<'a, str>>,
        sum: bool,
    ) -> Result<u32, DecodeError> {
        let unit_number = match &unit {
            None => self.base.unit.1,
            Some(unit) => self.text(unit.clone()),
        };
        let key = (self.base.name.1, self.text(name.clone()), unit_number, sum);
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let (limit, found) = (self.limits.sensors, self.sensors.len() as u64 + 1);
        let number = u32::try_from(self.sensors.len()).ok().filter(|_| self.sensors.len() < limit);
        let id = number.ok_or(DecodeError::Limit { what: "sensors", offset, limit, found })?;
        let unit = unit.unwrap_or_else(|| self.base.unit.0.clone());
        let (name, unit) = self.resolved(offset, name, unit, sum)?;
        self.numbers.insert(key, id);
        self.sensors.push(Sensor { id, name, unit });
        Ok(id)
    }

    /// Returns name and unit in full, base fields included.
    fn resolved(
        &mut self,
        offset: usize,
        name: Cow<'a, str>,
        unit: Cow<'a, str>,
        sum: bool,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), DecodeError> {
        let base = &self.base.name.0;
        if base.is_empty() && name.is_empty() {
            return Err(DecodeError::Missing { offset, field: "n, or bn before it,".into() });
        }
        let bytes = base.len().saturating_add(name.len()).saturating_add(unit.len()).saturating_add(8);
        self.name_bytes_left = self.name_bytes_left.checked_sub(bytes).ok_or_else(|| {
            let what = "resolved names are longer than sixteen times the input";
            DecodeError::Malformed { offset, what: what.into() }
        })?;
        Ok(match (base.is_empty(), name.is_empty(), sum) {
            (true, _, false) => (name, unit),
            (false, true, false) => (base.clone(), unit),
            (false, false, false) => (format!("{base}{name}").into(), unit),
            (_, _, true) if unit.is_empty() => (format!("{base}{name}#sum").into(), unit),
            (_, _, true) => (format!("{base}{name}#sum").into(), format!("{unit}.s").into()),
        })
    }

    /// Returns the number of a text, the same for equal texts.
    fn text(&mut self, text: Cow<'a, str>) -> u32 {
        // There are fewer texts than bytes in the input, which are fewer than 2^32 unless the caller allows more;
        // then two sensors could get one number, so they get the last one and are not told apart by name.
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        *self.texts.entry(text).or_insert(next)
    }

    fn push(&mut self, offset: usize, reading: Reading<'a>) -> Result<(), DecodeError> {
        let (limit, found) = (self.limits.readings, self.readings.len() as u64 + 1);
        if self.readings.len() >= limit {
            return Err(DecodeError::Limit { what: "readings", offset, limit, found });
        }
        self.readings.push(reading);
        Ok(())
    }
}
