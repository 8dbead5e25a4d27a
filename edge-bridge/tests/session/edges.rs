//! Edges of a connection's life: packets that come before CONNACK, one that is half there when time is up, and the time a ping is given.

use crate::session_support::*;
use bytes::BytesMut;
use edge_bridge::session::{ClientConfig, Closed, Event, Input, Resume, Session, Token, Violation};
use edge_bridge::wire::QoS;
use edge_bridge::wire::{
    Ack, Disconnect, Packet, PacketId, Properties, PropertyId, Publish, ReasonCode, SubAck, Subscribe,
    Subscription, UnsubAck, Unsubscribe, Value, Version,
};

fn packets() -> Vec<Packet> {
    let (packet_id, properties) = (PacketId::MIN, Properties::default());
    let filters = vec![Subscription::new(text("a"), QoS::AtLeastOnce)];
    vec![
        puback(1, ReasonCode::SUCCESS),
        Packet::PubRel(Ack::success(packet_id)),
        Packet::Subscribe(Subscribe { packet_id, properties: properties.clone(), filters }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: properties.clone(),
            filters: vec![text("a")],
        }),
        Packet::SubAck(SubAck {
            packet_id,
            properties: properties.clone(),
            reasons: vec![ReasonCode::GRANTED_QOS_1],
        }),
        Packet::UnsubAck(UnsubAck { packet_id, properties, reasons: vec![ReasonCode::SUCCESS] }),
        Packet::PingReq,
        Packet::PingResp,
        Packet::Disconnect(Disconnect::new(ReasonCode::UNSPECIFIED_ERROR)),
    ]
}

fn unexpected(events: &[Event], packet: &Packet) -> bool {
    matches!(events, [Event::Closed(Closed::Violation(Violation::Unexpected(kind)))] if *kind == packet.packet_type())
}

/// §3.2: the server's first packet is CONNACK.
#[test]
fn no_answer_comes_before_connack() {
    for packet in packets() {
        let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), Some(in_flight(1)));
        drain(&mut session);
        let (sent, events) = give(&mut session, std::slice::from_ref(&packet));
        assert!(sent.is_empty() && unexpected(&events, &packet), "{packet:?}: {sent:?}, {events:?}");
        assert_eq!(session.into_resume().in_flight().len(), 1, "{packet:?}");
    }
}

#[test]
fn subscriptions_are_asked_of_servers_alone() {
    for packet in packets().into_iter().filter(|p| matches!(p, Packet::Subscribe(_) | Packet::Unsubscribe(_)))
    {
        let mut session = open_client(10);
        let (sent, events) = give(&mut session, std::slice::from_ref(&packet));
        assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR));
        assert!(unexpected(&events, &packet), "{events:?}");
    }
}

/// A server that has `(at_ms, bytes)` of a large packet, behind `first` of whole ones, and until when it waits for more.
fn waits_until(parts: &[(u64, usize)], first: &[Packet]) -> u64 {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut large = message("a", &"x".repeat(50_000));
    large.packet_id = PacketId::new(1);
    let large = encoded(&[Packet::Publish(large)], Version::V5);
    let mut buffer = BytesMut::new();
    let mut taken = 0;
    for (n, (at_ms, bytes)) in parts.iter().enumerate() {
        if n + 1 == parts.len() {
            buffer.extend_from_slice(&encoded(first, Version::V5));
        }
        buffer.extend_from_slice(&large[taken..taken + bytes]);
        taken += bytes;
        session.handle_input(*at_ms, Input::Bytes(&mut buffer));
    }
    let mut now_ms = 0;
    while !session.is_closed() {
        now_ms = session.next_deadline().unwrap();
        session.handle_timeout(now_ms);
    }
    now_ms
}

/// While the bytes of a packet come at 500 a second, its sender can say nothing else; the keep alive is 10 s.
#[test]
fn a_packet_that_is_half_there_has_its_time_from_its_first_byte() {
    assert_eq!(waits_until(&[(0, 7_499)], &[]), 15_000);
    assert_eq!(waits_until(&[(0, 7_500)], &[]), 15_000);
    assert_eq!(waits_until(&[(0, 7_501)], &[]), 15_002);
    assert_eq!(waits_until(&[(0, 1_000), (10_000, 8_000)], &[]), 18_000);
    // A packet that was whole is a sign of life, and the next one begins there.
    assert_eq!(waits_until(&[(0, 0), (14_000, 10_000)], &[Packet::PingReq]), 34_000);
    assert_eq!(waits_until(&[(0, 0), (14_000, 100)], &[Packet::PingReq]), 29_000);
}

/// A ping's answer cannot come before what was written ahead of the ping has arrived: 1 kB/s, and a quarter more for headers.
#[test]
fn a_ping_waits_for_what_was_written_before_it() {
    let mut session = open_client(10);
    let large = message("a", &"x".repeat(20_000));
    let size = encoded(&[incoming(1, "a")], Version::V5).len() as u64;
    session.publish(0, Token(1), &large).unwrap();
    session.ping(0);
    let (sent, _) = drain(&mut session);
    assert_eq!(sent.len(), 2);
    session.handle_timeout(10_000);
    // The payload of `incoming` has one byte; the length field of a large packet has two more.
    let bytes = size - 1 + 20_000 + 2;
    assert_eq!(session.next_deadline(), Some(10_000 + bytes + bytes / 4));
    assert!(!session.is_closed());
    // Bytes that leave are a sign of life, and only what the system has taken is on its way.
    session.handle_input(15_000, Input::Written { bytes: 5_000, waited: true });
    session.handle_timeout(10_000 + bytes + bytes / 4);
    assert!(session.is_closed());
}

/// Whole messages that a slow line brings are a sign of life, as a part of one is: the ping's answer comes behind them.
#[test]
fn a_ping_waits_behind_messages_that_come_one_by_one() {
    let mut session = open_client(10);
    session.ping(0);
    drain(&mut session);
    let receive = |session: &mut Session, now_ms, packet: Packet| {
        session.handle_input(now_ms, Input::Bytes(&mut encoded(&[packet], Version::V5)));
    };
    for second in 1..=20 {
        session.handle_timeout(1_000 * second);
        receive(
            &mut session,
            1_000 * second,
            Packet::Publish(Publish { qos: QoS::AtMostOnce, ..message("a", "x") }),
        );
    }
    let mut silent = session.clone();
    session.handle_timeout(21_000);
    receive(&mut session, 21_000, Packet::PingResp);
    session.handle_timeout(31_000);
    assert!(!session.is_closed());
    silent.handle_timeout(29_999);
    assert!(!silent.is_closed());
    silent.handle_timeout(30_000);
    assert!(silent.is_closed(), "nothing came for ten seconds");
}

/// While a queue is full its caller reads nothing, for hours perhaps: the answers to pings are among what is not read.
#[test]
fn who_leaves_bytes_unread_pings_on_and_takes_nobody_for_gone() {
    let mut session = open_client(10);
    drain(&mut session);
    let mut pings = 0;
    for now_ms in (1_000..=600_000).step_by(1_000) {
        session.leave_unread(now_ms);
        session.handle_timeout(now_ms);
        pings += drain(&mut session).0.len();
    }
    assert!(!session.is_closed());
    assert_eq!(pings, 10, "one in each keep alive");
    // All of them are read at last.
    let answers = vec![Packet::PingResp; pings];
    session.handle_input(600_500, Input::Bytes(&mut encoded(&answers, Version::V5)));
    assert!(!session.is_closed());
    session.handle_timeout(660_000);
    drain(&mut session);
    session.handle_timeout(670_000);
    assert!(session.is_closed(), "a ping that is read for and not answered ends it");
}

#[test]
fn what_does_not_fit_any_more_is_told_with_its_size() {
    let big = message("plant/1", &"x".repeat(100));
    let mut earlier = open_client(10);
    earlier.publish(0, Token(1), &big).unwrap();
    let (sent, _) = drain(&mut earlier);
    let resent = encoded(&sent, Version::V5).len();
    let limit = [(PropertyId::MaximumPacketSize, Value::U32(100))];
    let (session, sent, events) = client(Some(earlier.into_resume()), &connack(true, &limit));
    assert!(matches!(events[1], Event::Unsendable { token: Token(1), size, limit: 100 } if size == resent));
    assert!(sent.is_empty() && session.into_resume().in_flight().is_empty());
}

#[test]
fn a_session_can_be_looked_at_and_taken_apart_between_connections() {
    let mut resume = in_flight(3);
    assert_eq!(resume.in_flight().iter().map(|m| m.token.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(resume.in_flight().iter().all(|m| m.sent));
    resume.in_flight_mut()[2].publish.topic = text("other");
    resume.forget(Token(1));
    let left = resume.into_in_flight();
    let left: Vec<_> = left.iter().map(|m| (m.packet_id.get(), m.publish.topic.as_str())).collect();
    assert_eq!(left, [(1, "plant/1"), (3, "other")]);
    assert!(Resume::new().in_flight().is_empty());
}

/// §3.3.2.3.8: a Subscription Identifier in a PUBLISH is of the receiver's own subscription, so a server alone adds one.
#[test]
fn a_client_gives_its_message_no_subscription_identifier() {
    let properties = properties(&[(PropertyId::SubscriptionIdentifier, Value::Varint(7))]);
    let publish =
        |id| Packet::Publish(Publish { properties: properties.clone(), packet_id: id, ..message("a", "x") });
    let (mut server, _) = server(Version::V5, 1, None);
    let (sent, events) = give(&mut server, &[publish(PacketId::new(1))]);
    assert!(
        matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR),
        "{sent:?}"
    );
    assert!(
        matches!(events[..], [Event::Closed(Closed::Violation(Violation::SubscriptionIdentifier))]),
        "{events:?}"
    );
    let (_, events) = give(&mut open_client(10), &[publish(PacketId::new(1))]);
    assert!(matches!(events[..], [Event::Publish { .. }]), "{events:?}");
}
