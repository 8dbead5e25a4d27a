//! Sessions with the other side of the wire in the test's hands.
#![allow(dead_code, reason = "each test uses a part of it")]

use bytes::{Bytes, BytesMut};
use edge_bridge::session::{
    Accept, AckHandle, ClientConfig, Event, Input, Output, Resume, ServerConfig, Session, Token,
};
use edge_bridge::wire::{
    self, Ack, ConnAck, Connect, Limits, Packet, PacketId, Properties, PropertiesBuilder, PropertyId,
    Publish, QoS, ReasonCode, Utf8, Value, Version,
};

pub(crate) fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

pub(crate) fn message(topic: &str, payload: &str) -> Publish {
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

/// A message of QoS 2 to `a`.
pub(crate) fn exactly(payload: &str) -> Publish {
    Publish { qos: QoS::ExactlyOnce, ..message("a", payload) }
}

pub(crate) fn properties(list: &[(PropertyId, Value<'_>)]) -> Properties {
    let mut builder = PropertiesBuilder::new();
    for (id, value) in list {
        builder.push(*id, *value).unwrap();
    }
    builder.finish()
}

pub(crate) fn encoded(packets: &[Packet], version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    for packet in packets {
        wire::encode(packet, version, &mut out).unwrap();
    }
    out
}

/// Everything a session wants to do now: packets it sends (without CONNECT) and events.
pub(crate) fn drain(session: &mut Session) -> (Vec<Packet>, Vec<Event>) {
    let (mut bytes, mut events) = (BytesMut::new(), Vec::new());
    while let Some(output) = session.poll_output() {
        match output {
            Output::Transmit(part) => bytes.extend_from_slice(&part),
            Output::Event(event) => events.push(event),
        }
    }
    let mut packets = Vec::new();
    if bytes.first() == Some(&0x10) {
        wire::decode_connect(&mut bytes, &Limits::default()).unwrap().unwrap();
    }
    while let Some(packet) = wire::decode(&mut bytes, session.version(), &Limits::default()).unwrap() {
        packets.push(packet);
    }
    assert!(bytes.is_empty());
    (packets, events)
}

pub(crate) fn give(session: &mut Session, packets: &[Packet]) -> (Vec<Packet>, Vec<Event>) {
    let mut bytes = encoded(packets, session.version());
    while !bytes.is_empty() {
        let before = bytes.len();
        session.handle_input(0, Input::Bytes(&mut bytes));
        assert!(bytes.len() < before);
    }
    drain(session)
}

pub(crate) fn connack(session_present: bool, list: &[(PropertyId, Value<'_>)]) -> Packet {
    let reason = ReasonCode::SUCCESS;
    Packet::ConnAck(ConnAck { session_present, reason, properties: properties(list) })
}

/// A client whose server answered with `connack`, and what it sent and said then.
pub(crate) fn client(resume: Option<Resume>, connack: &Packet) -> (Session, Vec<Packet>, Vec<Event>) {
    let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), resume);
    drain(&mut session);
    let (packets, events) = give(&mut session, std::slice::from_ref(connack));
    (session, packets, events)
}

pub(crate) fn open_client(receive_maximum: u16) -> Session {
    client(None, &connack(false, &[(PropertyId::ReceiveMaximum, Value::U16(receive_maximum))])).0
}

pub(crate) fn connect(version: Version, list: &[(PropertyId, Value<'_>)]) -> Packet {
    Packet::Connect(Box::new(Connect {
        is_bridge: false,
        version,
        clean_start: false,
        keep_alive_s: 10,
        client_id: text("sensor"),
        will: None,
        username: None,
        password: None,
        properties: properties(list),
    }))
}

/// A server whose client has connected and was accepted.
pub(crate) fn server(version: Version, epoch: u64, resume: Option<Resume>) -> (Session, Vec<Packet>) {
    let mut session = Session::server(0, epoch, ServerConfig::default());
    let mut bytes = encoded(&[connect(version, &[])], version);
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert!(matches!(drain(&mut session).1[..], [Event::Connect(_)]));
    let mut accept = Accept::default();
    accept.resume = resume;
    session.accept(0, accept);
    let (packets, _) = drain(&mut session);
    (session, packets)
}

pub(crate) fn incoming(id: u16, topic: &str) -> Packet {
    Packet::Publish(Publish { packet_id: PacketId::new(id), ..message(topic, "x") })
}

pub(crate) fn puback(id: u16, reason: ReasonCode) -> Packet {
    Packet::PubAck(Ack::new(PacketId::new(id).unwrap(), reason))
}

pub(crate) fn handle(events: &[Event]) -> Vec<AckHandle> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::Publish { ack, .. } => *ack,
            _ => None,
        })
        .collect()
}

pub(crate) fn publishes(packets: &[Packet]) -> Vec<(u16, bool, String)> {
    packets
        .iter()
        .filter_map(|p| match p {
            Packet::Publish(p) => {
                Some((p.packet_id.unwrap().get(), p.dup, String::from_utf8(p.payload.to_vec()).unwrap()))
            }
            _ => None,
        })
        .collect()
}

pub(crate) fn in_flight(count: u16) -> Resume {
    let mut session = open_client(u16::MAX);
    for n in 0..count {
        session.publish(0, Token(n.into()), &message("plant/1", &n.to_string())).unwrap();
    }
    session.handle_input(0, Input::Closed);
    session.into_resume()
}
