//! CONNACK packets: their fields, reading and writing.

use bytes::{BufMut, BytesMut};

use super::reader::{Reader, fail};
use super::reason_and_properties::{check_reason, decode_reason};
use super::{DecodeError, DecodeErrorKind, EncodeError, PacketType, Properties, ReasonCode, Version};

/// CONNACK packet (MQTT 5 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// The server kept a session for this client. Only with a success reason.
    pub session_present: bool,
    /// Outcome. Return codes 1 to 5 of 3.1.1 are converted from and to the MQTT 5 codes of the same meaning, see
    /// [`ReasonCode::from_v311_connack`].
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
}

const PACKET: PacketType = PacketType::ConnAck;

impl ConnAck {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags_at = r.at();
        let flags = r.u8()?;
        if flags & !1 != 0 {
            return fail(DecodeErrorKind::Flags(flags), flags_at);
        }
        let session_present = flags == 1;
        let reason = match r.version {
            Version::V311 => decode_return_code(r)?,
            // A server that does not know MQTT 5 answers in the form of 3.1.1: return code 1 and no properties.
            Version::V5 if r.left() == 1 => {
                return fail(DecodeErrorKind::ConnAckWithoutProperties(r.u8()?), flags_at);
            }
            Version::V5 => decode_reason(r)?,
        };
        if session_present && reason != ReasonCode::SUCCESS {
            return fail(DecodeErrorKind::SessionPresentWithRefusal, flags_at);
        }
        let properties = r.properties()?;
        Ok(Self { session_present, reason, properties })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        match version {
            Version::V5 => check_reason(self.reason, PACKET)?,
            Version::V311 if self.reason.to_v311_connack().is_none() => {
                return Err(EncodeError::NotInV311(
                    "this reason code: take ReasonCode::nearest_v311_connack",
                ));
            }
            Version::V311 => {}
        }
        if self.session_present && self.reason != ReasonCode::SUCCESS {
            return Err(DecodeErrorKind::SessionPresentWithRefusal.into());
        }
        self.properties.check_for(PACKET)?;
        Ok(2 + self.properties.encoded_len(version)?)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        out.put_u8(u8::from(self.session_present));
        out.put_u8(match version {
            Version::V5 => self.reason.get(),
            Version::V311 => self.reason.to_v311_connack().unwrap_or(3),
        });
        self.properties.write(version, out);
    }
}

fn decode_return_code(r: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let at = r.at();
    let code = r.u8()?;
    if r.left() > 0 || code >= 0x80 {
        return fail(DecodeErrorKind::ConnAckOfV5(ReasonCode::new(code)), at);
    }
    ReasonCode::from_v311_connack(code)
        .ok_or(DecodeError { kind: DecodeErrorKind::ReturnCode { packet: PACKET, code }, offset: at })
}
