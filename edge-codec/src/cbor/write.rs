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

/// Bit-exact whatever the processor does to a signalling NaN: the payload never passes a float conversion.
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

/// CBOR's negative integers count from -1 downwards: the two's complement with all bits inverted.
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

/// A head is at most nine bytes long (RFC 8949 §3), so the write into a slice of nine cannot fail.
fn head(item: Item) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let mut free = bytes.as_mut_slice();
    let written = Encoder::from(&mut free).push(item);
    debug_assert!(written.is_ok());
    let len = 9 - free.len();
    (bytes, len)
}
