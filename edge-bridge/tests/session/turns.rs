//! Pings, counts of bytes, and the work of one turn.

use bytes::BytesMut;
use edge_bridge::session::{Closed, Event, Input, PACKETS_PER_TURN, Token};
use edge_bridge::wire::{Packet, PacketId, Publish, QoS, Version};

use crate::session_support::*;

#[test]
fn one_turn_takes_so_many_packets_and_leaves_the_rest() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut bytes = encoded(&vec![Packet::PingReq; PACKETS_PER_TURN + 3], Version::V5);
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert_eq!((bytes.len(), drain(&mut session).0.len()), (2 * 3, PACKETS_PER_TURN));
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert_eq!((bytes.len(), drain(&mut session).0.len()), (0, 3));
}

/// Promise 9: every byte has its cause.
#[test]
fn bytes_are_counted_by_cause() {
    let mut session = open_client(10);
    let before = session.traffic();
    session.publish(0, Token(1), &message("a", "four")).unwrap();
    let size = encoded(&[incoming(1, "a")], Version::V5).len() as u64 - 1;
    let sent = session.traffic();
    assert_eq!((sent.payload, sent.mqtt), (before.payload + 4, before.mqtt + size));
    give(&mut session, &[Packet::Publish(Publish { qos: QoS::AtMostOnce, ..message("a", "five5") })]);
    let came = session.traffic();
    assert_eq!((came.payload, came.mqtt), (sent.payload + 5, sent.mqtt + size - 2), "no identifier");
    session.ping(0);
    give(&mut session, &[Packet::PingResp]);
    assert_eq!((session.traffic().ping, session.traffic().mqtt), (4, came.mqtt));
    let again = Publish { dup: true, packet_id: PacketId::new(9), ..message("a", "x") };
    give(&mut session, &[Packet::Publish(again)]);
    assert_eq!((session.traffic().resend, session.traffic().payload), (size + 1, came.payload));
    assert_eq!(session.traffic().total(), came.total() + 4 + size + 1);

    let (session, ..) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!((session.traffic().payload, session.traffic().resend), (0, size + 4));
    let mut all = came;
    all.add(&session.traffic());
    assert_eq!(all.total(), came.total() + session.traffic().total());
    assert_eq!((all.payload, all.resend), (came.payload, size + 4));
}

/// Default patience: 10 s and the bytes before it, on the slowest link.
#[test]
fn a_ping_has_its_time_to_be_answered() {
    let mut session = open_client(10);
    session.ping(1_000);
    drain(&mut session);
    let due_ms = session.next_deadline().unwrap();
    assert_eq!(due_ms, 11_000);
    session.handle_timeout(10_999);
    assert!(!session.is_closed());
    let mut now_ms = 11_000;
    while !session.is_closed() && now_ms < 12_000 {
        session.handle_timeout(now_ms);
        now_ms = session.next_deadline().unwrap_or(u64::MAX);
    }
    assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::KeepAlive)]));
}

/// A round trip counts without what may have been the transmission of a large message.
#[test]
fn a_ping_says_how_long_it_took() {
    let mut session = open_client(10);
    session.ping(1_000);
    session.ping(1_100);
    assert_eq!(drain(&mut session).0, [Packet::PingReq], "one at a time");
    session.handle_input(1_250, Input::Bytes(&mut encoded(&[Packet::PingResp], Version::V5)));
    assert!(matches!(drain(&mut session).1[..], [Event::PingAnswered { rtt_ms: 250 }]));
    session.handle_input(1_260, Input::Bytes(&mut encoded(&[Packet::PingResp], Version::V5)));
    assert!(drain(&mut session).1.is_empty(), "nobody asked");
    // The time for the next one begins with what was sent last.
    assert_eq!(session.next_deadline(), Some(1_000 + 60_000));
    session.publish(30_000, Token(1), &message("a", "x")).unwrap();
    assert_eq!(session.next_deadline(), Some(90_000));
}

#[test]
fn half_a_packet_is_left_where_it_is() {
    let (mut session, _) = server(Version::V5, 1, None);
    let bytes = encoded(&[incoming(1, "a")], Version::V5);
    let mut buffer = BytesMut::from(&bytes[..bytes.len() - 1]);
    session.handle_input(0, Input::Bytes(&mut buffer));
    assert_eq!((buffer.len(), drain(&mut session).1.len()), (bytes.len() - 1, 0));
    buffer.extend_from_slice(&bytes[bytes.len() - 1..]);
    session.handle_input(0, Input::Bytes(&mut buffer));
    assert!(buffer.is_empty() && matches!(drain(&mut session).1[..], [Event::Publish { .. }]));
}
