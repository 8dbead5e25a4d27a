//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK packets: their fields, reading and writing.

use bytes::{BufMut, BytesMut};

use super::field_writer::{field_len, put_field};
use super::reader::{Reader, fail};
use super::reason_and_properties::{check_reason, decode_reason};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, Properties, QoS, ReasonCode, Utf8,
    Version, topic,
};

/// SUBSCRIBE packet (MQTT 5 §3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet identifier, which the SUBACK repeats.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
    /// Filters, at least one.
    pub filters: Vec<Subscription>,
}

/// Filter of a SUBSCRIBE with its options (§3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// A topic filter; `$share/GROUP/FILTER` is a shared subscription in MQTT 5.
    pub filter: Utf8,
    /// The highest QoS at which to receive.
    pub qos: QoS,
    /// Leaves out messages that this client published itself. MQTT 5, not on shared subscriptions.
    pub no_local: bool,
    /// Keep the retain flag of forwarded messages as it was published. MQTT 5.
    pub retain_as_published: bool,
    /// Treatment of retained messages when subscribing. MQTT 5.
    pub retain_handling: RetainHandling,
}

impl Subscription {
    /// Makes a subscription with default options, the only kind in 3.1.1.
    pub fn new(filter: Utf8, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
        }
    }
}

/// Retain Handling (§3.8.3.1). The remaining value, 3, is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetainHandling {
    /// Retained messages are sent, as always in 3.1.1.
    #[default]
    Send = 0,
    /// Retained messages are sent only if the subscription is new.
    SendIfNew = 1,
    /// Retained messages are not sent.
    DoNotSend = 2,
}

/// SUBACK packet (MQTT 5 §3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
    /// Reason codes, one per filter in their order, at least one. In MQTT 5 any code from 0x80 on refuses the filter, listed for SUBACK or
    /// not.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBSCRIBE packet (MQTT 5 §3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet identifier, which the UNSUBACK repeats.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
    /// Filters, at least one.
    pub filters: Vec<Utf8>,
}

/// UNSUBACK packet (MQTT 5 §3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: Properties,
    /// Reason codes, one per filter in their order; empty in 3.1.1, whose UNSUBACK has none.
    pub reasons: Vec<ReasonCode>,
}

impl Subscribe {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (packet_id, properties) = (r.packet_id()?, r.properties()?);
        Ok(Self { packet_id, properties, filters: entries(r, Subscription::decode)? })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        self.properties.check_for(PacketType::Subscribe)?;
        let head = head_len(&self.properties, self.filters.len(), PacketType::Subscribe, version)?;
        self.filters.iter().try_fold(head, |len, s| Ok(len + s.check(version)?))
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_head(self.packet_id, &self.properties, version, out);
        for subscription in &self.filters {
            put_field(subscription.filter.as_bytes(), out);
            out.put_u8(subscription.options());
        }
    }
}

impl Subscription {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let filter = r.topic_filter()?;
        let at = r.at();
        let options = r.u8()?;
        let subscription = Self::from_options(filter, options, r.version);
        subscription.map_err(|kind| DecodeError { kind, offset: at })
    }

    fn from_options(filter: Utf8, options: u8, version: Version) -> Result<Self, DecodeErrorKind> {
        let reserved = match version {
            Version::V311 => 0b1111_1100,
            Version::V5 => 0b1100_0000,
        };
        if options & reserved != 0 {
            return Err(DecodeErrorKind::SubscriptionOptions(options));
        }
        let qos = QoS::new(options & 3).ok_or(DecodeErrorKind::QoS3)?;
        let retain_handling = match options >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeErrorKind::SubscriptionOptions(options)),
        };
        let (no_local, retain_as_published) = (options & 4 != 0, options & 8 != 0);
        let subscription = Self { filter, qos, no_local, retain_as_published, retain_handling };
        subscription.check_no_local()?;
        Ok(subscription)
    }

    /// Refuses No Local on a shared subscription \[MQTT-3.8.3-4\].
    fn check_no_local(&self) -> Result<(), DecodeErrorKind> {
        if self.no_local && self.filter.as_bytes().starts_with(b"$share/") {
            return Err(DecodeErrorKind::NoLocalOnShared);
        }
        Ok(())
    }

    fn options(&self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    fn check(&self, version: Version) -> Result<u64, EncodeError> {
        topic::check_filter(&self.filter, version).map_err(DecodeErrorKind::TopicFilter)?;
        if version == Version::V311 && self.options() > 2 {
            return Err(EncodeError::NotInV311("subscription options"));
        }
        self.check_no_local()?;
        Ok(field_len(self.filter.as_bytes()) + 1)
    }
}

impl SubAck {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (packet_id, properties) = (r.packet_id()?, r.properties()?);
        Ok(Self { packet_id, properties, reasons: entries(r, decode_granted)? })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        self.properties.check_for(PacketType::SubAck)?;
        for reason in &self.reasons {
            check_reason(*reason, PacketType::SubAck)?;
            if version == Version::V311 && !is_v311_granted(*reason) {
                return Err(EncodeError::NotInV311("this reason code: take 0x80"));
            }
        }
        let head = head_len(&self.properties, self.reasons.len(), PacketType::SubAck, version)?;
        Ok(head + self.reasons.len() as u64)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_head(self.packet_id, &self.properties, version, out);
        out.extend(self.reasons.iter().map(|r| r.get()));
    }
}

/// Returns whether 3.1.1 has this code in a SUBACK: 0, 1, 2 or 0x80 (3.1.1 §3.9.3).
fn is_v311_granted(reason: ReasonCode) -> bool {
    reason.get() <= 2 || reason == ReasonCode::UNSPECIFIED_ERROR
}

fn decode_granted(r: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    let at = r.at();
    let code = decode_reason(r)?;
    if r.version == Version::V311 && !is_v311_granted(code) {
        return fail(DecodeErrorKind::ReturnCode { packet: r.packet, code: code.get() }, at);
    }
    Ok(code)
}

impl Unsubscribe {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (packet_id, properties) = (r.packet_id()?, r.properties()?);
        Ok(Self { packet_id, properties, filters: entries(r, |r| r.topic_filter())? })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        self.properties.check_for(PacketType::Unsubscribe)?;
        let mut len = head_len(&self.properties, self.filters.len(), PacketType::Unsubscribe, version)?;
        for filter in &self.filters {
            topic::check_filter(filter, version).map_err(DecodeErrorKind::TopicFilter)?;
            len += field_len(filter.as_bytes());
        }
        Ok(len)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_head(self.packet_id, &self.properties, version, out);
        for filter in &self.filters {
            put_field(filter.as_bytes(), out);
        }
    }
}

impl UnsubAck {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (packet_id, properties) = (r.packet_id()?, r.properties()?);
        let reasons = match r.version {
            Version::V311 => Vec::new(),
            Version::V5 => entries(r, decode_reason)?,
        };
        Ok(Self { packet_id, properties, reasons })
    }

    pub(crate) fn check(&self, version: Version) -> Result<u64, EncodeError> {
        if version == Version::V311 {
            let nothing = self.reasons.is_empty() && self.properties.is_empty();
            return if nothing { Ok(2) } else { Err(EncodeError::NotInV311("anything in an UNSUBACK")) };
        }
        self.properties.check_for(PacketType::UnsubAck)?;
        self.reasons.iter().try_for_each(|r| check_reason(*r, PacketType::UnsubAck))?;
        let head = head_len(&self.properties, self.reasons.len(), PacketType::UnsubAck, version)?;
        Ok(head + self.reasons.len() as u64)
    }

    pub(crate) fn write(&self, version: Version, out: &mut BytesMut) {
        put_head(self.packet_id, &self.properties, version, out);
        out.extend(self.reasons.iter().map(|r| r.get()));
    }
}

/// Reads the entries of all four packets up to the end of the packet: at least one, at most the limit.
fn entries<T>(
    r: &mut Reader<'_>,
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let (packet, limit) = (r.packet, r.limits.max_subscriptions);
    let mut found = Vec::new();
    while r.left() > 0 {
        if found.len() >= usize::from(limit) {
            return fail(DecodeErrorKind::TooManyEntries { packet, limit }, r.at());
        }
        found.push(decode(r)?);
    }
    if found.is_empty() { fail(DecodeErrorKind::NoEntries(packet), r.at()) } else { Ok(found) }
}

fn head_len(
    properties: &Properties,
    entries: usize,
    packet: PacketType,
    version: Version,
) -> Result<u64, EncodeError> {
    if entries == 0 {
        return Err(DecodeErrorKind::NoEntries(packet).into());
    }
    Ok(2 + properties.encoded_len(version)?)
}

fn put_head(packet_id: PacketId, properties: &Properties, version: Version, out: &mut BytesMut) {
    out.put_u16(packet_id.get());
    properties.write(version, out);
}
