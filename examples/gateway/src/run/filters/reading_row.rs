//! Layout of one reading in a row of the queue, where it waits until rows of one topic are sent as a batch.
//!
//! Rows outlive the program that wrote them, so a version byte stands first, and nothing refers to a table elsewhere.
//!
//! ```text
//! version u8 | kind u8, bit 7: has quality | time i64 | [quality u32] | sensor u16 + UTF-8 | unit u16 + UTF-8 | value
//! ```
//! Big-endian. The value is 8 bytes for numbers, 1 for a boolean, the rest of the row for text and bytes.

#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use edge_codec::Value;

const VERSION: u8 = 1;
const HAS_QUALITY: u8 = 0x80;
/// Largest size of the fixed parts: version, kind, time, quality, two lengths, eight bytes of value.
const FIXED_BYTES_MAX: usize = 26;

/// Name within the crate, beside the readings of the codec and of the filters.
pub(crate) use Reading as ReadingRow;

/// One reading with its sensor's name and unit, which a batch has in its table of sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<'a> {
    /// Name of the sensor.
    pub sensor: Cow<'a, str>,
    /// Unit of the value; empty if it has none.
    pub unit: Cow<'a, str>,
    /// Timestamp of the measurement in milliseconds since the Unix epoch.
    pub time: i64,
    /// The value. `Null` with a bad quality stands for a missing value.
    pub value: Value<'a>,
    /// Quality as an OPC UA StatusCode; 0 is good.
    pub quality: u32,
}

impl<'a> Reading<'a> {
    /// Encodes the reading. `None`: a name is longer than 65 535 bytes.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let value_bytes = match &self.value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        let text_bytes = self.sensor.len() + self.unit.len();
        let mut out = BytesMut::with_capacity(FIXED_BYTES_MAX + text_bytes + value_bytes);
        out.put_u8(VERSION);
        out.put_u8(kind(&self.value) | if self.quality == 0 { 0 } else { HAS_QUALITY });
        out.put_i64(self.time);
        if self.quality != 0 {
            out.put_u32(self.quality);
        }
        for text in [&self.sensor, &self.unit] {
            out.put_u16(u16::try_from(text.len()).ok()?);
            out.put_slice(text.as_bytes());
        }
        match &self.value {
            Value::F64(v) => out.put_u64(v.to_bits()),
            Value::I64(v) => out.put_i64(*v),
            Value::U64(v) => out.put_u64(*v),
            Value::Bool(v) => out.put_u8(u8::from(*v)),
            Value::Text(v) => out.put_slice(v.as_bytes()),
            Value::Bytes(v) => out.put_slice(v),
            Value::Null => {}
        }
        Some(out.freeze())
    }

    /// Decodes a row that [`encode`](Self::encode) wrote. `None`: the row has another form.
    pub(crate) fn decode(row: &'a [u8]) -> Option<Self> {
        let mut rest = row;
        let [VERSION, kind] = take(&mut rest)? else { return None };
        let time = i64::from_be_bytes(take(&mut rest)?);
        let quality = match kind & HAS_QUALITY {
            0 => 0,
            _ => u32::from_be_bytes(take(&mut rest)?),
        };
        let sensor = Cow::Borrowed(text(&mut rest)?);
        let unit = Cow::Borrowed(text(&mut rest)?);
        let value = match kind & !HAS_QUALITY {
            0 => Value::F64(f64::from_bits(u64::from_be_bytes(take(&mut rest)?))),
            1 => Value::I64(i64::from_be_bytes(take(&mut rest)?)),
            2 => Value::U64(u64::from_be_bytes(take(&mut rest)?)),
            3 => Value::Bool(take::<1>(&mut rest)? != [0]),
            4 => Value::Text(Cow::Borrowed(std::str::from_utf8(std::mem::take(&mut rest)).ok()?)),
            5 => Value::Bytes(Cow::Borrowed(std::mem::take(&mut rest))),
            6 => Value::Null,
            _ => return None,
        };
        rest.is_empty().then_some(Self { sensor, unit, time, value, quality })
    }
}

/// Returns the number of the value's kind. It is stored, so no number may ever get another meaning.
fn kind(value: &Value<'_>) -> u8 {
    match value {
        Value::F64(_) => 0,
        Value::I64(_) => 1,
        Value::U64(_) => 2,
        Value::Bool(_) => 3,
        Value::Text(_) => 4,
        Value::Bytes(_) => 5,
        Value::Null => 6,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    std::str::from_utf8(head).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Reading<'static>> {
        let values = [
            Value::F64(53.6),
            Value::F64(-0.0),
            Value::F64(f64::from_bits(0x7ff8_0000_0000_0001)),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::Bool(true),
            Value::Text("läuft".into()),
            Value::Text("".into()),
            Value::Bytes(vec![0, 255].into()),
            Value::Null,
        ];
        let row = |(n, value)| Reading {
            sensor: "line2/temp".into(),
            unit: if n % 2 == 0 { "Cel".into() } else { "".into() },
            time: i64::MAX - n,
            value,
            quality: if n % 3 == 0 { 0 } else { 0x8000_0000 },
        };
        (0..).zip(values).map(row).collect()
    }

    #[test]
    fn every_kind_of_value_is_read_back_to_the_bit() {
        for row in rows() {
            let bytes = row.encode().unwrap();
            let back = Reading::decode(&bytes).unwrap();
            assert!(back.value.same(&row.value), "{row:?}");
            assert_eq!(
                (back.sensor, back.unit, back.time, back.quality),
                (row.sensor, row.unit, row.time, row.quality)
            );
        }
    }

    /// Rows of an older version stay readable.
    #[test]
    fn the_bytes_of_version_1_are_pinned() {
        let row = Reading {
            sensor: "a".into(),
            unit: "K".into(),
            time: 258,
            value: Value::Bool(true),
            quality: 0x4000_0000,
        };
        let bytes = row.encode().unwrap();
        assert_eq!(
            bytes.as_ref(),
            [1, 0x83, 0, 0, 0, 0, 0, 0, 1, 2, 0x40, 0, 0, 0, 0, 1, b'a', 0, 1, b'K', 1]
        );
    }

    #[test]
    fn cut_flipped_and_foreign_rows_are_read_or_refused() {
        for row in rows() {
            let bytes = row.encode().unwrap().to_vec();
            for end in 0..bytes.len() {
                if let Some(cut) = Reading::decode(&bytes[..end]) {
                    assert!(matches!(cut.value, Value::Text(_) | Value::Bytes(_)), "{row:?} cut at {end}");
                }
            }
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let _ = Reading::decode(&bad);
            }
        }
        assert_eq!(Reading::decode(&[2, 6]), None);
        let long = "x".repeat(65_536);
        let row = Reading { sensor: long.into(), unit: "".into(), time: 0, value: Value::Null, quality: 0 };
        assert_eq!(row.encode(), None);
    }
}
