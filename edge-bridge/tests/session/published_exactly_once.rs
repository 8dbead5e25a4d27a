//! QoS 2 for published messages (§4.3.3): PUBREC hands the message over, PUBREL is owed until PUBCOMP, over connections and restarts.

use edge_bridge::session::{ClientConfig, Event, Input, PublishError, Session, Token};
use edge_bridge::wire::{Ack, Packet, PacketId, PropertyId, QoS, ReasonCode, Subscription, Value, Version};

use crate::session_support::*;

const OK: ReasonCode = ReasonCode::SUCCESS;
/// First identifier for messages of QoS 2.
const FIRST: u16 = 65_280;

fn ack(id: u16) -> Ack {
    Ack::success(PacketId::new(id).unwrap())
}

fn pubrel(id: u16) -> Packet {
    Packet::PubRel(ack(id))
}

fn acked(events: &[Event]) -> Vec<(u64, ReasonCode)> {
    let acked = events.iter().filter_map(|event| match event {
        Event::Acked { token, reason, .. } => Some((token.0, *reason)),
        _ => None,
    });
    acked.collect()
}

#[test]
fn pubrec_hands_a_message_over_and_pubcomp_makes_room() {
    let mut session = open_client(1);
    session.publish(0, Token(7), &exactly("x")).unwrap();
    let (sent, _) = drain(&mut session);
    let [Packet::Publish(ref publish)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!((publish.qos, publish.packet_id.unwrap().get()), (QoS::ExactlyOnce, FIRST));
    let (sent, events) = give(&mut session, &[Packet::PubRec(ack(FIRST))]);
    assert_eq!((sent, acked(&events)), (vec![pubrel(FIRST)], vec![(7, OK)]));
    assert_eq!((session.in_flight(), session.room()), (0, 0), "its place is taken until PUBCOMP");
    assert_eq!(session.publish(0, Token(8), &message("a", "y")), Err(PublishError::WindowFull { window: 1 }));
    let (sent, events) = give(&mut session, &[Packet::PubRec(ack(FIRST))]);
    assert_eq!((sent, events.len()), (vec![pubrel(FIRST)], 0), "a second PUBREC");
    let (sent, events) = give(&mut session, &[Packet::PubComp(ack(FIRST)), Packet::PubComp(ack(FIRST))]);
    assert!(
        sent.is_empty() && matches!(events[..], [Event::Completed { by_peer: true, token: Some(Token(7)) }]),
        "{sent:?} {events:?}"
    );
    assert_eq!(session.room(), 1);
    session.publish(0, Token(8), &exactly("y")).unwrap();
    assert_eq!(publishes(&drain(&mut session).0), [(FIRST + 1, false, "y".to_owned())]);
}

#[test]
fn a_refused_message_is_over_with_its_pubrec() {
    let mut session = open_client(1);
    session.publish(0, Token(7), &exactly("x")).unwrap();
    drain(&mut session);
    let refused = Ack::new(PacketId::new(FIRST).unwrap(), ReasonCode::QUOTA_EXCEEDED);
    let (sent, events) = give(&mut session, &[Packet::PubRec(refused)]);
    assert_eq!((sent, acked(&events)), (vec![], vec![(7, ReasonCode::QUOTA_EXCEEDED)]));
    assert_eq!(session.room(), 1);
}

/// A peer that answers by the wrong packet, or what nobody sent, ends no message, and gets what lets it forget its own part.
#[test]
fn answers_of_the_wrong_kind_end_no_message() {
    for version in [Version::V5, Version::V311] {
        let mut config = ClientConfig::new(text("site7"));
        config.version = version;
        let mut session = Session::client(0, 1, config, None);
        drain(&mut session);
        give(&mut session, &[connack(false, &[])]);
        session.publish(0, Token(1), &message("a", "one")).unwrap();
        session.publish(0, Token(2), &exactly("two")).unwrap();
        drain(&mut session);
        let (sent, events) = give(&mut session, &[puback(FIRST, OK), Packet::PubComp(ack(FIRST))]);
        assert_eq!((sent.len(), events.len()), (0, 0));
        let not_found = match version {
            Version::V5 => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            Version::V311 => OK,
        };
        for id in [1, 9] {
            let (sent, events) = give(&mut session, &[Packet::PubRec(ack(id))]);
            let pubrel = Packet::PubRel(Ack::new(PacketId::new(id).unwrap(), not_found));
            assert_eq!((sent, events.len()), (vec![pubrel], 0), "{version:?} {id}");
        }
        assert_eq!(session.in_flight(), 2);
    }
}

/// A peer that says so of an exchange which it cannot have completed has lost the message (§3.7.2.1); else it may have completed it before.
#[test]
fn promise_4_an_identifier_that_the_peer_does_not_know_completes_only_what_it_may_have_completed() {
    let not_found =
        |id| Packet::PubComp(Ack::new(PacketId::new(id).unwrap(), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND));
    let forgotten = |events: &[Event]| -> Vec<u64> {
        let of = |event: &Event| match event {
            Event::Forgotten { token, .. } => Some(token.0),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    let mut session = open_client(10);
    (1..=3).for_each(|token| session.publish(0, Token(token), &exactly("x")).unwrap());
    drain(&mut session);
    let (_, events) = give(&mut session, &[Packet::PubRec(ack(FIRST)), not_found(FIRST)]);
    assert_eq!(forgotten(&events), [1], "its PUBREC came on this connection");
    assert_eq!((session.in_flight_here(), events.len()), (2, 2), "its place is free");
    // Of two that were accepted the PUBREL of one leaves: the network ends before the other's.
    give(&mut session, &[Packet::PubRec(ack(FIRST + 1))]);
    session.handle_input(0, Input::Closed);
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!(sent[..1], [pubrel(FIRST + 1)]);
    let (_, events) = give(&mut session, &[not_found(FIRST + 1)]);
    assert!(matches!(events[..], [Event::Completed { by_peer: true, token: Some(Token(2)) }]), "{events:?}");
}

#[test]
fn a_resumed_session_owes_its_pubrels_first_and_then_its_messages() {
    let mut session = open_client(10);
    for token in 1..=3 {
        session.publish(0, Token(token), &exactly(&token.to_string())).unwrap();
    }
    drain(&mut session);
    give(&mut session, &[Packet::PubRec(ack(FIRST + 1)), Packet::PubRec(ack(FIRST))]);
    session.handle_input(0, Input::Closed);
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!(sent[..2], [pubrel(FIRST + 1), pubrel(FIRST)], "in the order of the PUBRECs");
    assert_eq!(publishes(&sent[2..]), [(FIRST + 2, true, "3".to_owned())]);
    // No place of this connection is theirs.
    let one = [(PropertyId::ReceiveMaximum, Value::U16(1))];
    session.handle_input(0, Input::Closed);
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &one));
    assert_eq!((sent.len(), session.in_flight_here()), (3, 1));
    give(&mut session, &[Packet::PubComp(ack(FIRST + 1)), Packet::PubComp(ack(FIRST))]);
    assert_eq!(session.in_flight_here(), 1, "the message that was resent");
    let (sent, events) = give(&mut session, &[Packet::PubRec(ack(FIRST + 2))]);
    assert_eq!((sent, acked(&events)), (vec![pubrel(FIRST + 2)], vec![(3, OK)]));
}

#[test]
fn a_hub_that_lost_the_session_is_owed_nothing() {
    let mut session = open_client(10);
    session.publish(0, Token(1), &exactly("x")).unwrap();
    session.publish(0, Token(2), &exactly("y")).unwrap();
    drain(&mut session);
    give(&mut session, &[Packet::PubRec(ack(FIRST))]);
    session.handle_input(0, Input::Closed);
    let (mut session, sent, events) = client(Some(session.into_resume()), &connack(false, &[]));
    assert!(sent.is_empty(), "{sent:?}");
    let [Event::Connected(ref connected)] = events[..] else { panic!("{events:?}") };
    let edge_bridge::session::SessionOutcome::Lost(ref lost) = connected.session else { panic!() };
    assert_eq!(lost.iter().map(|message| message.token.0).collect::<Vec<_>>(), [2]);
    session.publish(0, Token(3), &exactly("z")).unwrap();
    assert_eq!(drain(&mut session).0.len(), 1, "no identifier is unknown");
}

/// The hub may still hold identifiers of the process before: it would take a new message under one of them for a repeat and drop it.
#[test]
fn promise_4_after_a_restart_identifiers_are_released_before_one_is_used() {
    let (mut session, sent, _) = client(None, &connack(true, &[]));
    assert!(sent.is_empty(), "nothing is sent for it before there is such a message");
    session.publish(0, Token(1), &message("a", "QoS 1 does not wait")).unwrap();
    assert_eq!(publishes(&drain(&mut session).0).len(), 1);
    assert!(matches!(session.publish(0, Token(2), &exactly("x")), Err(PublishError::WindowFull { .. })));
    let all: Vec<_> = (FIRST..=u16::MAX).map(pubrel).collect();
    assert_eq!(drain(&mut session).0, all);
    // With or without a message under it.
    let unknown = Ack::new(PacketId::new(FIRST).unwrap(), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
    let (_, events) = give(&mut session, &[Packet::PubComp(unknown), Packet::PubComp(ack(FIRST + 1))]);
    assert!(
        matches!(events[..], [Event::Completed { .. }, Event::Completed { .. }]),
        "there may be room: {events:?}"
    );
    for (n, fits) in [true, true, false].into_iter().enumerate() {
        assert_eq!(session.publish(0, Token(n as u64), &exactly("x")).is_ok(), fits, "{n}");
    }
    drain(&mut session);
    // What was not answered is released again on the next connection, before what is in flight there.
    session.handle_input(0, Input::Closed);
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!(sent[..254], all[2..]);
    assert_eq!(publishes(&sent[254..]).len(), 3);
}

/// Paho's C client logs such a PUBREL and says nothing.
#[test]
fn a_peer_that_ignores_what_it_does_not_know_is_waited_for_until_it_has_it_and_five_seconds() {
    let (mut session, ..) = client(None, &connack(true, &[]));
    assert!(session.publish(0, Token(1), &exactly("x")).is_err());
    drain(&mut session);
    let due_ms = session.next_deadline().unwrap();
    assert_eq!(due_ms, 5_000);
    session.handle_timeout(due_ms);
    let (sent, events) = drain(&mut session);
    assert!(sent == [Packet::PingReq] && events.is_empty(), "it may not have arrived: {sent:?}");
    session.handle_timeout(due_ms + 1_000);
    assert!(session.publish(due_ms + 1_000, Token(1), &exactly("x")).is_err());
    give(&mut session, &[Packet::PingResp]);
    let due_ms = due_ms + 2_000;
    session.handle_timeout(due_ms);
    assert!(matches!(drain(&mut session).1[..], [Event::Completed { by_peer: false, token: None }]));
    session.publish(due_ms, Token(1), &exactly("x")).unwrap();
    drain(&mut session);
    // A PUBREL of this connection has its answer to come, however long it takes.
    give(&mut session, &[Packet::PubRec(ack(FIRST))]);
    session.handle_timeout(60_000);
    assert_eq!(session.in_flight_here(), 1);
    session.handle_input(60_000, Input::Closed);
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!(sent, [pubrel(FIRST)], "one that was lost with the line is no longer waited for than that");
    session.handle_timeout(5_000);
    session.publish(5_000, Token(2), &message("a", "behind it")).unwrap();
    session.handle_input(5_000, Input::Closed);
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert_eq!(sent[0], pubrel(FIRST), "it may have been lost with the connection");
    session.handle_timeout(5_000);
    give(&mut session, &[puback(1, OK)]);
    session.handle_timeout(6_000);
    session.handle_input(6_000, Input::Closed);
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert!(sent.is_empty(), "what was written behind it was answered: {sent:?}");
}

/// The peer may have it, and would take the next one under its identifier for a repeat.
#[test]
fn promise_4_what_is_given_up_without_an_answer_is_released() {
    let left = || {
        let mut session = open_client(10);
        session.publish(0, Token(1), &exactly("poison")).unwrap();
        session.publish(0, Token(2), &exactly(&"x".repeat(100))).unwrap();
        drain(&mut session);
        session.handle_input(0, Input::Closed);
        session.into_resume()
    };
    let mut resume = left();
    resume.forget(Token(1));
    let (_, sent, _) = client(Some(resume), &connack(true, &[]));
    assert_eq!((&sent[0], sent.len()), (&pubrel(FIRST), 2));
    let small = [(PropertyId::MaximumPacketSize, Value::U32(50))];
    let (mut session, sent, events) = client(Some(left()), &connack(true, &small));
    assert!(events.iter().any(|event| matches!(event, Event::Unsendable { token: Token(2), .. })));
    assert_eq!(publishes(&sent).len(), 1);
    give(&mut session, &[Packet::PubRec(ack(FIRST))]);
    session.handle_input(0, Input::Closed);
    let (_, sent, _) = client(Some(session.into_resume()), &connack(true, &[]));
    assert!(sent.contains(&pubrel(FIRST + 1)), "{sent:?}");
}

/// Its PUBLISH is on the way once more: released meanwhile, it would be a new message.
#[test]
fn a_pubrec_for_a_message_that_waits_to_be_resent_is_not_answered() {
    let mut session = open_client(10);
    session.publish(0, Token(1), &exactly("x")).unwrap();
    session.publish(0, Token(2), &exactly("y")).unwrap();
    session.handle_input(0, Input::Closed);
    drain(&mut session);
    let one = [(PropertyId::ReceiveMaximum, Value::U16(1))];
    let (mut session, ..) = client(Some(session.into_resume()), &connack(true, &one));
    let (sent, events) = give(&mut session, &[Packet::PubRec(ack(FIRST + 1))]);
    assert_eq!((sent.len(), events.len(), session.in_flight()), (0, 0, 2));
}

#[test]
fn no_more_are_uncompleted_than_there_are_identifiers() {
    let mut session = open_client(u16::MAX);
    for n in 0..256 {
        session.publish(0, Token(n), &exactly("x")).unwrap();
    }
    assert!(matches!(session.publish(0, Token(256), &exactly("x")), Err(PublishError::WindowFull { .. })));
    session.publish(0, Token(257), &message("a", "QoS 1 has its own")).unwrap();
    drain(&mut session);
    give(&mut session, &[Packet::PubRec(ack(FIRST + 9))]);
    assert!(session.publish(0, Token(256), &exactly("x")).is_err(), "not completed");
    give(&mut session, &[Packet::PubComp(ack(FIRST + 9))]);
    session.publish(0, Token(256), &exactly("x")).unwrap();
    let sent = drain(&mut session).0;
    assert_eq!(publishes(&sent), [(FIRST + 9, false, "x".to_owned())]);
}

/// Another server of the cluster, or one with another configuration.
#[test]
fn a_hub_that_takes_no_qos_2_any_more_gets_what_is_in_flight_at_qos_1() {
    let mut session = open_client(10);
    session.publish(0, Token(1), &exactly("x")).unwrap();
    session.handle_input(0, Input::Closed);
    drain(&mut session);
    let limits = [(PropertyId::MaximumQoS, Value::Byte(1))];
    let (mut session, sent, _) = client(Some(session.into_resume()), &connack(true, &limits));
    let [Packet::Publish(ref publish)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!((publish.qos, publish.dup), (QoS::AtLeastOnce, true));
    let maximum = QoS::AtLeastOnce;
    assert_eq!(session.publish(0, Token(2), &exactly("y")), Err(PublishError::QosNotSupported { maximum }));
    let (sent, events) = give(&mut session, &[puback(FIRST, OK)]);
    assert_eq!(acked(&events), [(1, OK)]);
    assert_eq!(sent, [pubrel(FIRST)], "the hub may hold it from when it was sent at QoS 2");
}

#[test]
fn a_subscription_at_qos_2_is_asked_for_and_granted_as_it_is() {
    let mut session = open_client(10);
    let id = session.subscribe(0, vec![Subscription::new(text("a"), QoS::ExactlyOnce)]).unwrap();
    let (sent, _) = drain(&mut session);
    let [Packet::Subscribe(ref subscribe)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!((subscribe.packet_id, subscribe.filters[0].qos), (id, QoS::ExactlyOnce));
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[Packet::Subscribe(subscribe.clone())]);
    assert!(matches!(events[..], [Event::Subscribe(ref asked)] if asked == subscribe));
    session.suback(0, id, vec![ReasonCode::GRANTED_QOS_2]);
    let (sent, _) = drain(&mut session);
    assert!(matches!(sent[..], [Packet::SubAck(ref ack)] if ack.reasons == [ReasonCode::GRANTED_QOS_2]));
}
