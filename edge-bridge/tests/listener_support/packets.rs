//! Packets of clients.

use bytes::Bytes;
use edge_bridge::wire::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, PropertiesBuilder, PropertyId, Publish, QoS,
    ReasonCode, Subscribe, Subscription, Utf8, Value, Version, Will,
};

pub fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

pub fn properties(list: &[(PropertyId, Value<'_>)]) -> Properties {
    let mut builder = PropertiesBuilder::new();
    for (id, value) in list {
        builder.push(*id, *value).unwrap();
    }
    builder.finish()
}

/// Clean, keep alive 60.
pub fn connect(name: &str, version: Version) -> Connect {
    Connect {
        is_bridge: false,
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: text(name),
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

/// A session that stays: for an hour in MQTT 5. No keep alive, as far as the client decides.
pub fn stays(name: &str, version: Version) -> Connect {
    let expiry = [(PropertyId::SessionExpiryInterval, Value::U32(3600))];
    let properties = if version == Version::V5 { properties(&expiry) } else { Properties::default() };
    Connect { clean_start: false, keep_alive_s: 0, properties, ..connect(name, version) }
}

pub fn will(topic: &str, list: &[(PropertyId, Value<'_>)]) -> Option<Will> {
    Some(Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text(topic),
        payload: Bytes::from_static(b"gone"),
        properties: properties(list),
    })
}

pub fn ack(id: u16) -> Ack {
    Ack::success(PacketId::new(id).unwrap())
}

/// A client's PUBLISH of QoS 2.
pub fn exactly(id: u16, topic: &str, payload: &str, dup: bool) -> Packet {
    let packet_id = PacketId::new(id);
    Packet::Publish(Publish { dup, qos: QoS::ExactlyOnce, packet_id, ..message(topic, payload) })
}

/// A message as the application gives it.
pub fn message(topic: &str, payload: &str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text(topic),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// A PUBLISH at QoS 1.
pub fn publish(id: u16, topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { packet_id: PacketId::new(id), ..message(topic, payload) })
}

pub fn qos0(topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { qos: QoS::AtMostOnce, ..message(topic, payload) })
}

/// A message at QoS 0 that is to be retained.
pub fn retained(topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { retain: true, qos: QoS::AtMostOnce, ..message(topic, payload) })
}

pub fn subscribe(filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|f| Subscription::new(text(f), QoS::AtLeastOnce)).collect();
    subscribe_as(filters, None)
}

pub fn subscribe_as(filters: Vec<Subscription>, identifier: Option<u32>) -> Packet {
    let list: Vec<_> =
        identifier.map(|id| (PropertyId::SubscriptionIdentifier, Value::Varint(id))).into_iter().collect();
    Packet::Subscribe(Subscribe { packet_id: PacketId::MAX, properties: properties(&list), filters })
}

pub fn puback(id: u16) -> Packet {
    Packet::PubAck(Ack::new(PacketId::new(id).unwrap(), ReasonCode::SUCCESS))
}

pub fn disconnect(reason: ReasonCode) -> Packet {
    Packet::Disconnect(Disconnect::new(reason))
}

pub fn payload(publish: &Publish) -> String {
    String::from_utf8(publish.payload.to_vec()).unwrap()
}

/// The reason of the DISCONNECT among `packets`.
pub fn told(packets: &[Packet]) -> Option<ReasonCode> {
    packets.iter().find_map(|p| if let Packet::Disconnect(d) = p { Some(d.reason) } else { None })
}
