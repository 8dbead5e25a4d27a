//! Writing of length-prefixed fields. All lengths are checked first, so that no byte is written of a packet that cannot be encoded.

use bytes::{BufMut, BytesMut};

use super::EncodeError;

/// Checks that a field's length fits its two-byte prefix.
pub(crate) fn check_len(field: &'static str, len: usize) -> Result<(), EncodeError> {
    if len > usize::from(u16::MAX) { Err(EncodeError::FieldTooLong { field, len }) } else { Ok(()) }
}

/// Number of bytes that a field takes on the wire with its prefix of two bytes.
pub(crate) fn field_len(bytes: &[u8]) -> u64 {
    2 + bytes.len() as u64
}

/// Appends a field with its prefix. The caller has checked the length.
pub(crate) fn put_field(bytes: &[u8], out: &mut BytesMut) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX));
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}
