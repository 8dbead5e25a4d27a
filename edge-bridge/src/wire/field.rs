//! Fields on the way out: their lengths first, so that nothing is written of a packet that cannot be; then their bytes.

use bytes::{BufMut, BytesMut};

use super::EncodeError;

/// Checks that a field's length fits its two-byte prefix.
pub(crate) fn check_len(field: &'static str, len: usize) -> Result<(), EncodeError> {
    if len > usize::from(u16::MAX) { Err(EncodeError::FieldTooLong { field, len }) } else { Ok(()) }
}

/// Bytes on the wire of a field with a two-byte prefix.
pub(crate) fn field_len(bytes: &[u8]) -> u64 {
    2 + bytes.len() as u64
}

/// Appends the prefix and the bytes; the caller has checked the length.
pub(crate) fn put_field(bytes: &[u8], out: &mut BytesMut) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX));
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}
