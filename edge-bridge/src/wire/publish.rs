//! PUBLISH packets: their fields, reading and writing.

use bytes::{BufMut, Bytes, BytesMut};

use super::field_writer::{field_len, put_field};
use super::reader::{Reader, fail};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, Properties, PropertyId, QoS, Utf8,
    Version, topic,
};

/// PUBLISH packet (MQTT 5 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Set if this is a re-delivery; never with QoS 0.
    pub dup: bool,
    /// Quality of service of the message.
    pub qos: QoS,
    /// Retain flag of the message.
    pub retain: bool,
    /// A topic name; empty only in MQTT 5 with a Topic Alias among the properties.
    pub topic: Utf8,
    /// Packet identifier; `Some` above QoS 0, `None` at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
    /// Payload of the application message.
    pub payload: Bytes,
}

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

impl Publish {
    /// Returns the QoS in fixed header flags, if the flags are valid for a PUBLISH.
    pub(crate) fn qos_of(flags: u8) -> Result<QoS, DecodeErrorKind> {
        let qos = QoS::new(flags >> 1 & 3).ok_or(DecodeErrorKind::QoS3)?;
        if flags & DUP != 0 && qos == QoS::AtMostOnce {
            return Err(DecodeErrorKind::DupWithQoS0);
        }
        Ok(qos)
    }

    pub(crate) fn decode(flags: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let qos = Self::qos_of(flags).map_err(|kind| DecodeError { kind, offset: 0 })?;
        let topic_at = r.at();
        let topic = r.topic_name(r.version == Version::V5)?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(r.packet_id()?) };
        let properties = r.properties()?;
        if topic.is_empty() && !properties.contains(PropertyId::TopicAlias) {
            return fail(DecodeErrorKind::NoTopic, topic_at);
        }
        let (dup, retain) = (flags & DUP != 0, flags & RETAIN != 0);
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: r.rest() })
    }

    /// Copies the message, so that it does not keep a receive buffer alive.
    #[cfg(feature = "net")]
    pub(crate) fn detached(&self) -> Self {
        Self {
            topic: self.topic.detached(),
            properties: self.properties.detached(),
            payload: Bytes::copy_from_slice(&self.payload),
            ..*self
        }
    }

    /// The low four bits of the fixed header.
    pub(crate) fn flags(&self) -> u8 {
        u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain)
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(DecodeErrorKind::DupWithQoS0.into());
        }
        if self.packet_id.is_some() != (self.qos != QoS::AtMostOnce) {
            return Err(EncodeError::PacketId);
        }
        self.properties.check_for(PacketType::Publish)?;
        let properties_len = self.properties.encoded_len(version)?;
        if !self.topic.is_empty() {
            topic::check_name(self.topic.as_bytes()).map_err(DecodeErrorKind::TopicName)?;
        } else if !self.properties.contains(PropertyId::TopicAlias) {
            return Err(DecodeErrorKind::NoTopic.into());
        }
        let packet_id_len = if self.packet_id.is_some() { 2 } else { 0 };
        Ok(field_len(self.topic.as_bytes()) + packet_id_len + properties_len + self.payload.len() as u64)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        self.write_head(version, out);
        out.put_slice(&self.payload);
    }

    /// Writes everything but the payload.
    pub(crate) fn write_head(&self, version: Version, out: &mut BytesMut) {
        put_field(self.topic.as_bytes(), out);
        if let Some(packet_id) = self.packet_id {
            out.put_u16(packet_id.get());
        }
        self.properties.write(version, out);
    }
}
