//! Outcome of a packet: the reason code and properties at its end, either of which may be left out.

use bytes::{BufMut, BytesMut};

use super::reader::{Reader, fail};
use super::{DecodeError, DecodeErrorKind, EncodeError, PacketType, Properties, ReasonCode, Version};

/// Reads the reason code and properties at the end of an acknowledgement or DISCONNECT, either of which may be left out (§3.4.2.1, §3.4.2.2.1,
/// §3.14.2.1, §3.14.2.2.1).
pub(crate) fn decode_outcome(r: &mut Reader<'_>) -> Result<(ReasonCode, Properties), DecodeError> {
    if r.version == Version::V311 || r.left() == 0 {
        return Ok((ReasonCode::SUCCESS, Properties::default()));
    }
    let reason = decode_reason(r)?;
    let properties = if r.left() == 0 { Properties::default() } else { r.properties()? };
    Ok((reason, properties))
}

/// Returns whether `code` is accepted in `packet`. A server's answer to one message or filter with a code that the standard does not list for
/// the packet is still an answer; brokers in the field use 0x95 and codes of their own. So acknowledgements accept any error, and the other packets
/// only listed codes. A success that the standard does not list could be one of anything: a message is not taken for delivered by it.
fn is_taken(code: ReasonCode, packet: PacketType) -> bool {
    match packet {
        PacketType::PubAck | PacketType::PubRec | PacketType::SubAck | PacketType::UnsubAck => {
            code.is_error() || code.is_valid_for(packet)
        }
        _ => code.is_valid_for(packet),
    }
}

pub(crate) fn decode_reason(r: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let (packet, at) = (r.packet, r.at());
    let code = ReasonCode::new(r.u8()?);
    if is_taken(code, packet) { Ok(code) } else { fail(DecodeErrorKind::Reason { packet, code }, at) }
}

/// Checks that `code` may be sent in `packet`.
pub(crate) fn check_reason(code: ReasonCode, packet: PacketType) -> Result<(), EncodeError> {
    if is_taken(code, packet) { Ok(()) } else { Err(DecodeErrorKind::Reason { packet, code }.into()) }
}

/// Length in bytes of a trailing reason code and properties, which MQTT 5 lets a sender omit (§3.4.2.1, §3.4.2.2.1, §3.14.2.1): nothing for a
/// success without properties, the code alone for another outcome without properties. 3.1.1 has neither.
pub(crate) fn outcome_len(
    reason: ReasonCode,
    properties: &Properties,
    version: Version,
) -> Result<u64, EncodeError> {
    let properties_len = properties.encoded_len(version)?;
    match version {
        Version::V311 if reason != ReasonCode::SUCCESS => Err(EncodeError::NotInV311("a reason code")),
        Version::V311 => Ok(0),
        Version::V5 if !properties.is_empty() => Ok(1 + properties_len),
        Version::V5 => Ok(u64::from(reason != ReasonCode::SUCCESS)),
    }
}

/// Appends a reason code and properties in the length that [`outcome_len`] returned.
pub(crate) fn put_outcome(reason: ReasonCode, properties: &Properties, version: Version, out: &mut BytesMut) {
    if version == Version::V311 || (reason == ReasonCode::SUCCESS && properties.is_empty()) {
        return;
    }
    out.put_u8(reason.get());
    if !properties.is_empty() {
        properties.write(version, out);
    }
}
