//! Encoding of readings as SenML JSON.

use super::super::encoder_parts::{ID, MARK, Pack, SEQS, SenmlWire};
use crate::base64;
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::text::{decimal_len, display, json_string};
use crate::{EncodeError, Header, Reading, Sensor, Value};

/// Marker type of an [`Encoder`](crate::Encoder) for SenML in JSON.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SenmlJson {
    pack: Pack,
}

impl SenmlWire for SenmlJson {
    fn pack(&mut self) -> &mut Pack {
        &mut self.pack
    }
}

impl Wire for SenmlJson {
    type Body = Appended;

    fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError> {
        self.pack.check(reading, sensor)
    }

    fn meet(&mut self, sensor: &Sensor<'_>, first: bool) {
        self.pack.meet(sensor, first);
    }

    fn sensor(&self, _: &mut Appended, _: &Sensor<'_>, _: u8, _: bool) {}

    /// Appends a record. The frame writes the first record's brace and header.
    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let (out, reading) = (&mut body.rows, row.reading);
        if row.first {
            self.base_fields(out, reading.time);
        } else {
            out.extend_from_slice(b",{");
        }
        for (label, content) in [("n", self.pack.name(row.sensor)), ("u", self.pack.unit(row.sensor))] {
            if !content.is_empty() {
                display(out, format_args!("\"{label}\":"));
                json_string(out, content);
                out.push(b',');
            }
        }
        if row.since_base != 0 {
            out.extend_from_slice(b"\"t\":");
            seconds(out, row.since_base);
            out.push(b',');
        }
        value(out, &reading.value);
        if reading.quality != 0 {
            display(out, format_args!(",\"{}\":{}", self.pack.quality_label(), reading.quality));
        }
        out.push(b'}');
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Appended>) -> usize {
        // `"edge-id":"",`, `"edge-pd":1,`, `"edge-seqs":[],` with a comma less than numbers.
        let id = header.id.map_or(0, |id| 13 + id.text_len());
        let pd = if header.pd { 12 } else { 0 };
        let seqs = draft.runs.size().map_or(0, |(_, bytes)| 14 + bytes);
        // `[{` and `]`, and what stands for no record.
        3 + id + pd + seqs + if draft.readings == 0 { EMPTY.len() } else { draft.body.rows.len() }
    }

    fn number_len(number: u64) -> usize {
        decimal_len(number) + 1
    }

    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        out.extend_from_slice(b"[{");
        if let Some(id) = header.id {
            display(&mut out, format_args!("\"{ID}\":\"{id}\","));
        }
        if header.pd {
            display(&mut out, format_args!("\"{MARK}\":1,"));
        }
        if draft.runs.size().is_some() {
            display(&mut out, format_args!("\"{SEQS}\":["));
            for (at, number) in draft.runs.numbers().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                display(&mut out, format_args!("{comma}{number}"));
            }
            out.extend_from_slice(b"],");
        }
        out.extend_from_slice(if draft.readings == 0 { EMPTY } else { &draft.body.rows });
        out.push(b']');
        out
    }
}

/// Rest of the only record of an empty pack, which must have one (RFC 8428 §11). It has no value.
const EMPTY: &[u8] = b"\"bver\":10}";

impl SenmlJson {
    fn base_fields(&self, out: &mut Vec<u8>, time: i64) {
        for (label, content) in [("bn", self.pack.base_name()), ("bu", self.pack.base_unit())] {
            if !content.is_empty() {
                display(out, format_args!("\"{label}\":"));
                json_string(out, content);
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"bt\":");
        seconds(out, time);
        out.push(b',');
    }
}

/// Writes milliseconds as seconds, without rounding.
fn seconds(out: &mut Vec<u8>, ms: i64) {
    let (sign, whole, ms) =
        (if ms < 0 { "-" } else { "" }, ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    match ms {
        0 => display(out, format_args!("{sign}{whole}")),
        _ if ms % 100 == 0 => display(out, format_args!("{sign}{whole}.{}", ms / 100)),
        _ if ms % 10 == 0 => display(out, format_args!("{sign}{whole}.{:02}", ms / 10)),
        _ => display(out, format_args!("{sign}{whole}.{ms:03}")),
    }
}

fn value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::F64(v) => display(out, format_args!("\"v\":{v:?}")),
        Value::I64(v) => display(out, format_args!("\"v\":{v}")),
        Value::U64(v) => display(out, format_args!("\"v\":{v}")),
        Value::Bool(v) => display(out, format_args!("\"vb\":{v}")),
        Value::Text(v) => {
            out.extend_from_slice(b"\"vs\":");
            json_string(out, v);
        }
        Value::Bytes(v) => {
            out.extend_from_slice(b"\"vd\":\"");
            base64::encode_url(out, v);
            out.push(b'"');
        }
        // Refused when it was pushed.
        Value::Null => out.extend_from_slice(b"\"vs\":\"\""),
    }
}
