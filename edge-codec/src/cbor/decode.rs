//! Decodes CBOR batches into readings.

#![deny(clippy::indexing_slicing)]

use super::VERSION;
use super::read::{Reader, malformed};
use super::rows::Rows;
use crate::batch::Rows as AnyRows;
use crate::seq_runs::Seqs;
use crate::{Batch, DecodeError, Header, Limits, Sensor, SensorTable};
use std::borrow::Cow;

/// Decodes a batch; text and bytes borrow from `input`.
///
/// It costs one allocation for the sensor table and none per reading.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the layout of this module do not allow.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let mut reader = Reader::new(input, limits);
    let outer = outer(&mut reader, limits)?;
    if reader.left() > 0 {
        return Err(DecodeError::Trailing { offset: reader.offset(), found: reader.left() });
    }
    let rows = Rows::new(outer.rows, outer.base_time);
    let mut check = rows.clone();
    for _ in 0..outer.readings {
        let offset = check.offset();
        let sensor = check.row()?.sensor;
        if outer.sensors.get(sensor).is_none() {
            return Err(DecodeError::UnknownSensor { offset, sensor });
        }
    }
    Ok(Batch {
        header: outer.header,
        sensors: outer.sensors.into(),
        left: outer.readings,
        seqs: outer.seqs,
        skipped: 0,
        rows: AnyRows::Cbor(rows),
    })
}

/// Header of a batch, from the outer map. Its rows are only skipped at first, because base time and sensors may stand behind them.
struct Envelope<'a> {
    header: Header,
    seqs: Option<Seqs>,
    base_time: i64,
    sensors: SensorTable<'a>,
    readings: usize,
    rows: Reader<'a>,
}

fn outer<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Result<Envelope<'a>, DecodeError> {
    let mut seen: Vec<&str> = Vec::new();
    let (mut header, mut base_time, mut version, mut sensors, mut rows, mut runs) =
        (Header::default(), None, None, None, None, None);
    for _ in 0..reader.map("batch", 1)? {
        let offset = reader.offset();
        let key = reader.text("key")?;
        if seen.contains(&key) {
            return Err(DecodeError::Duplicate { offset, field: key.to_owned().into() });
        }
        seen.push(key);
        let offset = reader.offset();
        match key {
            "v" => version = Some((offset, reader.unsigned("v")?)),
            "t" => base_time = Some(reader.i64("t")?),
            "id" => header.id = Some(id(offset, reader.text("id")?)?),
            "pd" => header.pd = reader.unsigned("pd")? != 0,
            "sensors" => sensors = Some(table(reader, limits)?),
            "seqs" => runs = Some((offset, seqs(reader, 2, limits)?)),
            "rows" => rows = Some(pass_rows(reader, limits)?),
            _ => reader.skip(2)?,
        }
    }
    let missing = |field| DecodeError::Missing { offset: reader.offset(), field: Cow::Borrowed(field) };
    let (offset, found) = version.ok_or_else(|| missing("v"))?;
    if found != VERSION {
        return Err(DecodeError::Version { offset, found, supported: VERSION });
    }
    let (readings, rows) = rows.ok_or_else(|| missing("rows"))?;
    let (offset, runs) = runs.map_or((offset, None), |(offset, runs)| (offset, Some(runs)));
    Ok(Envelope {
        header,
        seqs: crate::seq_runs::seqs(offset, &header, runs, readings)?,
        base_time: base_time.ok_or_else(|| missing("t"))?,
        sensors: sensors.ok_or_else(|| missing("sensors"))?,
        readings,
        rows,
    })
}

fn id(offset: usize, text: &str) -> Result<crate::BatchId, DecodeError> {
    text.parse().map_err(|_| malformed(offset, "id is not gateway-lane-epoch-seq in hexadecimal"))
}

/// Reads the run lengths. `level`: depth of their array in the input.
pub(crate) fn seqs(reader: &mut Reader<'_>, level: usize, limits: &Limits) -> Result<Vec<u64>, DecodeError> {
    let offset = reader.offset();
    let len = reader.array("seqs", level, 1)?;
    crate::seq_runs::check_runs(offset, len, limits)?;
    let mut runs = Vec::with_capacity(len);
    for _ in 0..len {
        runs.push(reader.unsigned("seqs")?);
    }
    Ok(runs)
}

fn pass_rows<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Result<(usize, Reader<'a>), DecodeError> {
    let offset = reader.offset();
    // The shortest row is 83 00 00 f6.
    let len = reader.array("rows", 2, 4)?;
    if len > limits.readings {
        let limit = limits.readings;
        return Err(DecodeError::Limit { what: "readings", offset, limit, found: len as u64 });
    }
    let rows = reader.clone();
    for _ in 0..len {
        reader.skip(3)?;
    }
    Ok((len, rows))
}

fn table<'a>(reader: &mut Reader<'a>, limits: &Limits) -> Result<SensorTable<'a>, DecodeError> {
    let offset = reader.offset();
    // The shortest entry is 82 00 60.
    let len = reader.array("sensors", 2, 3)?;
    if len > limits.sensors {
        let limit = limits.sensors;
        return Err(DecodeError::Limit { what: "sensors", offset, limit, found: len as u64 });
    }
    let mut list = Vec::with_capacity(len);
    for _ in 0..len {
        let offset = reader.offset();
        let parts = reader.array("sensor", 3, 1)?;
        if !(2..=3).contains(&parts) {
            return Err(malformed(offset, "a sensor is [number, name] or [number, name, unit]"));
        }
        let id = reader.u32("sensor number")?;
        let name = Cow::Borrowed(reader.text("sensor name")?);
        let unit = Cow::Borrowed(if parts == 3 { reader.text("unit")? } else { "" });
        list.push(Sensor { id, name, unit });
    }
    SensorTable::from_unsorted(list)
        .map_err(|twice| DecodeError::Duplicate { offset, field: format!("sensor {twice}").into() })
}
