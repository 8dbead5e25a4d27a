//! The packets as plain data. Nothing here is checked beyond what the types can say; `encode` checks the rest, `decode` never yields what `encode`
//! would refuse.

use std::num::NonZeroU16;

use bytes::Bytes;

use super::{Properties, ReasonCode, Utf8};

/// A protocol version this codec speaks. Exhaustive: there is no other in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// Quality of service (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum QoS {
    /// QoS 0: no acknowledgement.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged by PUBACK, may repeat.
    AtLeastOnce = 1,
    /// QoS 2: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level for a wire value; `None` for 3, which is malformed (\[MQTT-3.3.1-4\]).
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A packet identifier; zero is not one (\[MQTT-2.2.1-3\]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The identifier 65 535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// `None` for 0.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for PacketId {
    fn from(id: NonZeroU16) -> Self {
        Self(id)
    }
}

impl std::fmt::Display for PacketId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A control packet. Exhaustive: the standards define exactly these (§2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT (§3.1). Boxed: it is three times the size of the others and comes once per connection.
    Connect(Box<Connect>),
    /// CONNACK (§3.2).
    ConnAck(ConnAck),
    /// PUBLISH (§3.3).
    Publish(Publish),
    /// PUBACK (§3.4).
    PubAck(Ack),
    /// PUBREC (§3.5).
    PubRec(Ack),
    /// PUBREL (§3.6).
    PubRel(Ack),
    /// PUBCOMP (§3.7).
    PubComp(Ack),
    /// SUBSCRIBE (§3.8).
    Subscribe(Subscribe),
    /// SUBACK (§3.9).
    SubAck(SubAck),
    /// UNSUBSCRIBE (§3.10).
    Unsubscribe(Unsubscribe),
    /// UNSUBACK (§3.11).
    UnsubAck(UnsubAck),
    /// PINGREQ (§3.12).
    PingReq,
    /// PINGRESP (§3.13).
    PingResp,
    /// DISCONNECT (§3.14).
    Disconnect(Disconnect),
    /// AUTH (§3.15); MQTT 5 only.
    Auth(Auth),
}

impl Packet {
    /// Which of the fifteen it is.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// The type field of the fixed header (§2.1.2). Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// CONNECT (§3.1): the first packet of a connection, client to server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// The protocol the client asks to speak.
    pub version: Version,
    /// Clean Start (5) or Clean Session (3.1.1).
    pub clean_start: bool,
    /// Keep alive in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// May be empty (the server then names the client), in 3.1.1 only with `clean_start`.
    pub client_id: Utf8,
    /// Published by the server when the connection ends otherwise than by a normal DISCONNECT.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Utf8>,
    /// Password, at most 65 535 bytes; in 3.1.1 only together with a user name.
    pub password: Option<Bytes>,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

/// The will of a CONNECT (§3.1.3.2 to §3.1.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// QoS to publish with.
    pub qos: QoS,
    /// Retain flag to publish with.
    pub retain: bool,
    /// A topic name: no wildcards, not empty.
    pub topic: Utf8,
    /// At most 65 535 bytes.
    pub payload: Bytes,
    /// Will properties; empty in 3.1.1.
    pub properties: Properties,
}

/// CONNACK (§3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// The server kept a session for this client. Only with a success reason.
    pub session_present: bool,
    /// 3.1.1 return codes 1 to 5 are read as, and written from, the MQTT 5 codes of the same meaning: see [`ReasonCode::from_v311_connack`].
    pub reason: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

/// PUBLISH (§3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// A re-delivery; never with QoS 0.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// A topic name; empty only in MQTT 5 with a Topic Alias among the properties.
    pub topic: Utf8,
    /// Present if and only if QoS > 0.
    pub packet_id: Option<PacketId>,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// The application message.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP have one form (§3.4 to §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Of the PUBLISH this answers.
    pub packet_id: PacketId,
    /// Always [`ReasonCode::SUCCESS`] in 3.1.1. Below 0x80 is success, 0x10 (no matching subscribers) too.
    pub reason: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

impl Ack {
    /// Success, without properties.
    pub fn success(packet_id: PacketId) -> Self {
        Self::new(packet_id, ReasonCode::SUCCESS)
    }

    /// Without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Properties::default() }
    }
}

/// SUBSCRIBE (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Answered by the SUBACK with the same identifier.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// At least one.
    pub filters: Vec<Subscription>,
}

/// One filter of a SUBSCRIBE with its options (§3.8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// A topic filter; `$share/GROUP/FILTER` is a shared subscription in MQTT 5.
    pub filter: Utf8,
    /// The highest QoS at which to receive.
    pub qos: QoS,
    /// Do not send me what I published myself. MQTT 5, not on shared subscriptions.
    pub no_local: bool,
    /// Keep the retain flag of forwarded messages as it was published. MQTT 5.
    pub retain_as_published: bool,
    /// What to do with retained messages when subscribing. MQTT 5.
    pub retain_handling: RetainHandling,
}

impl Subscription {
    /// A plain subscription, the only kind 3.1.1 knows.
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

/// Retain Handling (§3.8.3.1). Exhaustive: 3 is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetainHandling {
    /// Send retained messages (the behaviour of 3.1.1).
    #[default]
    Send = 0,
    /// Send them only if the subscription did not exist.
    SendIfNew = 1,
    /// Do not send them.
    DoNotSend = 2,
}

/// SUBACK (§3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// One per filter, in their order; at least one.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBSCRIBE (§3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Answered by the UNSUBACK with the same identifier.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// At least one.
    pub filters: Vec<Utf8>,
}

/// UNSUBACK (§3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// One per filter, in their order; empty in 3.1.1, where an UNSUBACK says nothing.
    pub reasons: Vec<ReasonCode>,
}

/// DISCONNECT (§3.14). In 3.1.1 only the client sends it, and it has no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// [`ReasonCode::NORMAL_DISCONNECTION`] in 3.1.1.
    pub reason: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

/// AUTH (§3.15); MQTT 5 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// 0x00, 0x18 or 0x19.
    pub reason: ReasonCode,
    /// Holds the Authentication Method, unless the packet is the empty one of a success.
    pub properties: Properties,
}
