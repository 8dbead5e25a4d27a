//! Conversion between readings of this crate and those of `edge-codec`, both ways and without loss.
//!
//! A filter has no null. A null becomes one NaN of its own, by its bits, and that NaN alone becomes a null again: formats
//! that carry NaN get every other one back as it was. Filters treat it as any NaN: bad, and the same as the one before.

use crate::{Emit, Quality, Reading, Value};

/// Bits of the NaN that stands for null: a quiet NaN with the letters "null" as payload.
const NULL_BITS: u64 = 0x7ff8_0000_6e75_6c6c;

/// Converts a value. Bytes are returned as the error, because they have no order and no distance to filter by.
impl<'a> TryFrom<edge_codec::Value<'a>> for Value<'a> {
    type Error = edge_codec::Value<'a>;

    fn try_from(value: edge_codec::Value<'a>) -> Result<Self, Self::Error> {
        Ok(match value {
            // A NaN that is no null must not become one.
            edge_codec::Value::F64(v) if v.to_bits() == NULL_BITS => Value::F64(f64::NAN),
            edge_codec::Value::F64(v) => Value::F64(v),
            edge_codec::Value::I64(v) => Value::I64(v),
            edge_codec::Value::U64(v) => Value::U64(v),
            edge_codec::Value::Bool(v) => Value::Bool(v),
            edge_codec::Value::Text(v) => Value::Text(v),
            edge_codec::Value::Null => Value::F64(f64::from_bits(NULL_BITS)),
            bytes @ edge_codec::Value::Bytes(_) => return Err(bytes),
        })
    }
}

impl<'a> From<Value<'a>> for edge_codec::Value<'a> {
    fn from(value: Value<'a>) -> Self {
        match value {
            Value::F64(v) if v.to_bits() == NULL_BITS => edge_codec::Value::Null,
            Value::F64(v) => edge_codec::Value::F64(v),
            Value::I64(v) => edge_codec::Value::I64(v),
            Value::U64(v) => edge_codec::Value::U64(v),
            Value::Bool(v) => edge_codec::Value::Bool(v),
            Value::Text(v) => edge_codec::Value::Text(v),
        }
    }
}

/// Converts a reading. One with bytes is returned as the error.
impl<'a> TryFrom<edge_codec::Reading<'a>> for Reading<'a> {
    type Error = edge_codec::Reading<'a>;

    fn try_from(reading: edge_codec::Reading<'a>) -> Result<Self, Self::Error> {
        let edge_codec::Reading { sensor, time, value, quality } = reading;
        match value.try_into() {
            Ok(value) => Ok(Reading { sensor, time, value, quality: Quality(quality) }),
            Err(value) => Err(edge_codec::Reading { sensor, time, value, quality }),
        }
    }
}

impl<'a> From<Reading<'a>> for edge_codec::Reading<'a> {
    fn from(Reading { sensor, time, value, quality }: Reading<'a>) -> Self {
        edge_codec::Reading { sensor, time, value: value.into(), quality: quality.0 }
    }
}

impl<'a> From<Emit<'a>> for edge_codec::Reading<'a> {
    fn from(Emit { sensor, time, value, quality, .. }: Emit<'a>) -> Self {
        edge_codec::Reading { sensor, time, value: value.into(), quality: quality.0 }
    }
}
