//! Beginning and end of a connection: times, what each side announces, and which packet may come when.

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, ClientConfig, Closed, Event, Input, Output, PublishError, Resume, ServerConfig, Session,
    StaleAck, Token, Violation,
};
use edge_bridge::wire::{
    self, Disconnect, Limits, Packet, PacketId, PacketType, Properties, PropertyId, Publish, ReasonCode,
    Subscribe, Value, Version,
};

use crate::requests::{filter, suback, unsuback};
use crate::session_support::*;

pub(crate) fn unexpected(events: &[Event]) -> Option<PacketType> {
    match events {
        [Event::Closed(Closed::Violation(Violation::Unexpected(packet)))] => Some(*packet),
        _ => None,
    }
}

/// A client that speaks 3.1.1, connected.
pub(crate) fn client_311() -> Session {
    let mut config = ClientConfig::new(text("site7"));
    config.version = Version::V311;
    let mut session = Session::client(0, 1, config, None);
    drain(&mut session);
    give(&mut session, &[connack(false, &[])]);
    session
}

#[test]
fn a_handshake_has_its_time_from_when_it_began() {
    for (mut session, due_ms) in [
        (Session::client(1_000, 1, ClientConfig::new(text("site7")), None), 21_000),
        (Session::server(1_000, 1, ServerConfig::default()), 11_000),
    ] {
        drain(&mut session);
        assert_eq!(session.next_deadline(), Some(due_ms));
        session.handle_timeout(due_ms - 1);
        assert!(!session.is_closed() && drain(&mut session).1.is_empty());
        session.handle_timeout(due_ms);
        assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::Handshake)]));
        assert!(session.is_closed());
    }
}

#[test]
fn packets_of_the_other_side_are_refused() {
    let id = PacketId::MIN;
    let subscribe =
        Packet::Subscribe(Subscribe { packet_id: id, properties: Properties::default(), filters: filter() });
    for packet in [Packet::PingReq, subscribe, connack(false, &[]), connect(Version::V5, &[])] {
        let mut session = open_client(10);
        let kind = packet.packet_type();
        assert_eq!(unexpected(&give(&mut session, &[packet]).1), Some(kind));
    }
    for packet in [Packet::PingResp, suback(id, 1), unsuback(id, 1), connack(false, &[])] {
        let (mut session, _) = server(Version::V5, 1, None);
        let kind = packet.packet_type();
        let (sent, events) = give(&mut session, &[packet]);
        assert_eq!(unexpected(&events), Some(kind));
        assert!(matches!(sent[..], [Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR));
    }
    let (mut session, _) = server(Version::V5, 1, None);
    assert_eq!(give(&mut session, &[Packet::PingReq]).0, [Packet::PingResp]);
}

/// \[MQTT-3.2.2-2\]
#[test]
fn a_clean_start_that_meets_a_session_is_a_violation() {
    let mut config = ClientConfig::new(text("site7"));
    config.clean_start = true;
    let mut session = Session::client(0, 1, config, None);
    drain(&mut session);
    assert_eq!(unexpected(&give(&mut session, &[connack(true, &[])]).1), Some(PacketType::ConnAck));
}

/// In 3.1.1 nothing else says that the session is to end with the connection, and a hub may keep any other for ever.
#[test]
fn a_session_that_ends_with_the_connection_is_a_clean_one_in_3_1_1() {
    for (version, session_expiry_s, is_clean) in
        [(Version::V311, 0, true), (Version::V311, 60, false), (Version::V5, 0, false)]
    {
        let mut config = ClientConfig::new(text("site7"));
        (config.version, config.session_expiry_s) = (version, session_expiry_s);
        let mut session = Session::client(0, 1, config, None);
        let mut sent = match session.poll_output() {
            Some(Output::Transmit(bytes)) => BytesMut::from(&bytes[..]),
            other => panic!("{other:?}"),
        };
        let connect = wire::decode_connect(&mut sent, &Limits::default()).unwrap().unwrap();
        assert_eq!(connect.clean_start, is_clean, "{version:?}, {session_expiry_s}");
        give(&mut session, &[connack(false, &[])]);
        let kept_s = session.server_limits().unwrap().session_expiry_s;
        assert_eq!(kept_s, if session_expiry_s == 60 { u32::MAX } else { 0 }, "{version:?}");
    }
}

/// Some servers send what they have queued before CONNACK: taken, but no more than 64.
#[test]
fn messages_before_connack_come_behind_it_and_are_bounded() {
    for (early, is_over) in [(64, false), (65, true)] {
        let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), None);
        drain(&mut session);
        let messages: Vec<_> = (1..=early).map(|id| incoming(id, "cmd/a")).collect();
        let (_, events) = give(&mut session, &messages);
        assert_eq!(unexpected(&events), is_over.then_some(PacketType::Publish));
        if is_over {
            continue;
        }
        assert!(events.is_empty());
        let (_, events) = give(&mut session, &[connack(false, &[])]);
        assert!(matches!(events[0], Event::Connected(_)));
        assert_eq!(handle(&events).len(), 64);
        assert_eq!(session.unacknowledged(), 64);
        session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
        assert_eq!(session.unacknowledged(), 63);
    }
}

/// Nothing that comes with CONNECT is looked at before the client is taken in; nothing that comes behind the end is kept.
#[test]
fn a_server_reads_nothing_before_its_decision_and_nothing_after_the_end() {
    let mut session = Session::server(0, 1, ServerConfig::default());
    let mut bytes = encoded(&[connect(Version::V5, &[]), Packet::PingReq], Version::V5);
    session.handle_input(0, Input::Bytes(&mut bytes));
    session.handle_input(0, Input::Bytes(&mut bytes));
    let (sent, events) = drain(&mut session);
    assert!(sent.is_empty() && matches!(events[..], [Event::Connect(_)]));
    assert_eq!(bytes.len(), 2);
    session.accept(0, Accept::default());
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert!(matches!(drain(&mut session).0[..], [Packet::ConnAck(_), Packet::PingResp]));
    session.disconnect(0, ReasonCode::SERVER_SHUTTING_DOWN);
    drain(&mut session);
    let mut bytes = encoded(&[Packet::PingReq], Version::V5);
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert!(bytes.is_empty() && drain(&mut session).0.is_empty());
}

/// In 3.1.1 any DISCONNECT of a client discards its will, and a server has none.
#[test]
fn who_is_told_why_a_connection_ends() {
    let normal = ReasonCode::NORMAL_DISCONNECTION;
    let error = ReasonCode::UNSPECIFIED_ERROR;
    let told = |mut session: Session, reason| {
        session.disconnect(0, reason);
        let (sent, events) = drain(&mut session);
        assert!(matches!(events[..], [Event::Closed(Closed::Local(own))] if own == reason));
        session.disconnect(0, reason);
        assert!(drain(&mut session).1.is_empty(), "the end is told once");
        sent
    };
    let packet = |reason| [Packet::Disconnect(Disconnect::new(reason))];
    assert_eq!(told(open_client(1), normal), packet(normal));
    assert_eq!(told(open_client(1), error), packet(error));
    assert_eq!(told(client_311(), normal), packet(normal));
    assert!(told(client_311(), error).is_empty());
    assert_eq!(told(server(Version::V5, 1, None).0, error), packet(error));
    assert!(told(server(Version::V311, 1, None).0, normal).is_empty());
}

/// §3.2.2.3: what a server does not announce, a client takes for the default.
#[test]
fn a_server_announces_what_it_does_not_take() {
    let mut config = ServerConfig::default();
    (config.topic_alias_maximum, config.retain_available) = (0, false);
    config.receive_maximum = 7;
    let hello = |config: ServerConfig, accept: Accept, version| {
        let mut session = Session::server(0, 1, config);
        session.handle_input(0, Input::Bytes(&mut encoded(&[connect(version, &[])], version)));
        drain(&mut session);
        session.accept(0, accept);
        let timeout = session.next_deadline();
        let (mut sent, _) = drain(&mut session);
        let Some(Packet::ConnAck(ack)) = sent.pop() else { panic!("{sent:?}") };
        (ack, timeout)
    };
    let mut accept = Accept::default();
    accept.assigned_client_id = Some(text("gave-this"));
    (accept.session_expiry_s, accept.keep_alive_s) = (Some(60), Some(4));
    let (ack, timeout) = hello(config.clone(), accept.clone(), Version::V5);
    let p = &ack.properties;
    assert_eq!(p.u16(PropertyId::ReceiveMaximum), Some(7));
    assert_eq!(p.u16(PropertyId::TopicAliasMaximum), None);
    assert_eq!(p.flag(PropertyId::RetainAvailable), Some(false));
    assert_eq!(p.flag(PropertyId::SharedSubscriptionAvailable), Some(false));
    assert_eq!(p.utf8(PropertyId::AssignedClientIdentifier), Some(text("gave-this")));
    assert_eq!(p.u32(PropertyId::SessionExpiryInterval), Some(60));
    assert_eq!((p.u16(PropertyId::ServerKeepAlive), timeout), (Some(4), Some(6_000)));
    // 3.1.1 cannot say another keep alive: the client's own holds.
    let (ack, timeout) = hello(config, accept, Version::V311);
    assert!(ack.properties.is_empty());
    assert_eq!(timeout, Some(15_000));
    let mut config = ServerConfig::default();
    config.shared_subscription_available = true;
    let (ack, _) = hello(config, Accept::default(), Version::V5);
    assert_eq!(ack.properties.u16(PropertyId::TopicAliasMaximum), Some(16));
    assert_eq!(ack.properties.flag(PropertyId::RetainAvailable), None);
    assert_eq!(ack.properties.flag(PropertyId::SharedSubscriptionAvailable), None);
    assert!(!ack.session_present);
}

/// A clean start gets no session, whatever the caller kept; otherwise Session Present says that there is one.
#[test]
fn session_present_is_said_of_a_session_that_goes_on() {
    for clean_start in [false, true] {
        let mut session = Session::server(0, 1, ServerConfig::default());
        let Packet::Connect(mut connect) = connect(Version::V5, &[]) else { panic!("CONNECT") };
        connect.clean_start = clean_start;
        session.handle_input(0, Input::Bytes(&mut encoded(&[Packet::Connect(connect)], Version::V5)));
        drain(&mut session);
        let mut accept = Accept::default();
        accept.resume = Some(in_flight(2));
        session.accept(0, accept);
        let (sent, _) = drain(&mut session);
        let Packet::ConnAck(ref ack) = sent[0] else { panic!("{sent:?}") };
        assert_eq!(ack.session_present, !clean_start);
        assert_eq!((sent.len(), session.in_flight()), if clean_start { (1, 0) } else { (3, 2) });
    }
}

#[test]
fn nothing_goes_in_or_out_where_there_is_no_connection() {
    let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), Some(Resume::new()));
    drain(&mut session);
    assert!(!session.is_open() && !session.is_closed() && session.room() == 0);
    assert_eq!(session.publish(0, Token(1), &message("a", "x")), Err(PublishError::NotConnected));
    session.ping(0);
    assert!(drain(&mut session).0.is_empty());
    give(&mut session, &[connack(true, &[])]);
    assert!(session.is_open() && !session.is_closed());
    let (_, events) = give(&mut session, &[incoming(1, "a")]);
    session.handle_input(0, Input::Closed);
    drain(&mut session);
    assert!(!session.is_open() && session.is_closed() && session.room() == 0);
    assert_eq!(session.ack(0, handle(&events)[0], ReasonCode::SUCCESS), Err(StaleAck));
    assert_eq!(session.publish(0, Token(1), &message("a", "x")), Err(PublishError::NotConnected));
    assert!(drain(&mut session).0.is_empty());
}

/// A session that no server accepted is none; one that was brought goes on.
#[test]
fn who_has_a_session_after_a_connection_that_failed() {
    let had = |resume, answer: Option<Packet>| {
        let mut session = Session::client(0, 1, ClientConfig::new(text("site7")), resume);
        drain(&mut session);
        answer.iter().for_each(|answer| drop(give(&mut session, std::slice::from_ref(answer))));
        session.had_session()
    };
    assert!(!had(None, None));
    assert!(had(None, Some(connack(false, &[]))));
    assert!(had(Some(Resume::new()), None));
}

/// Properties for one connection only are not passed on; a server's Subscription Identifier is the subscriber's business.
#[test]
fn properties_of_a_connection_stay_on_it() {
    let list =
        [(PropertyId::TopicAlias, Value::U16(3)), (PropertyId::SubscriptionIdentifier, Value::Varint(4))];
    let marked = Publish { dup: true, properties: properties(&list), ..message("abc", "x") };
    for (mut session, identifiers) in [(open_client(10), 0), (server(Version::V5, 1, None).0, 1)] {
        session.publish(0, Token(1), &marked).unwrap();
        let (sent, _) = drain(&mut session);
        let [Packet::Publish(ref publish)] = sent[..] else { panic!("{sent:?}") };
        assert!(!publish.dup && publish.topic == text("abc"));
        assert!(!publish.properties.contains(PropertyId::TopicAlias));
        assert_eq!(usize::from(publish.properties.contains(PropertyId::SubscriptionIdentifier)), identifiers);
    }
}
