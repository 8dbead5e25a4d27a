//! Batch model that every format carries.

use std::borrow::Cow;

/// One value of one sensor at one instant.
///
/// Decoders borrow text and bytes from their input; [`Reading::into_owned`] copies them. Exhaustive, because every format carries exactly these
/// four fields.
///
/// ```
/// use edge_codec::{Reading, Value, quality};
///
/// let text = String::from("running");
/// let value = Value::Text(text.as_str().into()); // borrowed
/// let reading = Reading { sensor: 7, time: 1_580_515_200_000, value, quality: quality::GOOD };
/// let kept: Reading<'static> = reading.clone().into_owned();
/// assert!(kept.same(&reading));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<'a> {
    /// The caller's number for the sensor; its name and unit are in a [`Sensors`](crate::Sensors) table.
    pub sensor: u32,
    /// Source time in milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub time: i64,
    /// Value of the reading, bit-exact.
    pub value: Value<'a>,
    /// OPC UA StatusCode (Part 4 §7.39): the top two bits are good (0), uncertain (1) or bad (2).
    pub quality: u32,
}

impl Reading<'_> {
    /// Returns the reading with its own copy of text and bytes, independent of the input it was decoded from. Other values allocate nothing.
    #[must_use]
    pub fn into_owned(self) -> Reading<'static> {
        Reading {
            sensor: self.sensor,
            time: self.time,
            value: self.value.into_owned(),
            quality: self.quality,
        }
    }

    /// Returns whether both are the same reading to the last bit; see [`Value::same`].
    #[must_use]
    pub fn same(&self, other: &Reading<'_>) -> bool {
        self.sensor == other.sensor
            && self.time == other.time
            && self.quality == other.quality
            && self.value.same(&other.value)
    }
}

/// Value of a reading, as sensors send it.
///
/// Exhaustive, because a new kind would need a new version of every wire format.
///
/// ```
/// use edge_codec::Value;
///
/// assert!(Value::F64(f64::NAN).same(&Value::F64(f64::NAN)));
/// assert!(Value::U64(7).same(&Value::I64(7)) && !Value::F64(7.0).same(&Value::I64(7)));
/// assert_ne!(Value::Text("7".into()), Value::Bytes(b"7"[..].into()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// IEEE 754 binary64, all bits kept (also -0.0 and NaN payloads; JSON has no NaN or infinity).
    F64(f64),
    /// A whole number within `i64`.
    I64(i64),
    /// A whole number within `u64`. JSON and CBOR return those up to `i64::MAX` as [`Value::I64`].
    U64(u64),
    /// A boolean, true or false.
    Bool(bool),
    /// A text in UTF-8.
    Text(Cow<'a, str>),
    /// Bytes whose meaning the codec does not know.
    Bytes(Cow<'a, [u8]>),
    /// No value: the sensor reported that it has none.
    Null,
}

impl Value<'_> {
    /// Returns the value with its own copy of text and bytes, independent of the input it was decoded from.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::F64(v) => Value::F64(v),
            Value::I64(v) => Value::I64(v),
            Value::U64(v) => Value::U64(v),
            Value::Bool(v) => Value::Bool(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Null => Value::Null,
        }
    }

    /// Compares floats bit by bit (NaN equals itself, 0.0 differs from -0.0), [`Value::I64`] and [`Value::U64`] by number, and the rest by
    /// equality. `==` keeps IEEE 754's meaning.
    #[must_use]
    pub fn same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Value::I64(a), Value::U64(b)) | (Value::U64(b), Value::I64(a)) => u64::try_from(*a) == Ok(*b),
            (a, b) => a == b,
        }
    }
}

/// OPC UA StatusCodes of the severities good, uncertain and bad, without a sub-code.
pub mod quality {
    /// StatusCode of a good value.
    pub const GOOD: u32 = 0;
    /// StatusCode of an uncertain value.
    pub const UNCERTAIN: u32 = 0x4000_0000;
    /// StatusCode of a bad value.
    pub const BAD: u32 = 0x8000_0000;

    /// Returns whether the severity bits mean bad (the reserved fourth severity counts as bad).
    #[must_use]
    pub fn is_bad(status: u32) -> bool {
        status & BAD != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_looks_at_bits_and_at_numbers() {
        assert!(Value::F64(f64::NAN).same(&Value::F64(f64::NAN)));
        assert!(!Value::F64(0.0).same(&Value::F64(-0.0)));
        assert!(Value::U64(7).same(&Value::I64(7)));
        assert!(!Value::U64(u64::MAX).same(&Value::I64(-1)));
        assert!(!Value::I64(1).same(&Value::F64(1.0)));
    }

    #[test]
    fn severity_is_in_the_top_bits() {
        assert!(!quality::is_bad(quality::GOOD | 0x1234));
        assert!(!quality::is_bad(quality::UNCERTAIN));
        assert!(quality::is_bad(0x8008_0000));
    }
}
