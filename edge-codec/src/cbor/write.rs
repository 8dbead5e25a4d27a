//! CBOR items, each in the one form of the deterministic encoding (RFC 8949 §4.2.1).

use crate::Value;
use ciborium_ll::{Encoder, Header as Item, simple};

pub(crate) fn value(out: &mut Vec<u8>, value: &Value<'_>) {
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

/// Writes a NaN bit by bit. Its payload never passes a float conversion, which could change a signalling NaN on some processors.
fn nan(out: &mut Vec<u8>, v: f64) {
    if v.to_bits() == super::read::QUIET_NAN {
        out.extend_from_slice(&[0xf9, 0x7e, 0x00]);
    } else {
        out.push(0xfb);
        out.extend_from_slice(&v.to_bits().to_be_bytes());
    }
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    put(out, Item::Text(Some(text.len())));
    out.extend_from_slice(text.as_bytes());
}

/// Returns the item of an integer. CBOR's negative integers count from -1 downwards, which is the two's complement with all bits inverted.
pub(crate) fn int(v: i64) -> Item {
    u64::try_from(v).map_or(Item::Negative(!(v.cast_unsigned())), Item::Positive)
}

pub(crate) fn put(out: &mut Vec<u8>, item: Item) {
    let (bytes, len) = head(item);
    out.extend(bytes.iter().take(len));
}

pub(crate) fn len_of(item: Item) -> usize {
    head(item).1
}

/// Encodes the head of an item: the bytes, and the number of them that count, at most nine (RFC 8949 §3).
fn head(item: Item) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let mut free = bytes.as_mut_slice();
    // Nine bytes have room for every head.
    let written = Encoder::from(&mut free).push(item);
    debug_assert!(written.is_ok());
    let len = 9 - free.len();
    (bytes, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(v: &Value<'_>) -> String {
        let mut out = Vec::new();
        value(&mut out, v);
        out.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn rfc_8949_appendix_a_integers_are_written_as_there() {
        let ints: [(i64, &str); 15] = [
            (0, "00"),
            (1, "01"),
            (10, "0a"),
            (23, "17"),
            (24, "1818"),
            (25, "1819"),
            (100, "1864"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (-1, "20"),
            (-10, "29"),
            (-100, "3863"),
            (-1000, "3903e7"),
            (i64::MIN, "3b7fffffffffffffff"),
        ];
        for (v, bytes) in ints {
            assert_eq!(hex(&Value::I64(v)), bytes);
        }
        assert_eq!(hex(&Value::U64(u64::MAX)), "1bffffffffffffffff");
    }

    #[test]
    fn rfc_8949_appendix_a_floats_are_written_as_there() {
        let floats: [(f64, &str); 16] = [
            (0.0, "f90000"),
            (-0.0, "f98000"),
            (1.0, "f93c00"),
            (1.1, "fb3ff199999999999a"),
            (1.5, "f93e00"),
            (65504.0, "f97bff"),
            (100_000.0, "fa47c35000"),
            (f64::from(f32::MAX), "fa7f7fffff"),
            (1.0e300, "fb7e37e43c8800759c"),
            (5.960_464_477_539_063e-8, "f90001"),
            (0.000_061_035_156_25, "f90400"),
            (-4.0, "f9c400"),
            (-4.1, "fbc010666666666666"),
            (f64::INFINITY, "f97c00"),
            (f64::NAN, "f97e00"),
            (f64::NEG_INFINITY, "f9fc00"),
        ];
        for (v, bytes) in floats {
            assert_eq!(hex(&Value::F64(v)), bytes, "{v}");
        }
    }

    #[test]
    fn rfc_8949_appendix_a_strings_and_simple_values_are_written_as_there() {
        for (v, bytes) in [(Value::Bool(false), "f4"), (Value::Bool(true), "f5"), (Value::Null, "f6")] {
            assert_eq!(hex(&v), bytes);
        }
        assert_eq!(hex(&Value::Bytes(vec![].into())), "40");
        assert_eq!(hex(&Value::Bytes(vec![1, 2, 3, 4].into())), "4401020304");
        for (text, bytes) in [
            ("", "60"),
            ("a", "6161"),
            ("IETF", "6449455446"),
            ("\"\\", "62225c"),
            ("\u{fc}", "62c3bc"),
            ("\u{6c34}", "63e6b0b4"),
            ("\u{10151}", "64f0908591"),
        ] {
            assert_eq!(hex(&Value::Text(text.into())), bytes);
        }
    }
}
