//! Decoding of SenML CBOR into readings.

#![deny(clippy::indexing_slicing)]

use super::super::number::from_decimal;
use super::super::record::{Label, Record};
use super::super::resolve::Resolver;
use crate::cbor::decode::seqs;
use crate::cbor::read::{Reader, malformed};
use crate::{Batch, DecodeError, Limits, Value};
use ciborium_ll::Header as Item;
use std::borrow::Cow;

/// Decodes a pack whose times are absolute; text and bytes borrow from `input`. Sensors get the numbers 0, 1, … in the
/// order of first appearance.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or RFC 8428 do not allow; [`DecodeError::Missing`] for a time that counts from
/// now.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    pack(input, None, limits)
}

/// Decodes a pack, as [`decode`] does; times below 2^28 seconds count from `arrival_ms` (ms since the Unix epoch).
///
/// # Errors
/// As [`decode`].
pub fn decode_at<'a>(input: &'a [u8], arrival_ms: i64, limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    pack(input, Some(arrival_ms), limits)
}

pub(crate) fn pack<'a>(
    input: &'a [u8],
    arrival_ms: Option<i64>,
    limits: &Limits,
) -> Result<Batch<'a>, DecodeError> {
    crate::check_input(input, limits)?;
    let mut reader = Reader::new(input, limits);
    let offset = reader.offset();
    let records = reader.array("pack", 1, 1)?;
    if records > limits.readings {
        let limit = limits.readings;
        return Err(DecodeError::Limit { what: "readings", offset, limit, found: records as u64 });
    }
    // A record with a value takes three bytes; the base fields of one before it do the rest.
    let most = records.min(input.len() / 3);
    let mut resolver = Resolver::new(input.len(), most, arrival_ms, limits);
    let mut seen = LabelSet::default();
    for _ in 0..records {
        let record = record(&mut reader, &mut seen, limits)?;
        resolver.record(reader.offset(), record)?;
    }
    if reader.left() > 0 {
        return Err(DecodeError::Trailing { offset: reader.offset(), found: reader.left() });
    }
    resolver.finish(reader.offset())
}

fn record<'a>(
    reader: &mut Reader<'a>,
    seen: &mut LabelSet<'a>,
    limits: &Limits,
) -> Result<Record<'a>, DecodeError> {
    let mut record = Record::default();
    seen.clear();
    for _ in 0..reader.map("record", 2)? {
        let offset = reader.offset();
        let key = Key::read(reader)?;
        if !seen.insert(key) {
            return Err(DecodeError::Duplicate { offset, field: key.name() });
        }
        let offset = reader.offset();
        match key.label() {
            Label::Seqs => record.seqs = Some(seqs(reader, 3, limits)?),
            Label::Other => reader.skip(3)?,
            Label::MustUnderstand => {
                let (expected, found) = ("a label this reader knows", "one that must be understood".into());
                return Err(DecodeError::Unexpected { offset, field: key.name(), expected, found });
            }
            label => record.set(label, value(reader)?).map_err(|expected| {
                let found = "something else".into();
                DecodeError::Unexpected { offset, field: key.name(), expected, found }
            })?,
        }
    }
    Ok(record)
}

/// Reads a value. Decimal fractions (RFC 8949 §3.4.4) become doubles.
fn value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    let offset = reader.offset();
    let mut inner = reader.clone();
    if inner.head()? != Item::Tag(4) {
        return reader.value();
    }
    *reader = inner;
    let beyond = |what| malformed(offset, what);
    if reader.array("decimal fraction", 3, 1)? != 2 {
        return Err(beyond("a decimal fraction is [exponent, mantissa]"));
    }
    let (exponent, mantissa) = (reader.i64("exponent")?, reader.i64("mantissa")?);
    let v = from_decimal(exponent, mantissa).ok_or_else(|| beyond("decimal fraction beyond a double"))?;
    Ok(Value::F64(v))
}

/// Label of a field: a number for those of RFC 8428, text for all others.
#[derive(Clone, Copy)]
enum Key<'a> {
    Number(i64),
    Text(&'a str),
}

impl<'a> Key<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut next = reader.clone();
        match next.head()? {
            Item::Text(_) => reader.text("label").map(Self::Text),
            _ => reader.i64("label").map(Self::Number),
        }
    }

    fn label(self) -> Label {
        match self {
            Self::Number(number) => Label::of_number(number),
            Self::Text(text) => Label::of_extension(text),
        }
    }

    fn name(self) -> Cow<'static, str> {
        match self {
            Self::Number(number) => format!("label {number}").into(),
            Self::Text(text) => text.to_owned().into(),
        }
    }
}

/// Labels of one record, to find duplicates. Its memory is reused for the next record.
#[derive(Default)]
struct LabelSet<'a> {
    numbers: Vec<i64>,
    texts: Vec<&'a str>,
}

impl<'a> LabelSet<'a> {
    fn clear(&mut self) {
        self.numbers.clear();
        self.texts.clear();
    }

    /// Adds a label. Returns `false` if the record has it already.
    fn insert(&mut self, key: Key<'a>) -> bool {
        let new = match key {
            Key::Number(number) => !self.numbers.contains(&number),
            Key::Text(text) => !self.texts.contains(&text),
        };
        match key {
            Key::Number(number) => self.numbers.push(number),
            Key::Text(text) => self.texts.push(text),
        }
        new
    }
}
