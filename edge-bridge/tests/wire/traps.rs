//! Malformed packets that published crates take, and what we say to each.

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;

use crate::wire_support::*;

fn refused(bytes: &[u8], version: Version) -> DecodeError {
    match decoded(bytes, version) {
        Err(error) => error,
        other => panic!("{bytes:02x?} was taken as {other:?}"),
    }
}

#[track_caller]
fn assert_refused(bytes: &[u8], version: Version, kind: DecodeErrorKind, offset: usize, reason: ReasonCode) {
    let error = refused(bytes, version);
    assert_eq!((error.reason_code(), &error), (reason, &DecodeError { kind, offset }));
}

/// mqtt-protocol-core takes packet identifier 0.
#[test]
fn trap_packet_identifier_zero() {
    let (kind, reason) = (DecodeErrorKind::PacketIdZero, ReasonCode::PROTOCOL_ERROR);
    assert_refused(b"\x32\x06\0\x01t\0\0\0", Version::V5, kind.clone(), 5, reason);
    for first in [0x40, 0x50, 0x62, 0x70] {
        for version in BOTH {
            assert_refused(&[first, 2, 0, 0], version, kind.clone(), 2, reason);
        }
    }
    for (first, tail) in [(0x82, &b"\0\0\x01t\0"[..]), (0x90, b"\0\0"), (0xa2, b"\0\0\x01t"), (0xb0, b"\0\0")]
    {
        let bytes = [&[first, 2 + tail.len() as u8, 0, 0], tail].concat();
        assert_refused(&bytes, Version::V5, kind.clone(), 2, reason);
    }
}

/// mqtt-protocol-core takes a PUBLISH with a wildcard.
#[test]
fn trap_wildcard_in_a_published_topic() {
    for version in BOTH {
        for topic in ["#", "+", "a/#", "a+b"] {
            let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
            let bytes = [
                &[0x30, (2 + topic.len() + properties.len()) as u8, 0, topic.len() as u8],
                topic.as_bytes(),
                properties,
            ];
            let error = refused(&bytes.concat(), version);
            assert_eq!(error.reason_code(), ReasonCode::TOPIC_NAME_INVALID);
            assert_eq!(error.offset, 2);
            assert!(matches!(error.kind, DecodeErrorKind::TopicName(TopicError::Wildcard(_))));
            let publish = Publish { topic: utf8(topic), ..message() };
            assert!(encode_publish(&publish, version, &mut BytesMut::new()).is_err());
        }
    }
}

pub(crate) fn message() -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: utf8("t"),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::new(),
    }
}

/// mqtt-protocol-core treats PUBREC 0x10 as a failure: no PUBREL, and the identifier is released.
#[test]
fn trap_pubrec_without_subscribers_is_a_success() {
    let Ok(Some(Packet::PubRec(ack))) = decoded(&[0x50, 3, 0, 9, 0x10], Version::V5) else { panic!() };
    assert_eq!((ack.packet_id.get(), ack.reason), (9, ReasonCode::NO_MATCHING_SUBSCRIBERS));
    assert!(!ack.reason.is_error());
}

/// rumqttc keeps a topic as bytes, without a check.
#[test]
fn trap_strings_that_are_not_utf8() {
    let bad: [(&[u8], Utf8Error); 4] = [
        (&[0xff], Utf8Error::NotUtf8(0)),
        (&[b'a', 0xc3], Utf8Error::NotUtf8(1)),
        (&[0xed, 0xa0, 0x80], Utf8Error::NotUtf8(0)),
        (&[b'a', 0], Utf8Error::Nul(1)),
    ];
    for (text, error) in bad {
        let len = text.len() as u8;
        let kind = DecodeErrorKind::String(error);
        let publish = [&[0x30, len + 3, 0, len], text, &[0]].concat();
        assert_refused(&publish, Version::V5, kind.clone(), 2, ReasonCode::MALFORMED_PACKET);
        let property = [&[0x30, len + 7, 0, 1, b't', len + 3, 3, 0, len], text].concat();
        assert_refused(&property, Version::V5, kind.clone(), 7, ReasonCode::MALFORMED_PACKET);
        let filter = [&[0x82, len + 6, 0, 1, 0, 0, len], text, &[0]].concat();
        assert_refused(&filter, Version::V5, kind, 5, ReasonCode::MALFORMED_PACKET);
    }
}

/// rumqttc gives the application an empty topic: here it can only be empty with an alias, which tells the session to look it up.
#[test]
fn trap_empty_topic_needs_an_alias() {
    assert_refused(b"\x30\x03\0\0\0", Version::V5, DecodeErrorKind::NoTopic, 2, ReasonCode::PROTOCOL_ERROR);
    let kind = DecodeErrorKind::TopicName(TopicError::Empty);
    assert_refused(b"\x30\x02\0\0", Version::V311, kind, 2, ReasonCode::TOPIC_NAME_INVALID);
    let Ok(Some(Packet::Publish(p))) = decoded(b"\x30\x06\0\0\x03\x23\0\x07", Version::V5) else { panic!() };
    assert_eq!((p.topic.is_empty(), p.properties.u16(PropertyId::TopicAlias)), (true, Some(7)));
    let kind = DecodeErrorKind::PropertyValue(PropertyId::TopicAlias);
    assert_refused(b"\x30\x06\0\0\x03\x23\0\0", Version::V5, kind, 5, ReasonCode::TOPIC_ALIAS_INVALID);
    assert_eq!(
        encode_publish(&Publish { topic: Utf8::default(), ..message() }, Version::V5, &mut BytesMut::new()),
        Err(EncodeError::Invalid(DecodeErrorKind::NoTopic))
    );
}

/// mqtt-protocol-core allocated a packet's length before it compared it with the limit (mended in 0.7.9).
#[test]
fn trap_the_size_is_checked_before_the_packet_is_buffered() {
    let limits = Limits::default().with_max_packet_size(100);
    let kind = |size| DecodeErrorKind::PacketTooLarge { size, limit: 100 };
    let mut buf = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
    let error = decode(&mut buf, Version::V5, &limits).unwrap_err();
    assert_eq!((error.kind.clone(), error.reason_code()), (kind(268_435_460), ReasonCode::PACKET_TOO_LARGE));
    assert!(decode(&mut BytesMut::from(&[0x30, 99][..]), Version::V5, &limits).is_err());
    assert_eq!(decode(&mut BytesMut::from(&[0x30, 98][..]), Version::V5, &limits), Ok(None));
    assert_eq!(decode_connect(&mut BytesMut::from(&[0x10, 99][..]), &limits).unwrap_err().kind, kind(101));
}

#[test]
fn trap_fixed_header() {
    use DecodeErrorKind as K;
    let malformed = ReasonCode::MALFORMED_PACKET;
    assert_refused(&[0x00], Version::V5, K::PacketTypeZero, 0, malformed);
    assert_refused(&[0xf0], Version::V311, K::AuthInV311, 0, malformed);
    assert_refused(&[0x36], Version::V5, K::QoS3, 0, malformed);
    assert_refused(&[0x38], Version::V5, K::DupWithQoS0, 0, malformed);
    for version in BOTH {
        for kind in [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] {
            let right = if [6, 8, 10].contains(&kind) { 2 } else { 0 };
            for flags in (0..16).filter(|f| *f != right) {
                // One byte is enough to know.
                let error = refused(&[kind << 4 | flags], version);
                assert!(matches!(error.kind, K::HeaderFlags { flags: f, .. } if f == flags), "{error}");
            }
        }
    }
    assert_refused(&[0xc0, 0x80, 0x80, 0x80, 0x80], Version::V5, K::VarintTooLong, 1, malformed);
    // §1.5.5: the shortest form; 3.1.1 does not say so.
    assert_refused(&[0xc0, 0x80, 0x00], Version::V5, K::VarintNotMinimal, 1, malformed);
    assert_eq!(decoded(&[0xc0, 0x80, 0x00], Version::V311), Ok(Some(Packet::PingReq)));
    assert_refused(&[0xc0, 0x01, 0x00], Version::V5, K::TrailingBytes(1), 2, malformed);
}

#[test]
fn trap_connect() {
    use DecodeErrorKind as K;
    let with = |limits: &Limits, name: &[u8], level: u8, flags: u8, tail: &[u8]| {
        let body = [&[0, name.len() as u8], name, &[level, flags, 0, 9], tail].concat();
        let mut buf = BytesMut::from(&[&[0x10, body.len() as u8], &body[..]].concat()[..]);
        decode_connect(&mut buf, limits).map_err(|e| (e.kind.clone(), e.offset, e.reason_code().get()))
    };
    let connect =
        |name: &[u8], level: u8, flags: u8, tail: &[u8]| with(&Limits::default(), name, level, flags, tail);
    let mut old = Limits::default();
    old.accept_mqtt_3_1 = true;
    let accepted = with(&old, b"MQIsdp", 3, 0xc2, b"\0\x01c\0\x01u\0\x01p").unwrap().unwrap();
    assert_eq!((accepted.version, accepted.username.unwrap().as_str()), (Version::V311, "u"));
    for level in [0, 4, 5, 0x83] {
        assert_eq!(with(&old, b"MQIsdp", level, 2, b"\0\x01c"), Err((K::Mqtt31Level(level), 10, 0x84)));
    }
    assert_eq!(with(&old, b"MQTT", 3, 2, b"\0\x01c"), Err((K::ProtocolLevel(3), 8, 0x84)));
    // Its CONNECT uses neither the lowest flag nor those of the fixed header, and has a client identifier.
    assert!(with(&old, b"MQIsdp", 3, 3, b"\0\x01c").unwrap().unwrap().clean_start);
    // Flags of a will that is not there, and of a password, with a user, that the packet ends before.
    assert!(with(&old, b"MQIsdp", 3, 0x2a, b"\0\x01c").unwrap().unwrap().will.is_none());
    assert!(with(&old, b"MQIsdp", 3, 0xc2, b"\0\x01c\0\x01u").unwrap().unwrap().password.is_none());
    assert_eq!(with(&old, b"MQIsdp", 3, 2, b"\0\0"), Err((K::EmptyClientId, 14, 0x85)));
    assert_eq!(with(&old, b"MQTT", 4, 3, b"\0\x01c"), Err((K::Flags(3), 9, 0x81)));
    let old_connect = b"\x1f\x0f\0\x06MQIsdp\x03\x02\0\x0a\0\x01p";
    for size in 1..=old_connect.len() {
        let found = decode_connect(&mut BytesMut::from(&old_connect[..size]), &old).unwrap();
        assert_eq!(found.is_some(), size == old_connect.len(), "{size}");
    }
    assert!(decode_connect(&mut BytesMut::from(&b"\x14\x0d\0\x04MQTT"[..]), &old).is_err());
    assert!(decode_connect(&mut BytesMut::from(&old_connect[..1]), &Limits::default()).is_err());
    // Repeated ones of 3.1 have DUP.
    let repeated = |limits: &Limits| decode(&mut BytesMut::from(&[0x6a, 2, 0, 7][..]), Version::V311, limits);
    assert!(matches!(repeated(&old), Ok(Some(Packet::PubRel(_)))));
    assert!(repeated(&Limits::default()).is_err());
    assert_eq!(connect(b"MQIsdp", 3, 2, b"\0\x01c"), Err((K::Mqtt31, 2, 0x84)));
    assert_eq!(connect(b"MQTt", 4, 2, b"\0\x01c"), Err((K::ProtocolName, 2, 0x84)));
    for level in [0, 3, 6, 0x84, 255] {
        assert_eq!(connect(b"MQTT", level, 2, b"\0\x01c"), Err((K::ProtocolLevel(level), 8, 0x84)));
    }
    assert_eq!(connect(b"MQTT", 4, 3, b"\0\x01c"), Err((K::Flags(3), 9, 0x81)));
    assert_eq!(
        connect(b"MQTT", 5, 0x0a, b"\0\0\x01c"),
        Err((K::Flags(0x0a), 9, 0x81)),
        "will QoS without a will"
    );
    assert_eq!(
        connect(b"MQTT", 4, 0x22, b"\0\x01c"),
        Err((K::Flags(0x22), 9, 0x81)),
        "will retain without a will"
    );
    assert_eq!(connect(b"MQTT", 4, 0x1e, b"\0\x01c\0\x01t\0\0"), Err((K::QoS3, 9, 0x81)));
    // 3.1.1 [MQTT-3.1.2-22], which MQTT 5 took back.
    assert_eq!(connect(b"MQTT", 4, 0x42, b"\0\x01c\0\x01p"), Err((K::PasswordWithoutUserName, 9, 0x81)));
    let found = connect(b"MQTT", 5, 0x42, b"\0\0\x01c\0\x01p").unwrap().unwrap();
    assert_eq!((found.username, found.password), (None, Some(Bytes::from_static(b"p"))));
    // 3.1.1 [MQTT-3.1.3-8]; MQTT 5 lets the server name the client.
    assert_eq!(connect(b"MQTT", 4, 0, b"\0\0"), Err((K::EmptyClientId, 12, 0x85)));
    assert!(connect(b"MQTT", 4, 2, b"\0\0").unwrap().unwrap().client_id.is_empty());
    assert!(connect(b"MQTT", 5, 0, b"\0\0\0").unwrap().unwrap().client_id.is_empty());
    assert!(matches!(connect(b"MQTT", 4, 6, b"\0\x01c\0\x01#\0\0"), Err((K::TopicName(_), 15, 0x90))));
    assert_eq!(connect(b"MQTT", 4, 2, b"\0\x01cX"), Err((K::TrailingBytes(1), 15, 0x81)));
    assert_eq!(connect(b"MQTT", 4, 2, b"\0\x02c"), Err((K::Truncated, 15, 0x81)));
    // The first packet is read before its version is known; the shortest form is still asked of MQTT 5.
    for (level, fine, tail) in [(4, true, &b"\0\x01c"[..]), (5, false, b"\0\0\x01c")] {
        let body = [b"\0\x04MQTT", &[level, 2, 0, 9][..], tail].concat();
        let bytes = [&[0x10, body.len() as u8 | 0x80, 0], &body[..]].concat();
        assert_eq!(decode_connect(&mut BytesMut::from(&bytes[..]), &Limits::default()).is_ok(), fine);
    }
}

#[test]
fn a_success_that_is_none_of_the_standards_is_not_taken_for_a_delivery() {
    for (first, packet) in [(0x40, PacketType::PubAck), (0x50, PacketType::PubRec)] {
        for code in [0x01, 0x11, 0x42, 0x7f] {
            let kind = DecodeErrorKind::Reason { packet, code: ReasonCode::new(code) };
            let answer = ReasonCode::PROTOCOL_ERROR;
            assert_refused(&[first, 3, 0, 1, code], Version::V5, kind, 4, answer);
        }
    }
}

#[test]
fn trap_answers() {
    use DecodeErrorKind as K;
    let (malformed, protocol) = (ReasonCode::MALFORMED_PACKET, ReasonCode::PROTOCOL_ERROR);
    assert_refused(&[0x20, 3, 2, 0, 0], Version::V5, K::Flags(2), 2, malformed);
    assert_refused(&[0x20, 3, 1, 0x87, 0], Version::V5, K::SessionPresentWithRefusal, 2, protocol);
    assert_refused(&[0x20, 2, 1, 5], Version::V311, K::SessionPresentWithRefusal, 2, protocol);
    let kind = K::ReturnCode { packet: PacketType::ConnAck, code: 6 };
    assert_refused(&[0x20, 2, 0, 6], Version::V311, kind, 3, malformed);
    // What a server of 3.1.1 answers to a CONNECT of MQTT 5.
    let kind = K::ConnAckWithoutProperties(1);
    assert_refused(&[0x20, 2, 0, 1], Version::V5, kind, 2, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    // And one that knows only MQTT 5 to a CONNECT of 3.1.1.
    for bytes in [&[0x20, 3, 0, 0x84, 0][..], &[0x20, 2, 0, 0x84], &[0x20, 6, 0, 0x84, 3, 0x1f, 0, 0]] {
        let reason = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
        assert_refused(bytes, Version::V311, K::ConnAckOfV5(reason), 3, reason);
    }
    let kind = K::ConnAckOfV5(ReasonCode::NOT_AUTHORIZED);
    assert_refused(&[0x20, 3, 0, 0x87, 0], Version::V311, kind, 3, malformed);
    for (code, reason) in [(1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87)] {
        let Ok(Some(Packet::ConnAck(connack))) = decoded(&[0x20, 2, 0, code], Version::V311) else {
            panic!()
        };
        assert_eq!(connack.reason.get(), reason);
        assert_eq!(&encoded(&Packet::ConnAck(connack), Version::V311)[..], &[0x20, 2, 0, code]);
    }
    let kind = |code| K::Reason { packet: PacketType::PubComp, code: ReasonCode::new(code) };
    assert_refused(&[0x70, 3, 0, 1, 0x95], Version::V5, kind(0x95), 4, protocol);
    assert_refused(&[0x70, 3, 0, 1, 0x01], Version::V5, kind(0x01), 4, protocol);
    // An error is about that message, whatever its number.
    for (first, code) in [(0x40, 0x95), (0x40, 0xa0), (0x40, 0xff), (0x40, 0x10), (0x50, 0x95), (0x50, 0xff)]
    {
        match decoded(&[first, 3, 0, 1, code], Version::V5) {
            Ok(Some(Packet::PubAck(ack) | Packet::PubRec(ack))) => assert_eq!(ack.reason.get(), code),
            other => panic!("{other:?}"),
        }
    }
    assert_refused(&[0x40, 3, 0, 1, 0], Version::V311, K::TrailingBytes(1), 4, malformed);
    assert_refused(
        &[0x90, 3, 0, 1, 3],
        Version::V311,
        K::Reason { packet: PacketType::SubAck, code: ReasonCode::new(3) },
        4,
        protocol,
    );
    assert_refused(
        &[0x90, 3, 0, 1, 0x87],
        Version::V311,
        K::ReturnCode { packet: PacketType::SubAck, code: 0x87 },
        4,
        malformed,
    );
    assert_refused(&[0x90, 2, 0, 1], Version::V311, K::NoEntries(PacketType::SubAck), 4, protocol);
    assert_refused(&[0xb0, 3, 0, 1, 0], Version::V311, K::TrailingBytes(1), 4, malformed);
    // The three lengths of an acknowledgement (§3.4.2.1): the same packet, and written in the shortest form.
    for bytes in [&[0x40, 2, 0, 1][..], &[0x40, 3, 0, 1, 0], &[0x40, 4, 0, 1, 0, 0]] {
        let packet = decoded(bytes, Version::V5).unwrap().unwrap();
        assert_eq!(packet, Packet::PubAck(Ack::success(PacketId::MIN)));
        assert_eq!(&encoded(&packet, Version::V5)[..], &[0x40, 2, 0, 1]);
    }
    // §3.15.2.1: an AUTH is empty, or has both a reason and properties with the method.
    assert!(decoded(&[0xf0, 0], Version::V5).is_ok());
    assert_refused(&[0xf0, 1, 0x18], Version::V5, K::Truncated, 3, malformed);
    assert_refused(&[0xf0, 2, 0x18, 0], Version::V5, K::NoAuthenticationMethod, 3, protocol);
    assert_refused(&[0xe0, 1, 0], Version::V311, K::TrailingBytes(1), 2, malformed);
}

#[test]
fn trap_subscriptions() {
    use DecodeErrorKind as K;
    let subscribe = |filter: &str, options: u8, version: Version| {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let body = [&[0, 1], properties, &[0, filter.len() as u8], filter.as_bytes(), &[options]].concat();
        decoded(&[&[0x82, body.len() as u8], &body[..]].concat(), version).map_err(|e| e.kind)
    };
    for options in 0..=255 {
        let fine = options & 3 != 3 && options & 0xc0 == 0 && options >> 4 != 3;
        assert_eq!(subscribe("t", options, Version::V5).is_ok(), fine, "{options:#x}");
        assert_eq!(subscribe("t", options, Version::V311).is_ok(), options < 3, "{options:#x}");
    }
    assert_eq!(subscribe("$share/g/t", 4, Version::V5), Err(K::NoLocalOnShared));
    assert_eq!(subscribe("$share/g", 0, Version::V5), Err(K::TopicFilter(TopicError::Share)));
    assert!(subscribe("$share/g", 0, Version::V311).is_ok(), "an ordinary filter in 3.1.1");
    assert_eq!(subscribe("a#", 0, Version::V5), Err(K::TopicFilter(TopicError::Wildcard(1))));
    assert_eq!(subscribe("", 0, Version::V5), Err(K::TopicFilter(TopicError::Empty)));
    let none = K::NoEntries(PacketType::Subscribe);
    assert_refused(&[0x82, 3, 0, 1, 0], Version::V5, none, 5, ReasonCode::PROTOCOL_ERROR);
    let none = K::NoEntries(PacketType::Unsubscribe);
    assert_refused(&[0xa2, 2, 0, 1], Version::V311, none, 4, ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn trap_property_values() {
    use DecodeErrorKind as K;
    let publish = |properties: &[u8]| {
        let head = [0x30, 4 + properties.len() as u8, 0, 1, b't', properties.len() as u8];
        decoded(&[&head[..], properties].concat(), Version::V5).map_err(|e| e.kind)
    };
    let connack = |properties: &[u8]| {
        let head = [0x20, 3 + properties.len() as u8, 0, 0, properties.len() as u8];
        decoded(&[&head[..], properties].concat(), Version::V5).map_err(|e| e.kind)
    };
    assert_eq!(publish(&[1, 2]), Err(K::PropertyValue(PropertyId::PayloadFormatIndicator)));
    assert_eq!(publish(&[11, 0]), Err(K::PropertyValue(PropertyId::SubscriptionIdentifier)));
    assert_eq!(publish(&[11, 0x80, 0]), Err(K::VarintNotMinimal));
    assert_eq!(publish(b"\x08\0\x01#"), Err(K::PropertyValue(PropertyId::ResponseTopic)));
    // Some servers hand it on: the client takes the message without it, and what else it says.
    let mut lenient = Limits::default();
    lenient.drop_bad_response_topic = true;
    let head = [0x30, 14, 0, 1, b't', 9, 1, 1, 8, 0, 1, b'#', 9, 0, 0];
    let taken = decode(&mut BytesMut::from(&[&head[..], b"p"].concat()[..]), Version::V5, &lenient);
    let Ok(Some(Packet::Publish(taken))) = taken else { panic!("{taken:?}") };
    assert_eq!(taken.properties.as_bytes().as_ref(), [1, 1, 9, 0, 0]);
    assert_eq!((&taken.payload[..], taken.properties.str(PropertyId::ResponseTopic)), (&b"p"[..], None));
    assert_eq!(publish(&[4, 0]), Err(K::UnknownProperty(4)));
    assert_eq!(
        publish(&[0x81, 0]),
        Err(K::VarintNotMinimal),
        "a property number is a variable byte integer too"
    );
    assert_eq!(
        publish(&[2, 0, 0, 0, 1, 2, 0, 0, 0, 1]),
        Err(K::DuplicateProperty(PropertyId::MessageExpiryInterval))
    );
    assert_eq!(publish(&[2, 0, 0, 0]), Err(K::Truncated));
    assert_eq!(publish(b"\x26\0\x01n"), Err(K::Truncated), "a pair without its value");
    assert_eq!(publish(&[33, 0, 1]), Err(K::PropertyNotAllowed(PropertyId::ReceiveMaximum)));
    assert_eq!(connack(&[33, 0, 0]), Err(K::PropertyValue(PropertyId::ReceiveMaximum)));
    assert_eq!(connack(&[39, 0, 0, 0, 0]), Err(K::PropertyValue(PropertyId::MaximumPacketSize)));
    for flag in [36, 37, 40, 41, 42] {
        assert!(connack(&[flag, 1]).is_ok());
        assert!(matches!(connack(&[flag, 2]), Err(K::PropertyValue(_))));
    }
    assert_eq!(connack(b"\x16\0\x01d"), Err(K::NoAuthenticationMethod));
}

#[test]
fn limits_hold() {
    use DecodeErrorKind as K;
    let mut limits = Limits::default();
    (limits.max_topic_len, limits.max_topic_levels, limits.max_user_properties, limits.max_subscriptions) =
        (5, 2, 1, 2);
    let kind = |bytes: &[u8], version| {
        decode(&mut BytesMut::from(bytes), version, &limits).map(|_| ()).map_err(|e| e.kind)
    };
    assert_eq!(kind(b"\x30\x07\0\x05a/bcd", Version::V311), Ok(()));
    assert_eq!(
        kind(b"\x30\x08\0\x06a/bcde", Version::V311),
        Err(K::TopicName(TopicError::TooLong { len: 6, limit: 5 }))
    );
    assert_eq!(kind(b"\x30\x07\0\x05a/b/c", Version::V311), Err(K::TopicName(TopicError::TooManyLevels(2))));
    assert_eq!(
        kind(b"\xa2\x09\0\x01\0\x05a/b/#", Version::V311),
        Err(K::TopicFilter(TopicError::TooManyLevels(2)))
    );
    assert_eq!(
        kind(b"\x30\x0e\0\x01t\x0a\x26\0\0\0\0\x26\0\0\0\0", Version::V5),
        Err(K::TooManyUserProperties(1))
    );
    let three = K::TooManyEntries { packet: PacketType::Unsubscribe, limit: 2 };
    assert_eq!(kind(b"\xa2\x0b\0\x01\0\x01a\0\x01b\0\x01c", Version::V311), Err(three));
}
