//! The sum of the packets, and the small types they share. Packets are plain data: nothing is checked beyond what the types can say, `encode`
//! checks the rest, and `decode` never yields what `encode` would refuse.

use std::num::NonZeroU16;

use super::ack::Ack;
use super::connack::ConnAck;
use super::connect::Connect;
use super::publish::Publish;
use super::simple::{Auth, Disconnect};
use super::subscribe::{SubAck, Subscribe, UnsubAck, Unsubscribe};

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
    /// The smallest packet identifier, 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The identifier 65 535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// Makes an identifier; `None` for 0.
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
    /// CONNACK, answer to CONNECT (§3.2).
    ConnAck(ConnAck),
    /// PUBLISH, a message (§3.3).
    Publish(Publish),
    /// PUBACK, answer at QoS 1 (§3.4).
    PubAck(Ack),
    /// PUBREC, first answer at QoS 2 (§3.5).
    PubRec(Ack),
    /// PUBREL, release at QoS 2 (§3.6).
    PubRel(Ack),
    /// PUBCOMP, last answer at QoS 2 (§3.7).
    PubComp(Ack),
    /// SUBSCRIBE, by a client (§3.8).
    Subscribe(Subscribe),
    /// SUBACK, answer to SUBSCRIBE (§3.9).
    SubAck(SubAck),
    /// UNSUBSCRIBE, by a client (§3.10).
    Unsubscribe(Unsubscribe),
    /// UNSUBACK, answer to UNSUBSCRIBE (§3.11).
    UnsubAck(UnsubAck),
    /// PINGREQ, by a client (§3.12).
    PingReq,
    /// PINGRESP, answer to PINGREQ (§3.13).
    PingResp,
    /// DISCONNECT, by either side (§3.14).
    Disconnect(Disconnect),
    /// AUTH (§3.15); MQTT 5 only.
    Auth(Auth),
}

impl Packet {
    /// Returns which of the fifteen it is.
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
