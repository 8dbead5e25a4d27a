//! minicbor: CBOR by derive, keys are small integers, text is borrowed.

use minicbor::{Decode, Encode};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(in super::super) struct Row<'a> {
    #[n(0)]
    ts: i64,
    #[b(1)]
    sensor: &'a str,
    #[n(2)]
    value: f64,
    #[b(3)]
    unit: &'a str,
    #[n(4)]
    quality: u32,
}

pub(in super::super) fn rows<'a>(rows: &[super::Row<'a>]) -> Vec<Row<'a>> {
    let row = |r: &super::Row<'a>| Row {
        ts: r.ts,
        sensor: r.sensor,
        value: r.value,
        unit: r.unit,
        quality: r.quality,
    };
    rows.iter().map(row).collect()
}

pub(in super::super) fn encode(rows: &[Row<'_>]) -> Result<Vec<u8>, String> {
    minicbor::to_vec(rows).map_err(|error| error.to_string())
}

pub(in super::super) fn decode(bytes: &[u8]) -> Result<Vec<Row<'_>>, String> {
    minicbor::decode(bytes).map_err(|error| error.to_string())
}
