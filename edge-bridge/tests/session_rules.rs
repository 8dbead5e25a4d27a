//! Rules of MQTT that a session keeps on either side: times, limits, counts, and which packet may come when.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod session_support;

use bytes::BytesMut;
use edge_bridge::session::{
    Accept, ClientConfig, Closed, Event, Input, PACKETS_PER_TURN, PublishError, RequestError, Resume,
    ServerConfig, Session, StaleAck, Token, Violation,
};
use edge_bridge::wire::{
    Ack, Disconnect, Packet, PacketId, PacketType, Properties, PropertyId, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Value, Version,
};
use session_support::*;

fn unexpected(events: &[Event]) -> Option<PacketType> {
    match events {
        [Event::Closed(Closed::Violation(Violation::Unexpected(packet)))] => Some(*packet),
        _ => None,
    }
}

fn suback(id: PacketId, count: usize) -> Packet {
    let reasons = vec![ReasonCode::GRANTED_QOS_1; count];
    Packet::SubAck(SubAck { packet_id: id, properties: Properties::default(), reasons })
}

fn unsuback(id: PacketId, count: usize) -> Packet {
    let reasons = vec![ReasonCode::SUCCESS; count];
    Packet::UnsubAck(UnsubAck { packet_id: id, properties: Properties::default(), reasons })
}

fn filter() -> Vec<Subscription> {
    vec![Subscription::new(text("cmd/#"), QoS::AtLeastOnce)]
}

/// A client that speaks 3.1.1, connected.
fn client_311() -> Session {
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
        assert_eq!(session.poll_timeout(), Some(due_ms));
        session.handle_input(due_ms - 1, Input::Timeout);
        assert!(!session.is_closed() && drain(&mut session).1.is_empty());
        session.handle_input(due_ms, Input::Timeout);
        assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::Handshake)]));
        assert!(session.is_closed());
    }
}

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

/// §3.9, §3.11: each filter of a request has its answer, and an answer is that of its own kind.
#[test]
fn requests_are_answered_once_in_their_kind_with_as_many_reasons() {
    let mut session = open_client(10);
    let id = session.subscribe(0, filter()).unwrap();
    assert!(matches!(give(&mut session, &[suback(id, 1)]).1[..], [Event::SubAck(_)]));
    assert_eq!(unexpected(&give(&mut session, &[suback(id, 1)]).1), Some(PacketType::SubAck), "once");

    let mut session = open_client(10);
    let id = session.unsubscribe(0, vec![text("a"), text("b")]).unwrap();
    assert!(matches!(give(&mut session, &[unsuback(id, 2)]).1[..], [Event::UnsubAck(_)]));

    for answer in [suback as fn(PacketId, usize) -> Packet, unsuback] {
        let mut session = open_client(10);
        let id = if matches!(answer(PacketId::MIN, 1), Packet::SubAck(_)) {
            session.subscribe(0, filter()).unwrap()
        } else {
            session.unsubscribe(0, vec![text("a")]).unwrap()
        };
        let (sent, events) = give(&mut session, &[answer(id, 2)]);
        assert!(matches!(events[..], [Event::Closed(Closed::Violation(Violation::AnswerCount))]));
        assert!(
            matches!(sent[..], [.., Packet::Disconnect(ref d)] if d.reason == ReasonCode::PROTOCOL_ERROR)
        );
    }
    let mut session = open_client(10);
    let id = session.subscribe(0, filter()).unwrap();
    assert_eq!(unexpected(&give(&mut session, &[unsuback(id, 1)]).1), Some(PacketType::UnsubAck));
    // UNSUBACK of 3.1.1 has no reasons.
    let mut session = client_311();
    let id = session.unsubscribe(0, vec![text("a"), text("b")]).unwrap();
    assert!(matches!(give(&mut session, &[unsuback(id, 0)]).1[..], [Event::UnsubAck(_)]));
}

#[test]
fn sixty_four_requests_wait_at_most() {
    let mut session = open_client(10);
    let ids: Vec<_> = (0..64).map(|_| session.subscribe(0, filter()).unwrap()).collect();
    assert_eq!(session.subscribe(0, filter()), Err(RequestError::TooMany));
    assert_eq!(session.unsubscribe(0, vec![text("a")]), Err(RequestError::TooMany));
    give(&mut session, &[suback(ids[5], 1)]);
    session.subscribe(0, filter()).unwrap();
    let mut early = Session::client(0, 1, ClientConfig::new(text("site7")), None);
    assert_eq!(early.subscribe(0, filter()), Err(RequestError::NotConnected));
}

/// The circle of identifiers passes over that of a request which still waits.
#[test]
fn identifiers_in_use_are_passed_over() {
    let mut session = open_client(1);
    assert_eq!(session.subscribe(0, filter()).unwrap().get(), 1);
    for id in 2..=65_535 {
        session.publish(0, Token(1), &message("a", "x")).unwrap();
        drain(&mut session);
        give(&mut session, &[puback(id, ReasonCode::SUCCESS)]);
    }
    session.publish(0, Token(2), &message("a", "x")).unwrap();
    assert_eq!(publishes(&drain(&mut session).0)[0].0, 2);
    assert_eq!(session.unsubscribe(0, vec![text("a")]).unwrap().get(), 3);
}

/// 3.1.1 has no subscription options; their bits are reserved there.
#[test]
fn options_are_left_out_in_3_1_1() {
    let mut subscription = Subscription::new(text("cmd/#"), QoS::AtLeastOnce);
    (subscription.no_local, subscription.retain_as_published) = (true, true);
    subscription.retain_handling = RetainHandling::SendIfNew;
    let mut session = client_311();
    session.subscribe(0, vec![subscription.clone()]).unwrap();
    let (sent, _) = drain(&mut session);
    let [Packet::Subscribe(ref subscribe)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!(subscribe.filters, filter());
    let mut session = open_client(10);
    session.subscribe(0, vec![subscription.clone()]).unwrap();
    let (sent, _) = drain(&mut session);
    let [Packet::Subscribe(ref subscribe)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!(subscribe.filters, [subscription]);
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

#[test]
fn one_turn_takes_so_many_packets_and_leaves_the_rest() {
    let (mut session, _) = server(Version::V5, 1, None);
    let mut bytes = encoded(&vec![Packet::PingReq; PACKETS_PER_TURN + 3], Version::V5);
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert_eq!((bytes.len(), drain(&mut session).0.len()), (2 * 3, PACKETS_PER_TURN));
    session.handle_input(0, Input::Bytes(&mut bytes));
    assert_eq!((bytes.len(), drain(&mut session).0.len()), (0, 3));
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
        let timeout = session.poll_timeout();
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

/// Default patience: 10 s and the bytes before it, on the slowest link.
#[test]
fn a_ping_has_its_time_to_be_answered() {
    let mut session = open_client(10);
    session.ping(1_000);
    drain(&mut session);
    let due_ms = session.poll_timeout().unwrap();
    assert_eq!(due_ms, 11_000);
    session.handle_input(10_999, Input::Timeout);
    assert!(!session.is_closed());
    let mut now_ms = 11_000;
    while !session.is_closed() && now_ms < 12_000 {
        session.handle_input(now_ms, Input::Timeout);
        now_ms = session.poll_timeout().unwrap_or(u64::MAX);
    }
    assert!(matches!(drain(&mut session).1[..], [Event::Closed(Closed::KeepAlive)]));
}

#[test]
fn an_identifier_in_use_means_a_repeat_or_a_violation() {
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[incoming(1, "a"), incoming(1, "b")]);
    assert!(matches!(events[1..], [Event::Closed(Closed::Violation(Violation::PacketIdInUse))]));
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[incoming(1, "a")]);
    session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
    assert_eq!(handle(&give(&mut session, &[incoming(1, "b")]).1).len(), 1, "it is free again");
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
    assert_eq!(session.poll_timeout(), Some(1_000 + 60_000));
    session.publish(30_000, Token(1), &message("a", "x")).unwrap();
    assert_eq!(session.poll_timeout(), Some(90_000));
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
