//! Fields on the way out: their lengths first, so that nothing is written of a packet that cannot be; then their bytes.

use bytes::{BufMut, BytesMut};

use super::{EncodeError, Properties, ReasonCode, Version, varint};

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

/// Bytes on the wire of properties with their length; 0 in 3.1.1, which has none.
pub(crate) fn properties_len(properties: &Properties, version: Version) -> Result<u64, EncodeError> {
    let len = properties.as_bytes().len() as u64;
    match (version, u32::try_from(len)) {
        (Version::V311, Ok(0)) => Ok(0),
        (Version::V311, _) => Err(EncodeError::NotInV311("properties")),
        (Version::V5, Ok(value)) if value <= varint::MAX => Ok(varint::len(value) as u64 + len),
        (Version::V5, _) => Err(EncodeError::TooLong(len)),
    }
}

/// Appends what [`properties_len`] has measured.
pub(crate) fn put_properties(properties: &Properties, version: Version, out: &mut BytesMut) {
    if version == Version::V5 {
        let raw = properties.as_bytes();
        varint::write(u32::try_from(raw.len()).unwrap_or(varint::MAX).min(varint::MAX), out);
        out.put_slice(raw);
    }
}

/// The length of a trailing reason code and properties, which MQTT 5 shortens (§3.4.2.1, §3.4.2.2.1, §3.14.2.1): nothing for a success without
/// properties, the code alone without properties. 3.1.1 has neither.
pub(crate) fn outcome_len(
    reason: ReasonCode,
    properties: &Properties,
    version: Version,
) -> Result<u64, EncodeError> {
    let properties_len = properties_len(properties, version)?;
    match version {
        Version::V311 if reason != ReasonCode::SUCCESS => Err(EncodeError::NotInV311("a reason code")),
        Version::V311 => Ok(0),
        Version::V5 if !properties.is_empty() => Ok(1 + properties_len),
        Version::V5 => Ok(u64::from(reason != ReasonCode::SUCCESS)),
    }
}

/// Appends what [`outcome_len`] has measured.
pub(crate) fn put_outcome(reason: ReasonCode, properties: &Properties, version: Version, out: &mut BytesMut) {
    if version == Version::V311 || (reason == ReasonCode::SUCCESS && properties.is_empty()) {
        return;
    }
    out.put_u8(reason.get());
    if !properties.is_empty() {
        put_properties(properties, version, out);
    }
}
