//! Traps of published MQTT 5 crates about packets and limits, each shown not to be one of ours; the numbers in the tests are explained in
//! `resume_traps`.

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, Closed, Event, Input, Output, PublishError, Resume, ServerConfig, Session, Token, Violation,
};
use edge_bridge::wire::{Ack, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Utf8, Value, Version};

use crate::random::{Rng, percent, seed_or};
use crate::session_support::*;

/// 6.4
#[test]
fn packet_identifier_zero_is_refused() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut bytes = BytesMut::from(&[0x32, 6, 0, 1, b'a', 0, 0, 0][..]);
    session.handle_input(0, Input::Bytes(&mut bytes));
    let (sent, events) = drain(&mut session);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR));
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::Decode(_)))]));
}

/// 6.5
#[test]
fn a_wildcard_in_a_published_topic_is_refused() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut bytes = BytesMut::from(&[0x30, 4, 0, 1, b'#', 0][..]);
    session.handle_input(0, Input::Bytes(&mut bytes));
    let (sent, _) = drain(&mut session);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::TOPIC_NAME_INVALID));
}

/// 4.1: there the application sees an empty topic.
#[test]
fn an_inbound_alias_never_shows() {
    let (mut session, _) = server(Version::V5, 1, None);
    let alias = properties(&[(PropertyId::TopicAlias, Value::U16(3))]);
    let first = Publish { packet_id: PacketId::new(1), properties: alias, ..message("line/1", "x") };
    let second = Publish { packet_id: PacketId::new(2), topic: Utf8::default(), ..first.clone() };
    let (_, events) = give(&mut session, &[Packet::Publish(first), Packet::Publish(second)]);
    assert_eq!(events.len(), 2);
    for event in events {
        let Event::Publish { publish, .. } = event else { panic!("{event:?}") };
        assert_eq!(publish.topic, "line/1");
        assert!(!publish.properties.contains(PropertyId::TopicAlias), "not to be passed on");
    }
    let unknown = properties(&[(PropertyId::TopicAlias, Value::U16(4))]);
    let third = Publish {
        packet_id: PacketId::new(3),
        topic: Utf8::default(),
        properties: unknown,
        ..message("", "")
    };
    let (sent, _) = give(&mut session, &[Packet::Publish(third)]);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::TOPIC_ALIAS_INVALID));
}

/// Maximum Packet Size in: the fixed header alone is enough.
#[test]
fn an_oversized_packet_is_refused_before_it_is_buffered() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut bytes = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
    session.handle_input(0, Input::Bytes(&mut bytes));
    let (sent, _) = drain(&mut session);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PACKET_TOO_LARGE));
}

#[test]
fn the_servers_limits_are_honoured() {
    let limits = [(PropertyId::MaximumQoS, Value::Byte(0)), (PropertyId::RetainAvailable, Value::Byte(0))];
    let (mut session, ..) = client(None, &connack(false, &limits));
    assert_eq!(
        session.publish(0, Token(1), &message("a", "x")),
        Err(PublishError::QosNotSupported { maximum: QoS::AtMostOnce })
    );
    let retained = Publish { qos: QoS::AtMostOnce, retain: true, ..message("a", "x") };
    assert_eq!(session.publish(0, Token(1), &retained), Err(PublishError::RetainNotSupported));
}

#[test]
fn the_servers_keep_alive_overrides_ours_and_a_silent_server_ends_it() {
    let (mut session, ..) = client(None, &connack(false, &[(PropertyId::ServerKeepAlive, Value::U16(5))]));
    assert_eq!(session.next_deadline(), Some(5000));
    session.handle_timeout(5000);
    assert_eq!(drain(&mut session).0, [Packet::PingReq]);
    let at_ms = session.next_deadline().unwrap();
    session.handle_timeout(at_ms);
    drain(&mut session);
    session.handle_timeout(15_000);
    let (_, events) = drain(&mut session);
    assert!(matches!(events[..], [Event::Closed(Closed::KeepAlive)]));
    assert_eq!(session.next_deadline(), None);
}

/// A keep alive that ends while a PINGREQ is unanswered is not forgotten: without another packet the server would drop the client.
#[test]
fn a_keep_alive_that_ends_before_a_pingresp_is_kept_behind_it() {
    let (mut session, ..) = client(None, &connack(false, &[(PropertyId::ServerKeepAlive, Value::U16(2))]));
    session.ping(0);
    session.handle_timeout(2_000);
    assert_eq!(drain(&mut session).0, [Packet::PingReq], "one at a time");
    session.handle_input(4_000, Input::Bytes(&mut BytesMut::from(&[0xd0, 0][..])));
    assert_eq!(session.next_deadline(), Some(4_000));
    session.handle_timeout(4_000);
    assert_eq!(drain(&mut session).0, [Packet::PingReq]);
}

#[test]
fn a_server_drops_a_silent_client_after_one_and_a_half_keep_alives() {
    let (mut session, _) = server(Version::V5, 1, None);
    assert_eq!(session.next_deadline(), Some(15_000));
    session.handle_timeout(15_000);
    let (sent, events) = drain(&mut session);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::KEEP_ALIVE_TIMEOUT));
    assert!(matches!(events[..], [Event::Closed(Closed::KeepAlive)]));
}

/// A packet of a minute is no silence while its bytes come, and a few bytes of it are not for ever.
#[test]
fn a_server_waits_for_a_large_packet_that_is_still_coming() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut large = message("a", &"x".repeat(60_000));
    large.packet_id = PacketId::new(1);
    let bytes = encoded(&[Packet::Publish(large)], Version::V5);
    let mut run = |stops_at: usize| {
        let mut buffer = BytesMut::new();
        for (chunk, now_ms) in bytes[..stops_at].chunks(1_000).zip((0..).step_by(1_000)) {
            buffer.extend_from_slice(chunk);
            session.handle_timeout(now_ms);
            session.handle_input(now_ms, Input::Bytes(&mut buffer));
        }
        drain(&mut session).1
    };
    assert!(matches!(run(bytes.len())[..], [Event::Publish { .. }]));
    assert!(run(20_000).is_empty());
    session.handle_timeout(76_000);
    assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::UnfinishedPacket)]));
}

/// Extended authentication is not implemented: said, not ignored.
#[test]
fn extended_authentication_is_refused_by_name() {
    let mut session = Session::server(0, 1, ServerConfig::default());
    let asks = connect(Version::V5, &[(PropertyId::AuthenticationMethod, Value::Utf8("SCRAM"))]);
    session.handle_input(0, Input::Bytes(&mut encoded(&[asks], Version::V5)));
    let (sent, events) = drain(&mut session);
    assert!(
        matches!(sent[..], [Packet::ConnAck(ref a)] if a.reason == ReasonCode::BAD_AUTHENTICATION_METHOD)
    );
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::AuthenticationNotSupported))]));
}

/// A message for a 3.1.1 subscriber has no properties; one of MQTT 5 keeps them.
#[test]
fn a_server_forwards_to_both_versions() {
    let user = properties(&[(PropertyId::UserProperty, Value::Pair("a", "b"))]);
    for (version, kept) in [(Version::V5, true), (Version::V311, false)] {
        let (mut session, _) = server(version, 1, None);
        session.publish(0, Token(1), &Publish { properties: user.clone(), ..message("a", "x") }).unwrap();
        let (sent, _) = drain(&mut session);
        let [Packet::Publish(ref p)] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(!p.properties.is_empty(), kept);
    }
}

/// A 3.1.1 client cannot say its Receive Maximum: twenty, like everybody.
#[test]
fn a_311_client_gets_twenty_at_a_time() {
    let (session, _) = server(Version::V311, 1, None);
    assert_eq!(session.room(), 20);
}

#[test]
fn a_connect_of_another_protocol_level_is_refused_in_a_form_it_knows() {
    let mut session = Session::server(0, 1, ServerConfig::default());
    let mut bytes = encoded(&[connect(Version::V311, &[])], Version::V311);
    bytes[8] = 3;
    session.handle_input(0, Input::Bytes(&mut bytes));
    let Some(Output::Transmit(answer)) = session.poll_output() else { panic!("an answer") };
    assert_eq!(answer.as_ref(), [0x20, 2, 0, 1]);
}

#[test]
fn nothing_but_connect_comes_first() {
    for first in [Packet::PingReq, incoming(1, "a"), Packet::PubRel(Ack::success(PacketId::MIN))] {
        let mut session = Session::server(0, 1, ServerConfig::default());
        session.handle_input(0, Input::Bytes(&mut encoded(&[first], Version::V5)));
        let Some(Output::Event(Event::Closed(Closed::Violation(_)))) = session.poll_output() else {
            panic!("closed without a word")
        };
    }
}

#[test]
fn a_second_connect_is_a_violation() {
    let (mut session, _) = server(Version::V5, 1, None);
    let (sent, events) = give(&mut session, &[connect(Version::V5, &[])]);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR));
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::Unexpected(_)))]));
}

/// Promise 12: whatever arrives, in whatever pieces and whatever state, there is no panic and the connection ends or goes on.
#[test]
fn random_bytes_never_panic() {
    let cases = 2_000 * percent() / 10;
    let mut random = Rng::new(seed_or(7));
    for case in 0..cases {
        let version = if case % 2 == 0 { Version::V5 } else { Version::V311 };
        let mut session = match case % 3 {
            0 => server(version, case, None).0,
            1 => open_client(5),
            _ => Session::server(0, case, ServerConfig::default()),
        };
        let mut bytes = encoded(
            &[incoming(1, "a"), puback(1, ReasonCode::SUCCESS), Packet::PingResp, incoming(2, "b")],
            session.version(),
        );
        for _ in 0..=random.below(6) {
            let at = random.index(bytes.len());
            bytes[at] = random.next().to_le_bytes()[0];
        }
        let mut buffer = BytesMut::new();
        while !bytes.is_empty() && !session.is_closed() {
            let part = (random.index(9) + 1).min(bytes.len());
            buffer.extend_from_slice(&bytes.split_to(part));
            session.handle_input(case, Input::Bytes(&mut buffer));
            while session.poll_output().is_some() {}
        }
        session.handle_timeout(u64::MAX / 2);
        while session.poll_output().is_some() {}
    }
    println!("executed session_random_bytes: {cases} cases");
}

/// 3.1.1 has no DUP in a SUBSCRIBE [MQTT-3.8.1-1]; only clients of MQTT 3.1 repeat one so, where they may connect at all.
#[test]
fn the_liberties_of_mqtt_3_1_end_with_a_client_of_3_1_1() {
    let is_open_after_dup = |connect: &[u8]| {
        let mut config = ServerConfig::default();
        config.limits.accept_mqtt_3_1 = true;
        let mut session = Session::server(0, 1, config);
        // Its beginning alone decides nothing.
        let (mut bytes, mut rest) = (BytesMut::from(&connect[..9]), BytesMut::from(connect));
        session.handle_input(0, Input::Bytes(&mut bytes));
        session.handle_input(0, Input::Bytes(&mut rest));
        assert!(matches!(drain(&mut session).1[..], [Event::Connect(_)]));
        session.accept(0, Accept::default());
        drain(&mut session);
        let mut repeated = BytesMut::from(&[0x8a, 6, 0, 7, 0, 1, b'a', 1][..]);
        session.handle_input(0, Input::Bytes(&mut repeated));
        matches!(drain(&mut session).1[..], [Event::Subscribe(_)])
    };
    let connect = |name: &[u8], level: u8| {
        let body = [&[0, name.len() as u8], name, &[level, 2, 0, 9, 0, 1, b'c']].concat();
        [&[0x10, body.len() as u8], &body[..]].concat()
    };
    assert!(is_open_after_dup(&connect(b"MQIsdp", 3)));
    assert!(!is_open_after_dup(&connect(b"MQTT", 4)));
}

/// Its byte is reserved there, and a client may take what is not zero for a refusal.
#[test]
fn a_client_of_mqtt_3_1_is_not_told_that_its_session_is_present() {
    let is_present = |name: &[u8], level: u8| {
        let body = [&[0, name.len() as u8], name, &[level, 0, 0, 9, 0, 1, b'c']].concat();
        let mut config = ServerConfig::default();
        config.limits.accept_mqtt_3_1 = true;
        let mut session = Session::server(0, 1, config);
        let mut bytes = BytesMut::from(&[&[0x10, body.len() as u8], &body[..]].concat()[..]);
        session.handle_input(0, Input::Bytes(&mut bytes));
        drain(&mut session);
        let mut accept = Accept::default();
        accept.resume = Some(Resume::default());
        session.accept(0, accept);
        match &drain(&mut session).0[..] {
            [Packet::ConnAck(connack)] => connack.session_present,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((is_present(b"MQIsdp", 3), is_present(b"MQTT", 4)), (false, true));
}
