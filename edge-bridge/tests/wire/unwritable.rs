//! Packets that must not be sent, or go beyond the format, are not written.

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;

use crate::traps::message;
use crate::wire_support::*;

#[test]
fn what_must_not_be_sent_is_not_written() {
    let id = PacketId::new(7);
    let long = Bytes::from(vec![0; 65_536]);
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: utf8("t"),
        payload: long.clone(),
        properties: Properties::default(),
    };
    let connect = Connect {
        is_bridge: false,
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: utf8("c"),
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let bad = [
        Packet::Publish(Publish { dup: true, ..message() }),
        Packet::Publish(Publish { packet_id: id, ..message() }),
        Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..message() }),
        Packet::Connect(Box::new(Connect { version: Version::V311, ..connect.clone() })),
        Packet::Connect(Box::new(Connect { password: Some(long), ..connect.clone() })),
        Packet::Connect(Box::new(Connect { will: Some(will), ..connect })),
        Packet::PubRel(Ack::new(PacketId::MIN, ReasonCode::SERVER_BUSY)),
        Packet::ConnAck(ConnAck {
            session_present: true,
            reason: ReasonCode::BANNED,
            properties: Properties::default(),
        }),
        Packet::Auth(Auth { reason: ReasonCode::CONTINUE_AUTHENTICATION, properties: Properties::default() }),
        Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::default(),
            filters: vec![],
        }),
    ];
    for packet in bad {
        let mut out = BytesMut::from("kept");
        assert!(encode(&packet, Version::V5, &mut out).is_err(), "{packet:?}");
        assert!(encoded_len(&packet, Version::V5).is_err());
        assert_eq!(&out[..], b"kept");
    }
}

/// Packets that only MQTT 5 has the words for.
#[test]
fn what_3_1_1_cannot_say_is_not_written_there() {
    let mut properties = PropertiesBuilder::new();
    properties.user("a", "b").unwrap();
    for packet in [
        Packet::Publish(Publish { properties: properties.finish(), ..message() }),
        Packet::PubAck(Ack::new(PacketId::MIN, ReasonCode::NOT_AUTHORIZED)),
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::BANNED,
            properties: Properties::default(),
        }),
        Packet::Disconnect(Disconnect::new(ReasonCode::SESSION_TAKEN_OVER)),
        Packet::Auth(Auth { reason: ReasonCode::SUCCESS, properties: Properties::default() }),
        Packet::UnsubAck(UnsubAck {
            packet_id: PacketId::MIN,
            properties: Properties::default(),
            reasons: vec![ReasonCode::SUCCESS],
        }),
    ] {
        assert!(encode(&packet, Version::V5, &mut BytesMut::new()).is_ok());
        assert!(
            matches!(encode(&packet, Version::V311, &mut BytesMut::new()), Err(EncodeError::NotInV311(_))),
            "{packet:?}"
        );
    }
}

#[test]
fn a_packet_beyond_the_format_is_not_written() {
    // 256 MiB of zeroes: the pages are never touched, nothing is copied.
    let payload = Bytes::from(vec![0; REMAINING_LENGTH_MAX as usize]);
    let fits = Publish { payload: payload.slice(3..), ..message() };
    assert_eq!(
        encoded_len(&Packet::Publish(fits), Version::V311).unwrap(),
        REMAINING_LENGTH_MAX as usize + 5
    );
    let over = Publish { payload: payload.slice(2..), ..message() };
    let len = u64::from(REMAINING_LENGTH_MAX) + 1;
    assert_eq!(encode_publish(&over, Version::V311, &mut BytesMut::new()), Err(EncodeError::TooLong(len)));
}

#[test]
fn properties_are_passed_on_and_picked_from() {
    let mut builder = PropertiesBuilder::new();
    builder.push(PropertyId::TopicAlias, Value::U16(3)).unwrap();
    builder.user("edge-id", "1-0-2-3").unwrap().user("edge-id", "again").unwrap();
    builder.push(PropertyId::SubscriptionIdentifier, Value::Varint(200)).unwrap();
    builder.push(PropertyId::CorrelationData, Value::Binary(b"\0\x01")).unwrap();
    // Refused and without a trace: a wrong type, a repetition, a wrong company, too long, not MQTT's UTF-8.
    for (id, value) in [
        (PropertyId::TopicAlias, Value::U32(1)),
        (PropertyId::TopicAlias, Value::U16(1)),
        (PropertyId::ReceiveMaximum, Value::U16(1)),
        (PropertyId::SubscriptionIdentifier, Value::Varint(REMAINING_LENGTH_MAX + 1)),
        (PropertyId::ContentType, Value::Utf8("a\0")),
        (PropertyId::ContentType, Value::Utf8(&"x".repeat(65_536))),
    ] {
        let before = builder.clone().finish();
        assert!(builder.push(id, value).is_err(), "{id:?}");
        assert_eq!(builder.clone().finish(), before);
    }
    let properties = builder.finish();
    assert_eq!(properties.user_property("edge-id"), Some("1-0-2-3"));
    assert_eq!(properties.user_properties().count(), 2);
    assert_eq!(properties.subscription_identifiers().collect::<Vec<_>>(), [200]);
    assert_eq!(properties.binary(PropertyId::CorrelationData).unwrap(), b"\0\x01"[..]);
    assert_eq!(properties.u32(PropertyId::CorrelationData), None);
    assert_eq!(Properties::from_raw(properties.as_bytes().clone()).unwrap(), properties);
    let onward = properties.without(&[PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier]);
    assert_eq!(onward.iter().count(), 3);
    assert!(!onward.contains(PropertyId::TopicAlias));
    let same = onward.without(&[PropertyId::TopicAlias]);
    assert_eq!(same.as_bytes().as_ptr(), onward.as_bytes().as_ptr(), "nothing to leave out: no copy");
    assert_eq!(onward.to_builder().finish(), onward);
}

/// Codes with which this side marks what it did not hear from a peer: no packet says them, and the error shows the number alone.
#[test]
fn no_packet_has_a_mark_of_this_side() {
    for mark in [ReasonCode::NO_ANSWER, ReasonCode::NO_REASON, ReasonCode::BROKEN_ANSWER] {
        let code = mark.get();
        for bytes in [
            &[0x20, 3, 0, code, 0][..],
            &[0x40, 3, 0, 1, code],
            &[0x50, 3, 0, 1, code],
            &[0x62, 3, 0, 1, code],
            &[0x70, 3, 0, 1, code],
            &[0x90, 4, 0, 1, 0, code],
            &[0xb0, 4, 0, 1, 0, code],
            &[0xe0, 1, code],
            &[0xf0, 2, code, 0],
        ] {
            let error = decoded(bytes, Version::V5).expect_err("no packet").to_string();
            assert!(error.starts_with(&format!("reason code {code:#04x} in ")), "{error}");
            assert!(!error.contains(mark.name()), "{error}");
        }
        let ack = Ack::new(PacketId::MIN, mark);
        let suback =
            SubAck { packet_id: PacketId::MIN, properties: Properties::default(), reasons: vec![mark] };
        for packet in [
            Packet::PubAck(ack.clone()),
            Packet::PubRec(ack),
            Packet::SubAck(suback),
            Packet::Disconnect(Disconnect::new(mark)),
        ] {
            assert!(encode(&packet, Version::V5, &mut BytesMut::new()).is_err(), "{packet:?}");
        }
    }
}
