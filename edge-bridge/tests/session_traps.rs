//! The traps of published MQTT 5 crates, each shown not to be one of ours. Where a test says "6.1" or "4.2" it is one of the six found in
//! mqtt-protocol-core 0.7.9 and the four found in rumqttc 0.25.1 (resume, Receive Maximum, deferred acknowledgement).
//! Promises 1, 4 and 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod session_support;

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, Closed, Event, Input, Output, PublishError, RequestError, Resume, ServerConfig, Session,
    SessionOutcome, StaleAck, Token, Violation,
};
use edge_bridge::wire::{
    Ack, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, SubAck, Subscribe, Subscription,
    Utf8, Value, Version,
};
use session_support::*;

/// 6.1: there the first PUBACK after a resume underflows the count.
#[test]
fn resume_counts_against_the_window() {
    let answer = connack(true, &[(PropertyId::ReceiveMaximum, Value::U16(20))]);
    let (mut session, sent, _) = client(Some(in_flight(1)), &answer);
    assert_eq!(publishes(&sent), [(1, true, "0".into())]);
    assert_eq!((session.in_flight_here(), session.room()), (1, 19));
    let (_, events) = give(&mut session, &[puback(1, ReasonCode::SUCCESS)]);
    assert!(matches!(events[..], [Event::Acked { token: Token(0), .. }]));
    assert_eq!((session.in_flight_here(), session.room()), (0, 20));
}

/// 6.2: there all twenty are resent at once.
#[test]
fn resume_keeps_to_the_new_receive_maximum_and_the_rest_waits() {
    let answer = connack(true, &[(PropertyId::ReceiveMaximum, Value::U16(5))]);
    let (mut session, sent, _) = client(Some(in_flight(20)), &answer);
    assert_eq!(publishes(&sent).iter().map(|p| p.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(
        session.publish(0, Token(99), &message("plant/1", "new")),
        Err(PublishError::WindowFull { window: 5 }),
        "a new message does not overtake resumed ones"
    );
    let mut order = Vec::new();
    for id in 1..=20 {
        let (sent, events) = give(&mut session, &[puback(id, ReasonCode::SUCCESS)]);
        order.extend(publishes(&sent).into_iter().map(|p| p.2));
        assert!(matches!(events[..], [Event::Acked { .. }]));
        assert!(session.in_flight_here() <= 5);
    }
    assert_eq!(order, (5..20).map(|n| n.to_string()).collect::<Vec<_>>());
    session.publish(0, Token(99), &message("plant/1", "new")).unwrap();
}

/// 6.3: there 0x10 counts as a failure.
#[test]
fn no_matching_subscribers_is_a_success() {
    let mut session = open_client(10);
    session.publish(0, Token(7), &message("plant/1", "x")).unwrap();
    drain(&mut session);
    let (_, events) = give(&mut session, &[puback(1, ReasonCode::NO_MATCHING_SUBSCRIBERS)]);
    let [Event::Acked { token: Token(7), reason }] = events[..] else { panic!("{events:?}") };
    assert!(!reason.is_error());
}

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

/// 6.6: there a duplicate after a reconnect is acknowledged before the application has seen it.
#[test]
fn nothing_is_acknowledged_before_the_application_says_so() {
    let (mut old, _) = server(Version::V5, 1, None);
    let (sent, events) = give(&mut old, &[incoming(1, "a")]);
    assert!(sent.is_empty() && handle(&events).len() == 1);
    let (mut session, _) = server(Version::V5, 2, Some(old.into_resume()));
    let mut again = message("a", "x");
    (again.packet_id, again.dup) = (PacketId::new(1), true);
    let (sent, events) = give(&mut session, &[Packet::Publish(again)]);
    assert!(sent.is_empty(), "{sent:?}");
    session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
    assert_eq!(drain(&mut session).0, [puback(1, ReasonCode::SUCCESS)]);
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

/// 4.2: there three refusals fill a window of three for good.
#[test]
fn a_refusal_frees_its_place_in_the_window() {
    let mut session = open_client(3);
    for round in 0..5u16 {
        for n in 1..=3u16 {
            session.publish(0, Token(0), &message("plant/1", "x")).unwrap();
            drain(&mut session);
            let (_, events) = give(&mut session, &[puback(round * 3 + n, ReasonCode::QUOTA_EXCEEDED)]);
            assert!(matches!(events[..], [Event::Acked { reason: ReasonCode::QUOTA_EXCEEDED, .. }]));
        }
    }
    assert_eq!((session.in_flight(), session.room()), (0, 3));
}

/// 4.3: there a PUBREL on a resumed session ends every connection.
#[test]
fn the_end_of_a_foreign_qos_2_exchange_is_answered() {
    for (version, reason) in
        [(Version::V5, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND), (Version::V311, ReasonCode::SUCCESS)]
    {
        let (mut session, _) = server(version, 1, Some(Resume::new()));
        let id = PacketId::new(7).unwrap();
        let (sent, events) = give(&mut session, &[Packet::PubRel(Ack::success(id))]);
        assert_eq!(sent, [Packet::PubComp(Ack::new(id, reason))]);
        assert!(events.is_empty());
    }
}

/// 4.4: there the order of a resend is that of the identifiers, wrong after they wrap.
#[test]
fn resend_keeps_the_original_order_after_identifiers_wrap() {
    let mut session = open_client(5);
    for n in 0..65_533u32 {
        session.publish(0, Token(n.into()), &message("t", "x")).unwrap();
        drain(&mut session);
        give(&mut session, &[puback(u16::try_from(n + 1).unwrap(), ReasonCode::SUCCESS)]);
    }
    for n in 0..4 {
        session.publish(0, Token(n), &message("plant/1", &format!("m{n}"))).unwrap();
    }
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    let expected = [(65_534, "m0"), (65_535, "m1"), (1, "m2"), (2, "m3")];
    let expected: Vec<_> = expected.iter().map(|(id, p)| (*id, true, (*p).to_owned())).collect();
    assert_eq!(publishes(&sent), expected);
}

/// hivemq PR 428: there a late acknowledgement hits another message of the next connection.
#[test]
fn a_late_acknowledgement_after_a_reconnect_is_refused() {
    let (mut old, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut old, &[incoming(1, "a")]);
    let stale = handle(&events)[0];
    let (mut session, _) = server(Version::V5, 2, None);
    give(&mut session, &[incoming(1, "b")]);
    assert_eq!(session.ack(0, stale, ReasonCode::SUCCESS), Err(StaleAck));
    assert!(drain(&mut session).0.is_empty());
}

/// Mosquitto with `per_listener_settings`: the session is gone after a restart, and nobody says so.
#[test]
fn a_lost_session_is_an_event_that_holds_every_message() {
    let (mut session, sent, events) = client(Some(in_flight(3)), &connack(false, &[]));
    assert!(sent.is_empty());
    let [Event::Connected(ref connected)] = events[..] else { panic!("{events:?}") };
    let SessionOutcome::Lost(messages) = &connected.session else { panic!("{connected:?}") };
    assert_eq!(messages.iter().map(|m| m.token.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(session.in_flight(), 0);
    session.publish(0, Token(0), &messages[0].publish).unwrap();
    let (sent, _) = drain(&mut session);
    assert_eq!(publishes(&sent), [(4, false, "0".into())], "a new identifier, not a repeat");
}

#[test]
fn a_session_nobody_here_knows_is_said() {
    let (_, _, events) = client(None, &connack(true, &[]));
    let [Event::Connected(ref connected)] = events[..] else { panic!("{events:?}") };
    assert!(matches!(connected.session, SessionOutcome::Unknown));
}

/// rumqtt 1057: there the identifier of a SUBSCRIBE meets that of a PUBLISH.
#[test]
fn requests_and_messages_share_one_space_of_identifiers() {
    let mut session = open_client(u16::MAX);
    session.publish(0, Token(1), &message("a", "x")).unwrap();
    let id = session.subscribe(0, vec![Subscription::new(text("cmd/#"), QoS::AtLeastOnce)]).unwrap();
    session.publish(0, Token(2), &message("a", "x")).unwrap();
    let (sent, _) = drain(&mut session);
    assert_eq!((publishes(&sent)[0].0, id.get(), publishes(&sent)[1].0), (1, 2, 3));
    let granted =
        SubAck { packet_id: id, properties: Properties::default(), reasons: vec![ReasonCode::GRANTED_QOS_1] };
    let (_, events) = give(&mut session, &[Packet::SubAck(granted)]);
    assert!(matches!(events[..], [Event::SubAck(_)]));
}

/// \[MQTT-4.6.0-2\]
#[test]
fn pubacks_leave_in_order_of_arrival() {
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[incoming(9, "a"), incoming(4, "a"), incoming(6, "a")]);
    let handles = handle(&events);
    session.ack(0, handles[2], ReasonCode::SUCCESS).unwrap();
    session.ack(0, handles[1], ReasonCode::PAYLOAD_FORMAT_INVALID).unwrap();
    assert!(drain(&mut session).0.is_empty());
    session.ack(0, handles[0], ReasonCode::SUCCESS).unwrap();
    let expected = [
        puback(9, ReasonCode::SUCCESS),
        puback(4, ReasonCode::PAYLOAD_FORMAT_INVALID),
        puback(6, ReasonCode::SUCCESS),
    ];
    assert_eq!(drain(&mut session).0, expected);
    assert_eq!(session.ack(0, handles[0], ReasonCode::SUCCESS), Err(StaleAck), "once only");
}

#[test]
fn our_receive_maximum_is_enforced() {
    let mut config = ServerConfig::default();
    config.receive_maximum = 2;
    let mut session = Session::server(0, 1, config);
    session.handle_input(0, Input::Bytes(&mut encoded(&[connect(Version::V5, &[])], Version::V5)));
    session.accept(0, Accept::default());
    drain(&mut session);
    let (sent, events) = give(&mut session, &[incoming(1, "a"), incoming(2, "a"), incoming(3, "a")]);
    assert_eq!(handle(&events).len(), 2);
    assert!(
        matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::RECEIVE_MAXIMUM_EXCEEDED)
    );
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

/// Maximum Packet Size out, also for messages that were accepted under a larger one.
#[test]
fn the_peers_maximum_packet_size_is_kept_also_on_resume() {
    let limit = [(PropertyId::MaximumPacketSize, Value::U32(100))];
    let (mut session, ..) = client(None, &connack(false, &limit));
    let big = message("plant/1", &"x".repeat(100));
    assert!(matches!(session.publish(0, Token(1), &big), Err(PublishError::TooLarge { limit: 100, .. })));
    assert_eq!(session.in_flight(), 0);
    session.publish(0, Token(2), &message("plant/1", "small")).unwrap();

    let mut earlier = open_client(10);
    earlier.publish(0, Token(1), &big).unwrap();
    earlier.publish(0, Token(2), &message("plant/1", "small")).unwrap();
    let (session, sent, events) = client(Some(earlier.into_resume()), &connack(true, &limit));
    assert!(matches!(events[1], Event::Unsendable { token: Token(1), limit: 100, .. }));
    assert_eq!(publishes(&sent), [(2, true, "small".into())]);
    assert_eq!(session.in_flight(), 1);
}

#[test]
fn qos_2_is_refused_by_name_and_never_downgraded_in_silence() {
    // As server, MQTT 5: announced, then refused with 0x9B.
    let (mut session, hello) = server(Version::V5, 1, None);
    let Packet::ConnAck(ack) = &hello[0] else { panic!("{hello:?}") };
    assert_eq!(ack.properties.u32(PropertyId::MaximumQoS), Some(1));
    let mut exactly = message("a", "x");
    (exactly.qos, exactly.packet_id) = (QoS::ExactlyOnce, PacketId::new(1));
    let (sent, events) = give(&mut session, &[Packet::Publish(exactly.clone())]);
    assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::QOS_NOT_SUPPORTED));
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::QosNotSupported))]));
    // As server, 3.1.1: a close, and the reason for the log.
    let (mut session, _) = server(Version::V311, 1, None);
    let (sent, events) = give(&mut session, &[Packet::Publish(exactly.clone())]);
    assert!(sent.is_empty());
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::QosNotSupported))]));
    // Those before it are answered first; nothing behind it is read.
    for version in [Version::V5, Version::V311] {
        let (mut session, _) = server(version, 1, None);
        let first = |n| Publish { packet_id: PacketId::new(n), ..message("a", "x") };
        let later = Publish { packet_id: PacketId::new(9), ..exactly.clone() };
        let packets = [first(1), first(2), later, first(3)].map(Packet::Publish);
        let (sent, events) = give(&mut session, &packets);
        let [Event::Publish { ack: Some(one), .. }, Event::Publish { ack: Some(two), .. }] = events[..]
        else {
            panic!("{version:?}: {events:?}")
        };
        assert!(sent.is_empty() && !session.is_closed(), "{version:?}: {sent:?}");
        session.ack(0, one, ReasonCode::SUCCESS).unwrap();
        assert!(give(&mut session, &[Packet::Publish(first(4))]).1.is_empty(), "{version:?}");
        session.ack(0, two, ReasonCode::SUCCESS).unwrap();
        let (sent, events) = drain(&mut session);
        let told =
            matches!(sent.last(), Some(Packet::Disconnect(d)) if d.reason == ReasonCode::QOS_NOT_SUPPORTED);
        assert_eq!(told, version == Version::V5, "{sent:?}");
        assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::QosNotSupported))]));
    }
    // As client.
    let mut session = open_client(10);
    assert_eq!(session.publish(0, Token(1), &exactly), Err(PublishError::QoS2));
    let filter = Subscription::new(text("a"), QoS::ExactlyOnce);
    assert_eq!(session.subscribe(0, vec![filter]), Err(RequestError::QoS2));
    assert!(drain(&mut session).0.is_empty());
}

/// SUBSCRIBE at QoS 2: the protocol itself says what was granted.
#[test]
fn a_subscription_at_qos_2_is_granted_as_1() {
    let (mut session, _) = server(Version::V5, 1, None);
    let id = PacketId::new(5).unwrap();
    let filters =
        vec![Subscription::new(text("a"), QoS::ExactlyOnce), Subscription::new(text("b"), QoS::AtMostOnce)];
    let packet = Packet::Subscribe(Subscribe { packet_id: id, properties: Properties::default(), filters });
    let (_, events) = give(&mut session, &[packet]);
    let [Event::Subscribe { ref subscribe, qos2_downgraded: 1 }] = events[..] else { panic!("{events:?}") };
    assert_eq!(subscribe.filters[0].qos, QoS::AtLeastOnce);
    session.suback(0, id, vec![ReasonCode::GRANTED_QOS_2, ReasonCode::GRANTED_QOS_0]);
    let (sent, _) = drain(&mut session);
    let [Packet::SubAck(ref ack)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!(ack.reasons, [ReasonCode::GRANTED_QOS_1, ReasonCode::GRANTED_QOS_0]);
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
    assert_eq!(session.poll_timeout(), Some(5000));
    session.handle_input(5000, Input::Timeout);
    assert_eq!(drain(&mut session).0, [Packet::PingReq]);
    let at_ms = session.poll_timeout().unwrap();
    session.handle_input(at_ms, Input::Timeout);
    drain(&mut session);
    session.handle_input(15_000, Input::Timeout);
    let (_, events) = drain(&mut session);
    assert!(matches!(events[..], [Event::Closed(Closed::KeepAlive)]));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_server_drops_a_silent_client_after_one_and_a_half_keep_alives() {
    let (mut session, _) = server(Version::V5, 1, None);
    assert_eq!(session.poll_timeout(), Some(15_000));
    session.handle_input(15_000, Input::Timeout);
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
            session.handle_input(now_ms, Input::Timeout);
            session.handle_input(now_ms, Input::Bytes(&mut buffer));
        }
        drain(&mut session).1
    };
    assert!(matches!(run(bytes.len())[..], [Event::Publish { .. }]));
    assert!(run(20_000).is_empty());
    session.handle_input(76_000, Input::Timeout);
    assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::KeepAlive)]));
}

/// Older 3.1.1 clients send again on a timer: one delivery, one PUBACK.
#[test]
fn a_repeat_on_the_same_connection_is_delivered_once() {
    let (mut session, _) = server(Version::V311, 1, None);
    let mut again = message("a", "x");
    (again.packet_id, again.dup) = (PacketId::new(1), true);
    let (_, events) = give(&mut session, &[incoming(1, "a"), Packet::Publish(again)]);
    assert_eq!(events.len(), 1);
    session.ack(0, handle(&events)[0], ReasonCode::PAYLOAD_FORMAT_INVALID).unwrap();
    assert_eq!(drain(&mut session).0, [puback(1, ReasonCode::SUCCESS)], "3.1.1 has no reasons");
}

/// An answer to nothing, or to a message that only waits to be resent, acknowledges nothing.
#[test]
fn a_stray_puback_acknowledges_nothing() {
    let answer = connack(true, &[(PropertyId::ReceiveMaximum, Value::U16(1))]);
    let (mut session, ..) = client(Some(in_flight(2)), &answer);
    let (_, events) = give(&mut session, &[puback(2, ReasonCode::SUCCESS), puback(500, ReasonCode::SUCCESS)]);
    assert!(events.is_empty());
    assert_eq!(session.in_flight(), 2);
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

/// The topic of a repeat is written out on the new connection, where no alias is known yet.
#[test]
fn outbound_aliases_start_anew_on_each_connection() {
    let aliases = [(PropertyId::TopicAliasMaximum, Value::U16(2))];
    let (mut session, ..) = client(None, &connack(false, &aliases));
    for n in 0..2 {
        session.publish(0, Token(n), &message("plant/1", "x")).unwrap();
    }
    let topics = |packets: &[Packet]| -> Vec<String> {
        packets
            .iter()
            .filter_map(|p| match p {
                Packet::Publish(p) => Some(p.topic.as_str().to_owned()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(topics(&drain(&mut session).0), ["plant/1", ""]);
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &aliases));
    assert_eq!(topics(&sent), ["plant/1", ""]);
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
    let seed: u64 = std::env::var("EDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7);
    let budget: u64 = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let cases = 2_000 * budget.clamp(1, 100) / 10;
    let mut random = seed | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
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
        for _ in 0..=next() % 6 {
            let at = usize::try_from(next()).unwrap() % bytes.len();
            bytes[at] = next().to_le_bytes()[0];
        }
        let mut buffer = BytesMut::new();
        while !bytes.is_empty() && !session.is_closed() {
            let part = (usize::try_from(next()).unwrap() % 9 + 1).min(bytes.len());
            buffer.extend_from_slice(&bytes.split_to(part));
            session.handle_input(case, Input::Bytes(&mut buffer));
            while session.poll_output().is_some() {}
        }
        session.handle_input(u64::MAX / 2, Input::Timeout);
        while session.poll_output().is_some() {}
    }
    println!("executed session_random_bytes: {cases} cases");
}
