//! Readings to CBOR, deterministic encoding of RFC 8949 §4.2.1.

use super::VERSION;
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::{EncodeError, Header, Reading, Sensor, Value};
use ciborium_ll::{Encoder, Header as Item, simple};

/// Marks an [`Encoder`](crate::Encoder) as one for CBOR.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Cbor;

impl Wire for Cbor {
    type Body = Appended;

    fn check(&self, _: &Reading<'_>, _: &Sensor<'_>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn sensor(&self, body: &mut Appended, sensor: &Sensor<'_>, _: u8, _: bool) {
        let out = &mut body.sensors;
        let unit = !sensor.unit.is_empty();
        put(out, Item::Array(Some(if unit { 3 } else { 2 })));
        put(out, Item::Positive(sensor.id.into()));
        text(out, &sensor.name);
        if unit {
            text(out, &sensor.unit);
        }
    }

    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let (out, reading, since_base) = (&mut body.rows, row.reading, row.since_base);
        let quality = reading.quality != 0;
        put(out, Item::Array(Some(if quality { 4 } else { 3 })));
        put(out, Item::Positive(reading.sensor.into()));
        put(out, int(since_base));
        value(out, &reading.value);
        if quality {
            put(out, Item::Positive(reading.quality.into()));
        }
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Appended>) -> usize {
        // "t", "v" and its value, "rows", "sensors" and the map's head: 2 + 3 + 5 + 8 + 1.
        let fixed = 19 + len_of(int(draft.base_time));
        let id = header.id.map_or(0, |id| {
            let len = id.text_len();
            3 + len_of(Item::Text(Some(len))) + len
        });
        let pd = if header.pd { 4 } else { 0 };
        let counts =
            len_of(Item::Array(Some(draft.readings))) + len_of(Item::Array(Some(draft.entries.len())));
        let seqs = draft.runs.size(|n| self.number_len(n));
        let seqs = seqs.map_or(0, |(count, bytes)| 5 + len_of(Item::Array(Some(count))) + bytes);
        fixed + id + pd + seqs + counts + draft.body.rows.len() + draft.body.sensors.len()
    }

    fn number_len(&self, number: u64) -> usize {
        len_of(Item::Positive(number))
    }

    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        let seqs = draft.runs.size(|_| 0);
        let keys =
            4 + usize::from(header.id.is_some()) + usize::from(header.pd) + usize::from(seqs.is_some());
        put(&mut out, Item::Map(Some(keys)));
        text(&mut out, "t");
        put(&mut out, int(draft.base_time));
        text(&mut out, "v");
        put(&mut out, Item::Positive(VERSION));
        if let Some(id) = header.id {
            text(&mut out, "id");
            text(&mut out, &id.to_string());
        }
        if header.pd {
            text(&mut out, "pd");
            put(&mut out, Item::Positive(1));
        }
        text(&mut out, "rows");
        put(&mut out, Item::Array(Some(draft.readings)));
        out.extend_from_slice(&draft.body.rows);
        if let Some((count, _)) = seqs {
            text(&mut out, "seqs");
            put(&mut out, Item::Array(Some(count)));
            draft.runs.numbers().for_each(|n| put(&mut out, Item::Positive(n)));
        }
        text(&mut out, "sensors");
        put(&mut out, Item::Array(Some(draft.entries.len())));
        out.extend_from_slice(&draft.body.sensors);
        out
    }
}

fn value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::F64(v) if v.is_nan() => nan(out, *v),
        Value::F64(v) => put(out, Item::Float(*v)),
        Value::I64(v) => put(out, int(*v)),
        Value::U64(v) => put(out, Item::Positive(*v)),
        Value::Bool(v) => put(out, Item::Simple(if *v { simple::TRUE } else { simple::FALSE })),
        Value::Text(v) => text(out, v),
        Value::Bytes(v) => {
            put(out, Item::Bytes(Some(v.len())));
            out.extend_from_slice(v);
        }
        Value::Null => put(out, Item::Simple(simple::NULL)),
    }
}

/// Bit-exact whatever the processor does to a signalling NaN: the payload never passes a float conversion.
fn nan(out: &mut Vec<u8>, v: f64) {
    if v.to_bits() == super::read::QUIET_NAN {
        out.extend_from_slice(&[0xf9, 0x7e, 0x00]);
    } else {
        out.push(0xfb);
        out.extend_from_slice(&v.to_bits().to_be_bytes());
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    put(out, Item::Text(Some(text.len())));
    out.extend_from_slice(text.as_bytes());
}

/// CBOR's negative integers count from -1 downwards: the two's complement with all bits inverted.
fn int(v: i64) -> Item {
    u64::try_from(v).map_or(Item::Negative(!(v.cast_unsigned())), Item::Positive)
}

fn put(out: &mut Vec<u8>, item: Item) {
    let (bytes, len) = head(item);
    out.extend(bytes.iter().take(len));
}

fn len_of(item: Item) -> usize {
    head(item).1
}

/// A head is at most nine bytes long (RFC 8949 §3), so the write into a slice of nine cannot fail.
fn head(item: Item) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let mut free = bytes.as_mut_slice();
    let written = Encoder::from(&mut free).push(item);
    debug_assert!(written.is_ok());
    let len = 9 - free.len();
    (bytes, len)
}
