//! PUBACK, PUBREC, PUBREL and PUBCOMP packets: their fields, reading and writing.

use bytes::{BufMut, BytesMut};

use super::reader::Reader;
use super::reason_and_properties::{check_reason, decode_outcome, outcome_len, put_outcome};
use super::{DecodeError, EncodeError, PacketId, PacketType, Properties, ReasonCode, Version};

/// PUBACK, PUBREC, PUBREL or PUBCOMP packet, which have the same form (§3.4 to §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Packet identifier of the PUBLISH to which this belongs.
    pub packet_id: PacketId,
    /// Outcome; always [`ReasonCode::SUCCESS`] in 3.1.1. Below 0x80 it is a success (also 0x10, no matching subscribers), any other is a
    /// refusal of the message. A received PUBACK or PUBREC may have a code of an error that the standard does
    /// not list for it.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
}

impl Ack {
    /// Makes an acknowledgement of success, without properties.
    pub fn success(packet_id: PacketId) -> Self {
        Self::new(packet_id, ReasonCode::SUCCESS)
    }

    /// Makes an acknowledgement without properties.
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

    /// Checks that the packet may be sent, and returns its remaining length in bytes.
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
