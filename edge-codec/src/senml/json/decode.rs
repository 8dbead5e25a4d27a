//! Decoding of SenML JSON into readings.

#![deny(clippy::indexing_slicing)]

use super::super::record::{Label, Record};
use super::super::resolve::Resolver;
use crate::json::FieldMap;
use crate::json::decode::RunList;
use crate::json::import::read;
use crate::json::visit::{Key, Node, Purpose, Scalar};
use crate::json::visitor_state::Guard;
use crate::{Batch, DecodeError, Limits, Value, base64};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Decodes a pack whose times are absolute. Sensors get the numbers 0, 1, … in the order of first appearance.
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
    let map = FieldMap::default();
    let mut resolver = Resolver::new(input.len(), 0, arrival_ms, limits);
    read(input, &map, limits, |guard, deserializer| {
        Records { guard, resolver: &mut resolver }.deserialize(deserializer)
    })?;
    resolver.finish(input.len())
}

/// Seed that reads the array of records.
struct Records<'g, 'r, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
    resolver: &'r mut Resolver<'de>,
}

impl<'de> DeserializeSeed<'de> for Records<'_, '_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_, 'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of SenML records")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        self.guard.check_depth(1)?;
        while let Some(record) = access.next_element_seed(Fields { guard: self.guard })? {
            if let Err(error) = self.resolver.record(0, record) {
                return Err(self.guard.fail(error));
            }
        }
        Ok(())
    }
}

/// Seed that reads the fields of one record.
struct Fields<'g, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_, 'de, '_> {
    type Value = Record<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, 'de, '_> {
    type Value = Record<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let guard = self.guard;
        guard.count_reading()?;
        guard.check_depth(2)?;
        let mut record = Record::default();
        let this = guard.open();
        while access.next_key_seed(Key { guard, object: this })?.is_some() {
            match Label::of_text(guard.last_key()) {
                Label::Seqs => record.seqs = Some(access.next_value_seed(RunList { guard, level: 3 })?),
                Label::Other => {
                    access.next_value_seed(Node { guard, level: 2, purpose: Purpose::Nothing })?;
                }
                Label::MustUnderstand => return Err(must_understand(guard)),
                label => {
                    let scalar = access.next_value_seed(Scalar { guard, role: None })?;
                    if let Err(expected) = record.set(label, data(label, scalar)) {
                        return Err(unexpected(guard, expected));
                    }
                }
            }
        }
        guard.close(this);
        Ok(record)
    }
}

/// Returns the bytes of a data value's base64url text. A text that is no base64url stays text, and is refused later because a data value must
/// be bytes.
fn data(label: Label, scalar: Value<'_>) -> Value<'_> {
    match (label, &scalar) {
        (Label::DataValue, Value::Text(text)) => match base64::decode_url(text) {
            Some(bytes) => Value::Bytes(Cow::Owned(bytes)),
            None => scalar,
        },
        _ => scalar,
    }
}

fn unexpected<E: de::Error>(guard: &mut Guard<'_, '_>, expected: &'static str) -> E {
    let field = guard.last_key().to_owned().into();
    guard.fail(DecodeError::Unexpected { offset: 0, field, expected, found: "something else".into() })
}

fn must_understand<E: de::Error>(guard: &mut Guard<'_, '_>) -> E {
    let field = guard.last_key().to_owned().into();
    let (expected, found) = ("a label this reader knows", "one that must be understood".into());
    guard.fail(DecodeError::Unexpected { offset: 0, field, expected, found })
}
