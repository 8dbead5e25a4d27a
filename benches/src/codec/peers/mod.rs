//! Peers in common use: serde over structs, general compressors, CBOR and Protobuf by derive, pco.

pub(super) mod minicbor;
pub(super) mod pco;
pub(super) mod prost;

use edge_codec::{Reading, SensorTable, Value};
use serde::{Deserialize, Serialize};

/// A reading as an application would write it with serde.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    pub(super) ts: i64,
    pub(super) sensor: &'a str,
    pub(super) value: f64,
    pub(super) unit: &'a str,
    pub(super) quality: u32,
}

/// The same, read back.
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
