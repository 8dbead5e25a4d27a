//! Promise 12, the codec's part: what is encoded is decoded as the same, however it arrives; what the standard forbids is refused.

use crate::wire_support::*;
use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;
use proptest::prelude::*;

#[test]
fn every_packet_survives_the_way_out_and_in() {
    for version in BOTH {
        run(&format!("wire round trip {version:?}"), 20_000, &packet(version), |packet| {
            let bytes = encoded(&packet, version);
            let mut buf = BytesMut::from(bytes.as_ref());
            buf.extend_from_slice(b"next");
            let back = decode(&mut buf, version, &Limits::FORMAT).unwrap().unwrap();
            prop_assert_eq!(&buf[..], b"next");
            prop_assert_eq!(&back, &packet);
            prop_assert_eq!(encoded(&back, version), bytes);
            Ok(())
        });
    }
}

#[test]
fn a_stream_cut_anywhere_yields_the_same_packets() {
    let version = Version::V5;
    let strategy = prop::collection::vec(packet(version), 1..4);
    run("wire split at every byte", 1_000, &strategy, |packets| {
        let stream: Vec<u8> = packets.iter().flat_map(|p| encoded(p, version)).collect();
        for cut in 0..=stream.len() {
            let mut buf = BytesMut::from(&stream[..cut]);
            let mut found = Vec::new();
            while let Some(packet) = decode(&mut buf, version, &Limits::FORMAT).unwrap() {
                found.push(packet);
            }
            let kept = buf.len();
            prop_assert!(decode(&mut buf, version, &Limits::FORMAT).unwrap().is_none());
            prop_assert_eq!(buf.len(), kept, "nothing is consumed of an incomplete packet");
            buf.extend_from_slice(&stream[cut..]);
            while let Some(packet) = decode(&mut buf, version, &Limits::FORMAT).unwrap() {
                found.push(packet);
            }
            prop_assert!(buf.is_empty());
            prop_assert_eq!(&found, &packets);
        }
        Ok(())
    });
}

#[test]
fn a_first_packet_says_its_version() {
    for version in BOTH {
        for packet in samples(version) {
            let mut buf = BytesMut::from(encoded(&packet, version).as_ref());
            match (packet, decode_connect(&mut buf, &Limits::default())) {
                (Packet::Connect(sent), Ok(Some(got))) => assert_eq!(*sent, got),
                (Packet::Connect(sent), got) => panic!("{sent:?} became {got:?}"),
                (other, got) => {
                    let kind = DecodeErrorKind::NotConnect(other.packet_type());
                    assert_eq!(got, Err(DecodeError { kind, offset: 0 }));
                }
            }
        }
    }
}

/// A packet of each type that takes properties, with these. `None`: it cannot be without an authentication method.
fn packet_with(packet: PacketType, properties: Properties) -> Packet {
    let packet_id = PacketId::MIN;
    let reason = ReasonCode::SUCCESS;
    let ack = Ack { packet_id, reason, properties: properties.clone() };
    match packet {
        PacketType::Connect => Packet::Connect(Box::new(connect_with(properties, None))),
        PacketType::ConnAck => Packet::ConnAck(ConnAck { session_present: false, reason, properties }),
        PacketType::Publish => Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: utf8("t"),
            packet_id: None,
            properties,
            payload: Bytes::new(),
        }),
        PacketType::PubAck => Packet::PubAck(ack),
        PacketType::PubRec => Packet::PubRec(ack),
        PacketType::PubRel => Packet::PubRel(ack),
        PacketType::PubComp => Packet::PubComp(ack),
        PacketType::Subscribe => {
            let filters = vec![Subscription::new(utf8("t"), QoS::AtMostOnce)];
            Packet::Subscribe(Subscribe { packet_id, properties, filters })
        }
        PacketType::SubAck => Packet::SubAck(SubAck { packet_id, properties, reasons: vec![reason] }),
        PacketType::Unsubscribe => {
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters: vec![utf8("t")] })
        }
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck { packet_id, properties, reasons: vec![reason] }),
        PacketType::Disconnect => Packet::Disconnect(Disconnect { reason, properties }),
        PacketType::Auth => Packet::Auth(Auth { reason, properties }),
        PacketType::PingReq | PacketType::PingResp => panic!("no properties in {packet:?}"),
    }
}

fn connect_with(properties: Properties, will: Option<Will>) -> Connect {
    Connect {
        is_bridge: false,
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: utf8("c"),
        will,
        username: None,
        password: None,
        properties,
    }
}

fn one(kind: char) -> Raw {
    match kind {
        'f' => Raw::Flag(true),
        '2' => Raw::U16(1),
        '4' => Raw::U32(1),
        'v' => Raw::Varint(1),
        's' | 't' => Raw::Text("x".into()),
        'b' => Raw::Binary(Bytes::from_static(b"x")),
        _ => Raw::Pair("n".into(), "v".into()),
    }
}

/// §2.2.2.2, the whole table: each property, once and twice, in each packet and in the will, on the way out and in.
#[test]
fn each_property_stands_where_the_standard_says_and_nowhere_else() {
    let method = (PropertyId::AuthenticationMethod, Value::Utf8("m"));
    let mut cases = 0;
    for (number, kind, places) in PROPERTIES {
        let (id, value) = (PropertyId::new(*number).unwrap(), one(*kind));
        for times in [1, 2] {
            for (packet, place) in PLACES.iter().copied().chain([(PacketType::Connect, 'w')]) {
                let repeats = *number == 38 || (*number == 11 && place == 'P');
                let fine = places.contains(&place) && (times == 1 || repeats);
                let mut builder = PropertiesBuilder::new();
                let mut wire = Vec::new();
                // An authentication method beside what needs one.
                if (place == 'A' || *number == 22) && *number != 21 && place != 'w' {
                    wire = vec![21, 0, 1, b'm'];
                    let _ = builder.push(method.0, method.1);
                }
                let mut built = true;
                for _ in 0..times {
                    built &= builder.push(id, value.value()).is_ok();
                    let mut alone = PropertiesBuilder::new();
                    wire.extend_from_slice(
                        alone.push(id, value.value()).unwrap().clone().finish().as_bytes(),
                    );
                }
                let properties = builder.finish();
                let out = if place == 'w' {
                    let will = Will {
                        qos: QoS::AtMostOnce,
                        retain: false,
                        topic: utf8("t"),
                        payload: Bytes::new(),
                        properties,
                    };
                    Packet::Connect(Box::new(connect_with(Properties::default(), Some(will))))
                } else {
                    packet_with(packet, properties)
                };
                let encodes = built && encode(&out, Version::V5, &mut BytesMut::new()).is_ok();
                assert_eq!(encodes, fine, "{times} x {id:?} at {place:?}, out");
                // The bytes by hand, so that the encoder has no say.
                let bytes = by_hand(packet, place == 'w', &wire);
                assert_eq!(decoded(&bytes, Version::V5).is_ok(), fine, "{times} x {id:?} at {place:?}, in");
                cases += 2;
            }
        }
    }
    println!("executed wire property table: {cases} cases");
}

/// The smallest MQTT 5 packet of the type with these property bytes (< 100 of them).
fn by_hand(packet: PacketType, in_will: bool, properties: &[u8]) -> Vec<u8> {
    let len = properties.len() as u8;
    let with = |head: &[u8], tail: &[u8]| [head, &[len], properties, tail].concat();
    let body = match packet {
        PacketType::Connect if in_will => {
            let head = b"\0\x04MQTT\x05\x06\0\0\0\0\x01c";
            with(head, b"\0\x01t\0\0")
        }
        PacketType::Connect => with(b"\0\x04MQTT\x05\x02\0\0", b"\0\x01c"),
        PacketType::ConnAck => with(&[0, 0], &[]),
        PacketType::Publish => with(b"\0\x01t", &[]),
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            with(&[0, 1, 0], &[])
        }
        PacketType::Subscribe => with(&[0, 1], b"\0\x01t\0"),
        PacketType::Unsubscribe => with(&[0, 1], b"\0\x01t"),
        PacketType::SubAck | PacketType::UnsubAck => with(&[0, 1], &[0]),
        _ => with(&[0], &[]),
    };
    let flags =
        u8::from(matches!(packet, PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe)) << 1;
    [&[(packet as u8) << 4 | flags, body.len() as u8], &body[..]].concat()
}

/// Properties of one connection must not reach another one: a hub ends the connection of a client that sends a Subscription
/// Identifier (§3.3.2.3.8).
#[test]
fn what_is_left_out_is_what_was_named_whatever_else_is_there() {
    let all = [
        (PropertyId::TopicAlias, Value::U16(1)),
        (PropertyId::MessageExpiryInterval, Value::U32(2)),
        (PropertyId::SubscriptionIdentifier, Value::Varint(3)),
        (PropertyId::UserProperty, Value::Pair("n", "v")),
    ];
    let chosen = |bits: u32| (0..).zip(all).filter(move |(n, _)| bits >> n & 1 == 1).map(|(_, one)| one);
    let of = |bits| {
        let mut builder = PropertiesBuilder::new();
        for (id, value) in chosen(bits) {
            builder.push(id, value).unwrap();
        }
        builder.finish()
    };
    for (there, named) in (0..16).flat_map(|there| (0..16).map(move |named| (there, named))) {
        let ids: Vec<_> = chosen(named).map(|(id, _)| id).collect();
        assert_eq!(of(there).without(&ids), of(there & !named), "{ids:?} of {there:04b}");
    }
}
