//! DISCONNECT and AUTH packets: a reason code and properties.

use bytes::{BufMut, BytesMut};

use super::reader::{Reader, fail};
use super::reason_and_properties::{check_reason, decode_outcome, decode_reason, outcome_len, put_outcome};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, PacketType, Properties, PropertyId, ReasonCode, Version,
};

/// DISCONNECT (§3.14). In 3.1.1 only the client sends it, and it has no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Reason code; [`ReasonCode::NORMAL_DISCONNECTION`] in 3.1.1.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
}

/// AUTH packet (§3.15), in MQTT 5 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Reason code, which is 0x00, 0x18 or 0x19.
    pub reason: ReasonCode,
    /// Holds the Authentication Method, unless the packet is the empty one of a success.
    pub properties: Properties,
}

impl Disconnect {
    /// Makes a DISCONNECT without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::default() }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (reason, properties) = decode_outcome(r)?;
        Ok(Self { reason, properties })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        check_reason(self.reason, PacketType::Disconnect)?;
        self.properties.check_for(PacketType::Disconnect)?;
        outcome_len(self.reason, &self.properties, version)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_outcome(self.reason, &self.properties, version, out);
    }
}

impl Auth {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.left() == 0 {
            return Ok(Self { reason: ReasonCode::SUCCESS, properties: Properties::default() });
        }
        // Unlike an acknowledgement's, the properties may only be left out together with the reason (§3.15.2.1).
        let reason = decode_reason(r)?;
        let properties_at = r.at();
        let auth = Self { reason, properties: r.properties()? };
        if auth.is_without_method() {
            return fail(DecodeErrorKind::NoAuthenticationMethod, properties_at);
        }
        Ok(auth)
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        if version == Version::V311 {
            return Err(EncodeError::NotInV311("AUTH"));
        }
        check_reason(self.reason, PacketType::Auth)?;
        self.properties.check_for(PacketType::Auth)?;
        if self.is_without_method() {
            return Err(DecodeErrorKind::NoAuthenticationMethod.into());
        }
        if self.is_empty_success() { Ok(0) } else { Ok(1 + self.properties.encoded_len(version)?) }
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        if !self.is_empty_success() {
            out.put_u8(self.reason.get());
            self.properties.write(version, out);
        }
    }

    /// Returns whether the method is missing, which §3.15.2.2.2 demands except in the empty packet of §3.15.2.1.
    fn is_without_method(&self) -> bool {
        !self.properties.contains(PropertyId::AuthenticationMethod) && !self.is_empty_success()
    }

    fn is_empty_success(&self) -> bool {
        self.reason == ReasonCode::SUCCESS && self.properties.is_empty()
    }
}
