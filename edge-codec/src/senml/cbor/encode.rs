//! Encoding of readings as SenML CBOR.

use super::super::encoder_parts::{ID, MARK, Pack, SEQS, SenmlWire};
use super::super::number::{seconds, to_decimal};
use crate::cbor::write::{self, int, len_of, put, text};
use crate::encoder::{Body, Draft, Row, Wire};
use crate::{EncodeError, Header, Reading, Sensor, Sensors, Value};
use ciborium_ll::Header as Item;

/// Marker type of an [`Encoder`](crate::Encoder) for SenML in CBOR.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SenmlCbor {
    pack: Pack,
    decimal_fractions: bool,
}

/// Encoded records. The first record's map is written by the frame, because the header stands in it.
#[derive(Debug, Default)]
pub struct Records {
    /// Fields of the first record with numbers as labels; `first_quality` has its quality.
    first: Vec<u8>,
    first_quality: Vec<u8>,
    first_fields: usize,
    rest: Vec<u8>,
}

impl Body for Records {
    /// Length of the records behind the first. The first is never removed, because a batch whose only reading does not fit is not made.
    type Mark = usize;

    fn mark(&self) -> usize {
        self.rest.len()
    }

    fn undo(&mut self, rest: usize) {
        self.rest.truncate(rest);
    }
}

impl SenmlWire for SenmlCbor {
    fn pack(&mut self) -> &mut Pack {
        &mut self.pack
    }
}

impl<S: Sensors> crate::Encoder<S, SenmlCbor> {
    /// Writes doubles as decimal fractions (tag 4) where that is shorter: 53.6 in five bytes instead of nine, with the
    /// same bits when read (RFC 8428 §6). Default: not, since some readers know no tags.
    pub fn decimal_fractions(mut self, wanted: bool) -> Self {
        self.wire.decimal_fractions = wanted;
        self
    }
}

impl Wire for SenmlCbor {
    type Body = Records;

    fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError> {
        self.pack.check(reading, sensor)
    }

    fn meet(&mut self, sensor: &Sensor<'_>, first: bool) {
        self.pack.meet(sensor, first);
    }

    fn sensor(&self, _: &mut Records, _: &Sensor<'_>, _: u8, _: bool) {}

    fn row(&self, body: &mut Records, row: &Row<'_>) {
        let mut fields = Vec::with_capacity(48);
        let mut count = self.fields(&mut fields, row);
        let mut quality = Vec::new();
        if row.reading.quality != 0 {
            text(&mut quality, self.pack.quality_label());
            put(&mut quality, Item::Positive(row.reading.quality.into()));
            count += 1;
        }
        if row.first {
            count += self.base_fields(&mut fields, row.reading.time);
            (body.first, body.first_quality, body.first_fields) = (fields, quality, count);
        } else {
            put(&mut body.rest, Item::Map(Some(count)));
            body.rest.extend(fields);
            body.rest.extend(quality);
        }
    }

    fn number_len(number: u64) -> usize {
        len_of(Item::Positive(number))
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Records>) -> usize {
        let text_len = |len: usize| len_of(Item::Text(Some(len))) + len;
        let id = header.id.map_or(0, |id| text_len(ID.len()) + text_len(id.text_len()));
        let pd = if header.pd { text_len(MARK.len()) + 1 } else { 0 };
        let seqs = draft
            .runs
            .size()
            .map_or(0, |(count, bytes)| text_len(SEQS.len()) + len_of(Item::Array(Some(count))) + bytes);
        let heads =
            len_of(Item::Array(Some(draft.readings.max(1)))) + len_of(Item::Map(Some(labels(header, draft))));
        let body = &draft.body;
        let empty = if draft.readings == 0 { EMPTY.len() } else { 0 };
        heads + id + pd + seqs + body.first.len() + body.first_quality.len() + body.rest.len() + empty
    }

    fn frame(&self, header: &Header, draft: &Draft<Records>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        put(&mut out, Item::Array(Some(draft.readings.max(1))));
        put(&mut out, Item::Map(Some(labels(header, draft))));
        out.extend_from_slice(if draft.readings == 0 { &EMPTY } else { &draft.body.first });
        if let Some(id) = header.id {
            text(&mut out, ID);
            text(&mut out, &id.to_string());
        }
        if header.pd {
            text(&mut out, MARK);
            put(&mut out, Item::Positive(1));
        }
        out.extend_from_slice(&draft.body.first_quality);
        if let Some((count, _)) = draft.runs.size() {
            text(&mut out, SEQS);
            put(&mut out, Item::Array(Some(count)));
            draft.runs.numbers().for_each(|n| put(&mut out, Item::Positive(n)));
        }
        out.extend_from_slice(&draft.body.rest);
        out
    }
}

/// Fields of the only record of an empty pack, which must have one (RFC 8428 §11): `bver` 10 and no value.
const EMPTY: [u8; 2] = [0x20, 0x0a];

/// Returns the number of fields in the first record.
fn labels(header: &Header, draft: &Draft<Records>) -> usize {
    let ours =
        usize::from(header.id.is_some()) + usize::from(header.pd) + usize::from(draft.runs.size().is_some());
    ours + if draft.readings == 0 { 1 } else { draft.body.first_fields }
}

impl SenmlCbor {
    /// Appends the fields of a record by rising label, without base fields. Returns the number of them.
    fn fields(&self, out: &mut Vec<u8>, row: &Row<'_>) -> usize {
        let mut count = 1;
        for (label, content) in [(0, self.pack.name(row.sensor)), (1, self.pack.unit(row.sensor))] {
            if !content.is_empty() {
                put(out, Item::Positive(label));
                text(out, content);
                count += 1;
            }
        }
        let value = &row.reading.value;
        let data = matches!(value, Value::Bytes(_));
        if !data {
            self.value(out, value);
        }
        if row.since_base != 0 {
            put(out, Item::Positive(6));
            self.number(out, &seconds(row.since_base));
            count += 1;
        }
        if data {
            self.value(out, value);
        }
        count
    }

    fn base_fields(&self, out: &mut Vec<u8>, time: i64) -> usize {
        let mut count = 1;
        if !self.pack.base_name().is_empty() {
            put(out, int(-2));
            text(out, self.pack.base_name());
            count += 1;
        }
        put(out, int(-3));
        self.number(out, &seconds(time));
        if !self.pack.base_unit().is_empty() {
            put(out, int(-4));
            text(out, self.pack.base_unit());
            count += 1;
        }
        count
    }

    fn value(&self, out: &mut Vec<u8>, value: &Value<'_>) {
        let label = match value {
            Value::F64(_) | Value::I64(_) | Value::U64(_) => 2,
            // Null was refused when it was pushed.
            Value::Text(_) | Value::Null => 3,
            Value::Bool(_) => 4,
            Value::Bytes(_) => 8,
        };
        put(out, Item::Positive(label));
        self.number(out, value);
    }

    fn number(&self, out: &mut Vec<u8>, value: &Value<'_>) {
        let start = out.len();
        write::value(out, value);
        if let (Value::F64(v), true) = (value, self.decimal_fractions)
            && let Some((exponent, mantissa)) = to_decimal(*v)
            && 2 + len_of(int(exponent)) + len_of(int(mantissa)) < out.len() - start
        {
            out.truncate(start);
            put(out, Item::Tag(4));
            put(out, Item::Array(Some(2)));
            put(out, int(exponent));
            put(out, int(mantissa));
        }
    }
}
