//! PUBACK, PUBREC, PUBREL, PUBCOMP.

use bytes::{BufMut, BytesMut};

use super::field::{outcome_len, put_outcome};
use super::reader::{Reader, fail};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, Properties, ReasonCode, Version,
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP have one form (§3.4 to §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Packet identifier of the PUBLISH that this answers.
    pub packet_id: PacketId,
    /// Always [`ReasonCode::SUCCESS`] in 3.1.1. Below 0x80 is success, 0x10 (no matching subscribers) too; any other is a refusal of the message,
    /// in a received PUBACK or PUBREC also one that the standard does not list for it.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
}

impl Ack {
    /// Makes one of success, without properties.
    pub fn success(packet_id: PacketId) -> Self {
        Self::new(packet_id, ReasonCode::SUCCESS)
    }

    /// Makes one without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Properties::default() }
    }
}

impl Ack {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = r.packet_id()?;
        let (reason, properties) = decode_outcome(r)?;
        Ok(Self { packet_id, reason, properties })
    }

    /// The remaining length, if the packet may be sent.
    pub(crate) fn check(&self, packet: PacketType, version: Version) -> Result<u64, EncodeError> {
        check_reason(self.reason, packet)?;
        self.properties.check_for(packet)?;
        Ok(2 + outcome_len(self.reason, &self.properties, version)?)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        out.put_u16(self.packet_id.get());
        put_outcome(self.reason, &self.properties, version, out);
    }
}

/// The reason code and properties at the end of an acknowledgement or DISCONNECT, either of which may be left out (§3.4.2.1, §3.4.2.2.1,
/// §3.14.2.1, §3.14.2.2.1).
pub(crate) fn decode_outcome(r: &mut Reader<'_>) -> Result<(ReasonCode, Properties), DecodeError> {
    if r.version == Version::V311 || r.left() == 0 {
        return Ok((ReasonCode::SUCCESS, Properties::default()));
    }
    let reason = decode_reason(r)?;
    let properties = if r.left() == 0 { Properties::default() } else { r.properties()? };
    Ok((reason, properties))
}

/// Returns whether a peer may say `code` in `packet`. A server's answer to one message or one filter by a number that the packet's table does not list
/// is still an answer to that, and to nothing else: brokers in the field say 0x95 and numbers of their own. So PUBACK and PUBREC take any number,
/// SUBACK and UNSUBACK any from 0x80 on, the others those of their table.
fn is_taken(code: ReasonCode, packet: PacketType) -> bool {
    match packet {
        PacketType::PubAck | PacketType::PubRec => true,
        PacketType::SubAck | PacketType::UnsubAck => code.is_error() || code.is_valid_for(packet),
        _ => code.is_valid_for(packet),
    }
}

pub(crate) fn decode_reason(r: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let (packet, at) = (r.packet, r.at());
    let code = ReasonCode::new(r.u8()?);
    if is_taken(code, packet) { Ok(code) } else { fail(DecodeErrorKind::Reason { packet, code }, at) }
}

/// The same on the way out.
pub(crate) fn check_reason(code: ReasonCode, packet: PacketType) -> Result<(), EncodeError> {
    if is_taken(code, packet) { Ok(()) } else { Err(DecodeErrorKind::Reason { packet, code }.into()) }
}
