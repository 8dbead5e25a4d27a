//! Messages and their acknowledgements: limits, aliases, expiry and QoS 2.

use edge_bridge::session::{
    Accept, ClientConfig, Closed, Event, Input, PublishError, ServerConfig, Session, StaleAck, Token,
    Violation,
};
use edge_bridge::wire::{Ack, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Value, Version};

use crate::session_support::*;

#[test]
fn a_limit_of_our_own_holds_for_new_messages_and_for_resumed_ones() {
    let mut session = open_client(10);
    session.limit_in_flight(0, Some(2));
    assert_eq!((session.room(), session.window()), (2, 10));
    for n in 0..2 {
        session.publish(0, Token(n), &message("a", "x")).unwrap();
    }
    let third = session.publish(0, Token(2), &message("a", "x"));
    assert_eq!(third, Err(PublishError::WindowFull { window: 10 }));
    session.limit_in_flight(0, None);
    assert_eq!((session.room(), session.in_flight_here()), (8, 2));

    let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), Some(in_flight(6)));
    session.limit_in_flight(0, Some(1));
    drain(&mut session);
    let (sent, _) = give(&mut session, &[connack(true, &[])]);
    assert_eq!(publishes(&sent).iter().map(|p| p.0).collect::<Vec<_>>(), [1], "set before CONNACK");
    session.limit_in_flight(0, Some(3));
    assert_eq!(publishes(&drain(&mut session).0).iter().map(|p| p.0).collect::<Vec<_>>(), [2, 3]);
    session.limit_in_flight(0, Some(0));
    let (sent, _) = give(&mut session, &[puback(1, ReasonCode::SUCCESS), puback(2, ReasonCode::SUCCESS)]);
    assert!(sent.is_empty(), "zero is one");
    let (sent, _) = give(&mut session, &[puback(3, ReasonCode::SUCCESS)]);
    assert_eq!(publishes(&sent).iter().map(|p| p.0).collect::<Vec<_>>(), [4]);
}

/// A message without an answer takes one place of the window, however many go past it.
#[test]
fn a_puback_that_is_left_out_takes_one_place() {
    let mut session = open_client(2);
    for n in 0..20 {
        session.publish(0, Token(n), &message("a", "x")).unwrap();
        drain(&mut session);
        if n > 0 {
            give(&mut session, &[puback(u16::try_from(n + 1).unwrap(), ReasonCode::SUCCESS)]);
        }
        assert_eq!((session.room(), session.in_flight(), session.in_flight_here()), (1, 1, 1));
    }
    give(&mut session, &[puback(1, ReasonCode::SUCCESS)]);
    assert_eq!((session.room(), session.in_flight()), (2, 0));
}

/// §3.3.2.3.3: what waits has so much less to live, at least a second; less than a second is nothing.
#[test]
fn a_resent_message_has_lived_meanwhile() {
    let expiring = Publish {
        properties: properties(&[(PropertyId::MessageExpiryInterval, Value::U32(100))]),
        ..message("a", "x")
    };
    for (waited_ms, left_s) in [(999, 100), (1_000, 99), (98_999, 2), (99_000, 1), (500_000, 1)] {
        let (mut first, _) = server(Version::V5, 1, None);
        first.publish(0, Token(1), &expiring).unwrap();
        let mut session = Session::server(waited_ms, 2, ServerConfig::default());
        session
            .handle_input(waited_ms, Input::Bytes(&mut encoded(&[connect(Version::V5, &[])], Version::V5)));
        drain(&mut session);
        let mut accept = Accept::default();
        accept.resume = Some(first.into_resume());
        session.accept(waited_ms, accept);
        let (sent, _) = drain(&mut session);
        let [_, Packet::Publish(ref publish)] = sent[..] else { panic!("{sent:?}") };
        assert_eq!(publish.properties.u32(PropertyId::MessageExpiryInterval), Some(left_s), "{waited_ms} ms");
        assert!(publish.dup);
    }
}

/// An alias's definition takes three bytes: where they do not fit, the topic goes as it is.
#[test]
fn a_message_that_just_fits_goes_without_an_alias() {
    let size = encoded(&[incoming(1, "plant/1")], Version::V5).len();
    let limits = [
        (PropertyId::TopicAliasMaximum, Value::U16(5)),
        (PropertyId::MaximumPacketSize, Value::U32(u32::try_from(size).unwrap())),
    ];
    let (mut session, ..) = client(None, &connack(false, &limits));
    assert_eq!(session.peer_packet_max(), u32::try_from(size).unwrap());
    for n in 0..2 {
        session.publish(0, Token(n), &message("plant/1", "x")).unwrap();
    }
    for packet in drain(&mut session).0 {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert_eq!((publish.topic, publish.properties.is_empty()), (text("plant/1"), true));
    }
    let one_more = message("plant/1", "xy");
    let refused = session.publish(0, Token(3), &one_more);
    assert_eq!(refused, Err(PublishError::TooLarge { size: size + 1, limit: u32::try_from(size).unwrap() }));
}

/// The least recently used alias makes room, and only topics of four bytes and more have one.
#[test]
fn aliases_are_those_of_the_topics_in_use() {
    let (mut session, ..) = client(None, &connack(false, &[(PropertyId::TopicAliasMaximum, Value::U16(2))]));
    let mut send = |topic: &str| {
        session.publish(0, Token(0), &message(topic, "x")).unwrap();
        let (sent, _) = drain(&mut session);
        let [Packet::Publish(ref publish)] = sent[..] else { panic!("{sent:?}") };
        (publish.topic.to_string(), publish.properties.u16(PropertyId::TopicAlias))
    };
    assert_eq!(send("abc"), ("abc".into(), None));
    assert_eq!(send("abcd"), ("abcd".into(), Some(1)));
    assert_eq!(send("efgh"), ("efgh".into(), Some(2)));
    assert_eq!(send("abcd"), (String::new(), Some(1)));
    assert_eq!(send("ijkl"), ("ijkl".into(), Some(2)), "efgh was used longest ago");
    assert_eq!(send("abcd"), (String::new(), Some(1)));
    assert_eq!(send("efgh"), ("efgh".into(), Some(2)));
}

/// §4.3.3 for messages of QoS 2 that an earlier client of this name left behind: each step once, and a place in the Receive Maximum until PUBREL.
#[test]
fn messages_of_qos_2_are_carried_through() {
    let mut config = ClientConfig::new(text("site7"));
    config.receive_maximum = 1;
    let mut session = Session::client(0, 1, config, None);
    drain(&mut session);
    give(&mut session, &[connack(true, &[])]);
    let id = PacketId::new(5).unwrap();
    let exactly = |id, dup| {
        Packet::Publish(Publish { dup, qos: QoS::ExactlyOnce, packet_id: Some(id), ..message("a", "x") })
    };
    let (sent, events) = give(&mut session, &[exactly(id, false)]);
    assert!(sent.is_empty());
    session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
    assert_eq!(drain(&mut session).0, [Packet::PubRec(Ack::success(id))]);
    let (sent, events) = give(&mut session, &[exactly(id, true)]);
    assert_eq!((sent, events.len()), (vec![Packet::PubRec(Ack::success(id))], 0), "PUBREC got lost");
    let (sent, _) = give(&mut session, &[Packet::PubRel(Ack::success(id))]);
    assert_eq!(sent, [Packet::PubComp(Ack::success(id))]);
    let (sent, _) = give(&mut session, &[Packet::PubRel(Ack::success(id))]);
    assert_eq!(sent, [Packet::PubComp(Ack::new(id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND))]);
    // A refused one needs no PUBREL.
    let (_, events) = give(&mut session, &[exactly(id, false)]);
    session.ack(0, handle(&events)[0], ReasonCode::QUOTA_EXCEEDED).unwrap();
    assert_eq!(drain(&mut session).0, [Packet::PubRec(Ack::new(id, ReasonCode::QUOTA_EXCEEDED))]);
    let (_, events) = give(&mut session, &[exactly(id, false)]);
    session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
    let (_, events) = give(&mut session, &[incoming(6, "a")]);
    assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::ReceiveMaximumExceeded))]));
}

/// Between PUBREC and PUBREL an identifier is that message's: only its own repeat may come under it.
#[test]
fn an_identifier_of_qos_2_is_in_use_until_pubrel() {
    let id = PacketId::new(5).unwrap();
    for (dup, qos) in [(false, QoS::ExactlyOnce), (true, QoS::AtLeastOnce), (false, QoS::AtLeastOnce)] {
        let mut session = open_client(10);
        let first = Publish { qos: QoS::ExactlyOnce, packet_id: Some(id), ..message("a", "x") };
        let (_, events) = give(&mut session, &[Packet::Publish(first.clone())]);
        session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
        drain(&mut session);
        let (_, events) = give(&mut session, &[Packet::Publish(Publish { dup, qos, ..first })]);
        assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::PacketIdInUse))]));
    }
}

/// A hub whose session goes on sends PUBLISH again if PUBREC got lost, else PUBREL; one that lost its session may send another message.
#[test]
fn what_a_client_received_of_qos_2_stays_received_while_the_session_goes_on() {
    let id = PacketId::new(5).unwrap();
    let exactly = |dup, payload| {
        let publish = Publish { dup, qos: QoS::ExactlyOnce, packet_id: Some(id), ..message("a", payload) };
        [Packet::Publish(publish)]
    };
    let left = || {
        let mut session = open_client(10);
        let (_, events) = give(&mut session, &exactly(false, "x"));
        session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
        drain(&mut session);
        session.handle_input(0, Input::Closed);
        session.into_resume()
    };
    let (pubrec, pubcomp) = (Packet::PubRec(Ack::success(id)), [Packet::PubComp(Ack::success(id))]);
    let (mut session, ..) = client(Some(left()), &connack(true, &[]));
    let (sent, events) = give(&mut session, &exactly(true, "x"));
    assert_eq!((sent, events.len()), (vec![pubrec], 0));
    assert_eq!(give(&mut session, &[Packet::PubRel(Ack::success(id))]).0, pubcomp);
    let (mut session, ..) = client(Some(left()), &connack(true, &[]));
    assert_eq!(give(&mut session, &[Packet::PubRel(Ack::success(id))]).0, pubcomp);
    for (is_present, dup, payload) in [(true, true, "y"), (true, false, "x"), (false, true, "x")] {
        let (mut session, ..) = client(Some(left()), &connack(is_present, &[]));
        let (_, events) = give(&mut session, &exactly(dup, payload));
        assert!(matches!(events[..], [Event::Publish { .. }]), "{is_present} {dup} {payload}: {events:?}");
    }
}

#[test]
fn an_answer_that_waits_for_others_is_not_changed() {
    let (mut session, _) = server(Version::V5, 1, None);
    let handles = handle(&give(&mut session, &[incoming(1, "a"), incoming(2, "a")]).1);
    session.ack(0, handles[1], ReasonCode::QUOTA_EXCEEDED).unwrap();
    assert_eq!(session.ack(0, handles[1], ReasonCode::SUCCESS), Err(StaleAck));
    session.ack(0, handles[0], ReasonCode::SUCCESS).unwrap();
    let expected = [puback(1, ReasonCode::SUCCESS), puback(2, ReasonCode::QUOTA_EXCEEDED)];
    assert_eq!(drain(&mut session).0, expected);
}

/// Mosquitto 2.0 sends more than it was told, whenever a long queue waits.
#[test]
fn a_client_that_does_not_enforce_its_receive_maximum_takes_more() {
    for enforces in [true, false] {
        let mut config = ClientConfig::new(text("site7"));
        (config.receive_maximum, config.enforces_receive_maximum) = (2, enforces);
        let mut session = Session::client(0, 1, config, None);
        drain(&mut session);
        give(&mut session, &[connack(false, &[])]);
        let messages: Vec<_> = (1..=10).map(|id| incoming(id, "cmd/a")).collect();
        let (_, events) = give(&mut session, &messages);
        let exceeded = Closed::Violation(Violation::ReceiveMaximumExceeded);
        let is_over = events.iter().any(|event| matches!(event, Event::Closed(why) if *why == exceeded));
        assert_eq!((is_over, handle(&events).len()), (enforces, if enforces { 2 } else { 10 }));
    }
}
