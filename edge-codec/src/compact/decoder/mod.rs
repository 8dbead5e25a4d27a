//! Decoder: turns a message into rows. Everything is read and checked before the first reading is returned.

#![deny(clippy::indexing_slicing)]

mod message_fields;
mod preface;
mod rows;
mod series;

use crate::batch::Rows as AnyRows;
use crate::compact::layout::PER_BYTE;
use crate::compact::quality;
use crate::compact::row_order;
use crate::compact::sensor_positions::SensorPositions;
use crate::compact::session_table::{Entry, Table};
use crate::compact::shared_timestamps::Span;
use crate::compact::stream::ans::Decoder;
use crate::compact::stream::bits::{BitReader, PADDING};
use crate::compact::stream::error::{StreamError, limited_sum};
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Plan, TablePlan};
use crate::compact::zstd_wrap;
use crate::protobuf::fields::malformed;
use crate::{Batch, DecodeError, Limits, Sensor, SensorTable};
use message_fields::MessageFields;
use preface::Preface;
pub(crate) use rows::Rows;
use rows::{Column, Heap};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

/// Decodes a batch that needs no session table. All values are decoded at once; after that the batch is an iterator that allocates nothing,
/// except for texts of a compressed batch.
///
/// # Errors
/// [`DecodeError::Table`] names the session table that the batch needs; such a batch is decoded by
/// [`Table::decode_batch`](crate::compact::Table::decode_batch). Any other error for input that the [`limits`](Limits) or the layout do not
/// allow.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    batch(input, None, limits)
}

/// Returns the [`id`](crate::compact::Table::id) of the session table that a batch needs. `None`: it needs none.
///
/// # Errors
/// Errors of [`decode`] for input that is no message, or cannot be decompressed.
pub fn table_wanted(input: &[u8], limits: &Limits) -> Result<Option<u64>, DecodeError> {
    crate::check_input(input, limits)?;
    let message = MessageFields::read(input, limits)?;
    match message.zstd {
        None => Ok(message.table),
        Some((offset, packed)) => {
            let unpacked = zstd_wrap::unpack(packed, offset, input.len(), limits)?;
            Ok(MessageFields::read(&unpacked, limits)?.table)
        }
    }
}

impl Table {
    /// Decodes a batch that was encoded against this table. Batches that need none are decoded too.
    ///
    /// # Errors
    /// [`DecodeError::Table`] if the batch needs another table; else as [`decode`](crate::compact::decode()).
    pub fn decode_batch<'a>(&'a self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        batch(input, Some(self), limits)
    }
}

fn batch<'a>(input: &'a [u8], table: Option<&'a Table>, limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let message = MessageFields::read(input, limits)?;
    let readings_max = limits.readings.min(input.len().saturating_mul(PER_BYTE));
    match message.zstd {
        None => Body { message, table, limits, input_len: input.len(), readings_max }.read(),
        Some((offset, packed)) => {
            let unpacked = zstd_wrap::unpack(packed, offset, input.len(), limits)?;
            let message = MessageFields::read(&unpacked, limits)?;
            if message.zstd.is_some() {
                return Err(malformed(offset, "compressed twice"));
            }
            let batch = Body { message, table, limits, input_len: input.len(), readings_max }.read();
            batch.map(|batch| into_owned(batch, table)).map_err(|e| within(e, offset, input.len()))
        }
    }
}

/// Moves an error's offset to the compressed field, because offsets inside decompressed bytes are of no use to the caller.
fn within(mut error: DecodeError, place: usize, len: usize) -> DecodeError {
    match &mut error {
        DecodeError::Limit { offset, .. }
        | DecodeError::Truncated { offset, .. }
        | DecodeError::Malformed { offset, .. }
        | DecodeError::Version { offset, .. }
        | DecodeError::Duplicate { offset, .. } => *offset = place.min(len),
        _ => {}
    }
    error
}

/// Copies everything that the batch borrows from the message. It still borrows from the table.
fn into_owned<'a>(batch: Batch<'_>, table: Option<&'a Table>) -> Batch<'a> {
    let sensors = batch.sensors.into_inner().map(SensorTable::into_owned);
    let rows = match batch.rows {
        AnyRows::Compact(rows) => AnyRows::Compact(Box::new(rows.into_owned(table))),
        _ => AnyRows::Ready(Vec::new().into_iter()),
    };
    Batch {
        header: batch.header,
        sensors: sensors.map_or_else(OnceLock::new, OnceLock::from),
        left: batch.left,
        seqs: batch.seqs,
        skipped: batch.skipped,
        rows,
    }
}

/// A message whose fields are read, and what is needed to decode its columns.
pub(crate) struct Body<'a, 'l> {
    pub(crate) message: MessageFields<'a>,
    pub(crate) table: Option<&'a Table>,
    pub(crate) limits: &'l Limits,
    pub(crate) input_len: usize,
    pub(crate) readings_max: usize,
}

impl<'a> Body<'a, '_> {
    fn read(mut self) -> Result<Batch<'a>, DecodeError> {
        if let Some(wanted) = self.message.table {
            let given = self.table.map(Table::id);
            if given != Some(wanted) {
                return Err(DecodeError::Table { wanted, given });
            }
        } else {
            self.table = None;
        }
        let mut rows = Box::new(Rows::new(Heap::Borrowed(self.message.texts.1), self.table));
        let mut sensors = Vec::new();
        if let Some((offset, body)) = self.message.columns {
            self.columns(offset, body, &mut rows, &mut sensors)?;
        } else if !self.message.texts.1.is_empty() {
            return Err(malformed(self.message.texts.0, "texts without readings"));
        }
        let readings = rows.values.len();
        let header = self.message.header;
        let seqs = crate::seq_runs::seqs(0, &header, self.message.runs.take(), readings)?;
        let sensors = match self.table {
            Some(_) => OnceLock::new(),
            None => SensorTable::from_unsorted(sensors).map_err(duplicate)?.into(),
        };
        Ok(Batch { header, sensors, left: readings, seqs, skipped: 0, rows: AnyRows::Compact(rows) })
    }

    fn columns(
        &self,
        offset: usize,
        body: &'a [u8],
        rows: &mut Rows<'a>,
        sensors: &mut Vec<Sensor<'a>>,
    ) -> Result<(), DecodeError> {
        let padded = [body, &PADDING].concat();
        let reader = BitReader::padded(&padded);
        let mut decoder =
            reader.map(Decoder::of).ok_or_else(|| malformed(offset, "columns without a marker"))?;
        let mut preface = self.preface(&mut decoder, rows).map_err(|e| e.at(offset, &decoder.bits))?;
        let read = self.all_columns(&mut preface, &mut decoder, rows, sensors);
        let rising = read.map_err(|e| e.at(offset, &decoder.bits))?;
        if !rising {
            once(&rows.columns)?;
        }
        if preface.ordered {
            let lens: Vec<usize> = rows.columns.iter().map(|c| c.len as usize).collect();
            let order = row_order::read(&mut decoder, &lens, rows.values.len());
            rows.list(order.ok_or_else(|| {
                StreamError::What("order does not fit the columns").at(offset, &decoder.bits)
            })?);
        } else {
            rows.by_time(&preface.clocks);
        }
        if decoder.ended_well() {
            Ok(())
        } else {
            Err(StreamError::What("columns do not end where they should").at(offset, &decoder.bits))
        }
    }

    /// Reads all columns. Returns whether they are in the order of their positions, each above the one before.
    fn all_columns(
        &self,
        preface: &mut Preface,
        decoder: &mut Decoder<'_>,
        rows: &mut Rows<'a>,
        sensors: &mut Vec<Sensor<'a>>,
    ) -> Result<bool, StreamError> {
        let mut positions = SensorPositions::new(self.table);
        let (mut span, mut before) = (Span::default(), None);
        let (mut rising, mut position_before) = (true, None);
        self.make_room(preface, decoder, rows);
        let mut end = 0;
        for nth in 0..preface.columns {
            let position = positions
                .read(&mut decoder.bits)
                .ok_or(StreamError::What("a sensor's number is out of range"))?;
            rising &= position_before.replace(position) < Some(position);
            let entry = self.table.map(|t| t.entries.get(position as usize));
            let entry =
                entry.map(|e| e.ok_or(StreamError::What("a sensor is not in the table"))).transpose()?;
            if decoder.bits.flag() {
                let mut number = || usize::try_from(decoder.bits.eg(0)).unwrap_or(usize::MAX);
                span = Span { clock: number(), skip: number(), cut: number() };
            }
            let (from, to) =
                *preface.clocks.get(span.clock).ok_or(StreamError::What("a column has no clock"))?;
            let len =
                (to - from).checked_sub(span.skip).and_then(|n| n.checked_sub(span.cut)).filter(|n| *n > 0);
            let len = len.ok_or(StreamError::What("a column is outside of its clock"))?;
            let start = end;
            limited_sum("readings", start, len, self.readings_max)?;
            end = start + len;
            if end > rows.values.len() {
                rows.values.resize(end, 0);
            }
            if !preface.codes.is_empty() {
                quality::read(decoder, &preface.codes, len, &mut rows.qualities)
                    .ok_or(StreamError::What("qualities do not add up"))?;
            }
            let plan = entry.map_or(TablePlan::NoTable, Entry::table_plan);
            let kind = self.values(plan, &mut before, decoder, rows, start..end)?;
            rows.columns.push(Column {
                sensor: entry.map_or(position, |e| e.sensor),
                kind,
                clock: span.clock as u32,
                skip: span.skip as u32,
                len: len as u32,
                values: (start as u32).wrapping_sub(span.skip as u32),
                times: from,
            });
            if entry.is_none() {
                let (name, unit) = preface.names.get_mut(nth).map(std::mem::take).unwrap_or_default();
                sensors.push(Sensor { id: position, name: Cow::Owned(name), unit: Cow::Owned(unit) });
            }
            if decoder.bits.overrun() {
                return Err(StreamError::End);
            }
        }
        rows.values.truncate(end);
        Ok(rising)
    }

    /// Reserves room for all columns at once, as many as seem to come: one per clock as long as that clock, and others as long as the longest.
    fn make_room(&self, preface: &Preface, decoder: &Decoder<'_>, rows: &mut Rows<'a>) {
        // A column takes two bits and more.
        let columns = preface.columns.min(decoder.bits.left() / 2);
        rows.columns.reserve_exact(columns);
        let longest = preface.clocks.iter().map(|(from, to)| to - from).max().unwrap_or(0);
        let others = columns.saturating_sub(preface.clocks.len());
        let values = others.saturating_mul(longest).saturating_add(rows.times.len());
        rows.values = vec![0; values.min(self.readings_max)];
    }

    /// Reads the values of a column. Returns their kind.
    fn values(
        &self,
        learned: TablePlan<'_>,
        before: &mut Option<Plan>,
        decoder: &mut Decoder<'_>,
        rows: &mut Rows<'a>,
        at: Range<usize>,
    ) -> Result<Kind, StreamError> {
        let texts = rows.texts.len();
        let out = rows.values.get_mut(at.clone()).unwrap_or_default();
        if !matches!(learned, TablePlan::NoTable) && decoder.bits.flag() {
            let TablePlan::Learned(plan) = learned else {
                return Err(StreamError::What("the table has no plan for a column"));
            };
            plan.restore(decoder, out, texts).map_err(StreamError::What)?;
            return Ok(plan.kind);
        }
        let kind = read_plan(before, decoder)?;
        match (kind, before.as_ref()) {
            (Kind::Null, _) => {}
            (Kind::Mixed, _) => return self.mixed(before, decoder, rows, at).map(|()| kind),
            (_, Some(plan)) => plan.restore(decoder, out, texts).map_err(StreamError::What)?,
            (_, None) => return Err(StreamError::What("a column has no plan")),
        }
        if kind == Kind::Text && !rows.are_utf8(at, Some(kind)) {
            return Err(StreamError::What("text is not UTF-8"));
        }
        Ok(kind)
    }

    fn mixed(
        &self,
        before: &mut Option<Plan>,
        decoder: &mut Decoder<'_>,
        rows: &mut Rows<'a>,
        at: Range<usize>,
    ) -> Result<(), StreamError> {
        let texts = rows.texts.len();
        let (start, end) = (at.start, at.end);
        // Columns of one kind have none here: they are filled up when the first mixed one comes.
        rows.kinds.resize(start, Kind::Null);
        while rows.kinds.len() < end {
            let run = usize::try_from(decoder.bits.eg(3)).unwrap_or(usize::MAX).saturating_add(1);
            let kind = Kind::read(&mut decoder.bits);
            let to = rows.kinds.len().saturating_add(run);
            if to > end || kind == Kind::Mixed {
                return Err(StreamError::What("kinds do not add up"));
            }
            rows.kinds.resize(to, kind);
        }
        for kind in Kind::ALL {
            let kinds = rows.kinds.get(start..).unwrap_or_default();
            let count = kinds.iter().filter(|k| **k == kind).count();
            if count == 0 || kind == Kind::Null {
                continue;
            }
            let mut values = vec![0; count];
            let planned = read_plan(before, decoder)?;
            let plan = before.as_ref().filter(|_| planned == kind);
            let plan = plan.ok_or(StreamError::What("a kind has the plan of another"))?;
            plan.restore(decoder, &mut values, texts).map_err(StreamError::What)?;
            let out = rows.values.get_mut(at.clone()).unwrap_or_default();
            let places = out.iter_mut().zip(kinds).filter(|(_, k)| **k == kind);
            places.zip(values).for_each(|((place, _), value)| *place = value);
        }
        // Of this column alone: a look at those before it would make many columns quadratic.
        let has_text = rows.kinds.get(start..).unwrap_or_default().contains(&Kind::Text);
        if has_text && !rows.are_utf8(at, None) {
            return Err(StreamError::What("text is not UTF-8"));
        }
        Ok(())
    }
}

/// Refuses columns of which two have the same sensor.
fn once(columns: &[Column]) -> Result<(), DecodeError> {
    let mut sensors: Vec<u32> = columns.iter().map(|c| c.sensor).collect();
    sensors.sort_unstable();
    let twice = sensors.windows(2).find_map(|w| matches!(w, [a, b] if a == b).then(|| w.first()).flatten());
    twice.map_or(Ok(()), |twice| Err(duplicate(*twice)))
}

fn duplicate(sensor: u32) -> DecodeError {
    DecodeError::Duplicate { offset: 0, field: format!("sensor {sensor}").into() }
}

/// Reads the plan that a column carries itself into `before`, as [`Plan::read_after`] does, and returns the column's kind. A stream that ended before
/// the plan's end is reported as that.
fn read_plan(before: &mut Option<Plan>, decoder: &mut Decoder<'_>) -> Result<Kind, StreamError> {
    let read = Plan::read_after(before, decoder);
    if decoder.bits.overrun() {
        return Err(StreamError::End);
    }
    read.map_err(StreamError::What)
}
