//! Encoding of readings as CBOR, in the deterministic encoding of RFC 8949 §4.2.1.

use super::VERSION;
use super::write::{int, len_of, put, text, value};
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::{EncodeError, Header, Reading, Sensor};
use ciborium_ll::Header as Item;

/// Marker type of an [`Encoder`](crate::Encoder) for CBOR.
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
        let seqs = draft.runs.size();
        let seqs = seqs.map_or(0, |(count, bytes)| 5 + len_of(Item::Array(Some(count))) + bytes);
        fixed + id + pd + seqs + counts + draft.body.rows.len() + draft.body.sensors.len()
    }

    fn number_len(number: u64) -> usize {
        len_of(Item::Positive(number))
    }

    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        let seqs = draft.runs.size();
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
