//! All control packets in one type. Packets are plain data, checked only by their types; `encode` checks the rest, and `decode` never returns a
//! packet that `encode` would refuse.

use super::ack::Ack;
use super::connack::ConnAck;
use super::connect::Connect;
use super::disconnect_auth::{Auth, Disconnect};
use super::publish::Publish;
use super::subscribe::{SubAck, Subscribe, UnsubAck, Unsubscribe};
use super::types::PacketType;

/// Control packet. The standards define exactly these (§2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT (§3.1). Boxed, because it is three times as large as the others and comes once per connection.
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
    /// Returns the type of the packet.
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
