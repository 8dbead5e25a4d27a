//! Requests, answers to them, and the identifiers that they share with messages.

use edge_bridge::session::{ClientConfig, Closed, Event, RequestError, Session, Token, Violation};
use edge_bridge::wire::{
    Packet, PacketId, PacketType, Properties, QoS, ReasonCode, RetainHandling, SubAck, Subscription,
    UnsubAck, Version,
};

use crate::handshake::{client_311, unexpected};
use crate::session_support::*;

pub(crate) fn suback(id: PacketId, count: usize) -> Packet {
    let reasons = vec![ReasonCode::GRANTED_QOS_1; count];
    Packet::SubAck(SubAck { packet_id: id, properties: Properties::default(), reasons })
}

pub(crate) fn unsuback(id: PacketId, count: usize) -> Packet {
    let reasons = vec![ReasonCode::SUCCESS; count];
    Packet::UnsubAck(UnsubAck { packet_id: id, properties: Properties::default(), reasons })
}

pub(crate) fn filter() -> Vec<Subscription> {
    vec![Subscription::new(text("cmd/#"), QoS::AtLeastOnce)]
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
    for id in 2..=65_279 {
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
fn an_identifier_in_use_means_a_repeat_or_a_violation() {
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[incoming(1, "a"), incoming(1, "b")]);
    assert!(matches!(events[1..], [Event::Closed(Closed::Violation(Violation::PacketIdInUse))]));
    let (mut session, _) = server(Version::V5, 1, None);
    let (_, events) = give(&mut session, &[incoming(1, "a")]);
    session.ack(0, handle(&events)[0], ReasonCode::SUCCESS).unwrap();
    assert_eq!(handle(&give(&mut session, &[incoming(1, "b")]).1).len(), 1, "it is free again");
}
