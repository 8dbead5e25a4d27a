//! Traps of published MQTT 5 crates about resume, Receive Maximum and acknowledgements, each shown not to be one of ours. Where a test says
//! "6.1" or "4.2" it is one of the six found in mqtt-protocol-core 0.7.9 and the four found in rumqttc 0.25.1.

use edge_bridge::session::{
    Accept, Event, Input, PublishError, Resume, ServerConfig, Session, SessionOutcome, StaleAck, Token,
};
use edge_bridge::wire::{
    Ack, Packet, PacketId, Properties, PropertyId, QoS, ReasonCode, SubAck, Subscription, Value, Version,
};

use crate::session_support::*;

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
    let [Event::Acked { token: Token(7), reason, .. }] = events[..] else { panic!("{events:?}") };
    assert!(!reason.is_error());
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
    for n in 0..65_277u32 {
        session.publish(0, Token(n.into()), &message("t", "x")).unwrap();
        drain(&mut session);
        give(&mut session, &[puback(u16::try_from(n + 1).unwrap(), ReasonCode::SUCCESS)]);
    }
    for n in 0..4 {
        session.publish(0, Token(n), &message("plant/1", &format!("m{n}"))).unwrap();
    }
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    let expected = [(65_278, "m0"), (65_279, "m1"), (1, "m2"), (2, "m3")];
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

/// The topic of a repeat is written out on the new connection, where no alias is known yet.
#[test]
fn outbound_aliases_start_anew_on_each_connection() {
    let aliases = [(PropertyId::TopicAliasMaximum, Value::U16(2))];
    let (mut session, ..) = client(None, &connack(false, &aliases));
    for n in 0..2 {
        session.publish(0, Token(n), &message("plant/1", "x")).unwrap();
    }
    assert_eq!(topics(&drain(&mut session).0), ["plant/1", ""]);
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &aliases));
    assert_eq!(topics(&sent), ["plant/1", ""]);
}

/// A publisher that goes on keeps the alias.
#[test]
fn the_alias_that_rests_longest_goes_to_another_topic() {
    let aliases = [(PropertyId::TopicAliasMaximum, Value::U16(2))];
    let (mut session, ..) = client(None, &connack(false, &aliases));
    for (n, topic) in (0..).zip(["plant/1", "plant/2", "plant/1", "plant/3", "plant/1"]) {
        session.publish(0, Token(n), &message(topic, "x")).unwrap();
    }
    assert_eq!(topics(&drain(&mut session).0), ["plant/1", "plant/2", "", "plant/3", ""]);
}

fn topics(packets: &[Packet]) -> Vec<&str> {
    let publishes = packets.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => Some(publish.topic.as_str()),
        _ => None,
    });
    publishes.collect()
}
