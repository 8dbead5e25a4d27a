//! Peers in common use: serde over structs, general compressors, CBOR and Protobuf by derive, bincode, Arrow, pco.

pub(super) mod arrow;
pub(super) mod bincode;
pub(super) mod minicbor;
pub(super) mod pco;
pub(super) mod prost;

use edge_codec::{Batch, Reading, SensorTable, Value};
use serde::{Deserialize, Serialize};

/// A reading as an application would write it with serde, and read it without owning its texts.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<'a> {
    pub(super) ts: i64,
    pub(super) sensor: &'a str,
    pub(super) value: f64,
    pub(super) unit: &'a str,
    pub(super) quality: u32,
}

/// The same with texts of its own.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is only looked at by the optimiser")]
pub(super) struct OwnedRow {
    pub(super) ts: i64,
    pub(super) sensor: String,
    pub(super) value: f64,
    pub(super) unit: String,
    pub(super) quality: u32,
}

pub(super) fn number(value: &Value<'_>) -> f64 {
    match value {
        Value::F64(v) => *v,
        Value::I64(v) => *v as f64,
        Value::U64(v) => *v as f64,
        Value::Bool(v) => f64::from(u8::from(*v)),
        _ => f64::NAN,
    }
}

/// A decoded batch as rows that own their texts: what serde makes of an application's struct.
pub(super) fn owned(batch: Batch<'_>) -> Result<Vec<OwnedRow>, String> {
    let sensors = batch.sensors().clone();
    let mut rows = Vec::with_capacity(batch.len());
    let all = batch.len();
    batch.for_each(|reading| {
        if let Ok(r) = reading {
            let (sensor, unit) = sensors.get(r.sensor).map_or(("", ""), |s| (&*s.name, &*s.unit));
            rows.push(OwnedRow {
                ts: r.time,
                sensor: sensor.to_owned(),
                value: number(&r.value),
                unit: unit.to_owned(),
                quality: r.quality,
            });
        }
    });
    if rows.len() == all { Ok(rows) } else { Err("a reading could not be decoded".to_owned()) }
}

/// Decodes a batch into rows whose texts are the batch's, and hands them to `look`.
pub(super) fn borrowed(batch: Batch<'_>, look: impl FnOnce(&[Row<'_>])) -> Result<(), String> {
    let sensors = batch.sensors().clone();
    let (mut rows, all) = (Vec::with_capacity(batch.len()), batch.len());
    batch.for_each(|reading| {
        if let Ok(r) = reading {
            let (sensor, unit) = sensors.get(r.sensor).map_or(("", ""), |s| (&*s.name, &*s.unit));
            rows.push(Row { ts: r.time, sensor, value: number(&r.value), unit, quality: r.quality });
        }
    });
    look(&rows);
    if rows.len() == all { Ok(()) } else { Err("a reading could not be decoded".to_owned()) }
}

pub(super) fn rows<'s>(readings: &[Reading<'_>], sensors: &'s SensorTable<'_>) -> Vec<Row<'s>> {
    let row = |r: &Reading<'_>| {
        let sensor = sensors.get(r.sensor);
        Row {
            ts: r.time,
            sensor: sensor.map_or("", |s| &s.name),
            value: number(&r.value),
            unit: sensor.map_or("", |s| &s.unit),
            quality: r.quality,
        }
    };
    readings.iter().map(row).collect()
}
