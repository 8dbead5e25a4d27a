//! Several addresses of one hub, step by step, without a network: failover, what is known of a session elsewhere, and the way back. Promises 4, 5, 9.

use crate::link_support::*;
use bytes::BytesMut;
use edge_bridge::bridge::Input;
use edge_bridge::wire::{self, ConnAck, Disconnect, Packet, Properties, QoS, ReasonCode, SubAck, Version};

/// Longest delay before a dial in the same round.
const AT_ONCE_MS: u64 = 250;
const SECOND: u64 = 1_000;

fn link_to(addresses: usize) -> Link {
    Link::with(|config| config.addresses = addresses)
}

fn fail(link: &mut Link) {
    link.input(Input::DialFailed("refused".to_owned()));
}

/// Acknowledges the one message on its way; returns its payload.
fn take(link: &mut Link) -> String {
    let sent = link.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    link.answer(sent[0].packet_id.unwrap().get(), ReasonCode::SUCCESS);
    payloads(&sent)[0].to_owned()
}

fn refuse(link: &mut Link, reason: ReasonCode) {
    link.input(Input::Dialed);
    link.receive(&Packet::ConnAck(ConnAck {
        session_present: false,
        reason,
        properties: Properties::default(),
    }));
}

/// Lets time pass, without an answer of the hub but to pings, until something is dialled.
fn until_dialed(link: &mut Link, within_ms: u64) {
    let (before, end_ms) = (link.dialed, link.now_ms + within_ms);
    while link.dialed == before {
        link.now_ms = link.core.next_deadline().filter(|ms| *ms <= end_ms).expect("a dial");
        link.timeout();
        if link.packets.drain(..).any(|packet| matches!(packet, Packet::PingReq)) {
            link.receive(&Packet::PingResp);
        }
    }
}

#[test]
fn a_round_is_over_in_a_moment_and_rounds_become_rarer() {
    let mut link = link_to(3);
    let mut waits = Vec::new();
    for _ in 0..18 {
        fail(&mut link);
        waits.push((link.redial(), link.address));
    }
    for (n, (wait_ms, address)) in waits.iter().enumerate() {
        assert_eq!(*address, (n + 1) % 3);
        assert!(*address == 0 || *wait_ms <= AT_ONCE_MS, "{waits:?}");
    }
    let rounds: Vec<_> = waits.iter().filter(|(_, address)| *address == 0).map(|(ms, _)| *ms).collect();
    assert!(rounds.last().unwrap() >= &1_500, "half of 3 s at least: {rounds:?}");
}

#[test]
fn whatever_the_reason_of_a_refusal_the_next_address_is_asked_at_once() {
    for reason in [
        ReasonCode::USE_ANOTHER_SERVER,
        ReasonCode::SERVER_MOVED,
        ReasonCode::SERVER_BUSY,
        ReasonCode::SERVER_UNAVAILABLE,
        ReasonCode::NOT_AUTHORIZED,
        ReasonCode::QUOTA_EXCEEDED,
    ] {
        let mut link = link_to(2);
        refuse(&mut link, reason);
        let wait_ms = link.redial();
        assert!(wait_ms <= AT_ONCE_MS && link.address == 1, "{reason}: {wait_ms} ms to {}", link.address);
    }
    let mut link = link_to(2);
    link.connect(false, &[]);
    link.receive(&Packet::Disconnect(Disconnect::new(ReasonCode::SERVER_SHUTTING_DOWN)));
    assert!(link.redial() <= AT_ONCE_MS);
    assert_eq!(link.address, 1);
}

/// A node in a minority takes messages, answers pings and never acknowledges.
#[test]
fn an_address_that_acknowledges_nothing_is_left_and_its_messages_go_to_the_next() {
    let mut link = link_to(2);
    link.connect(false, &[]);
    link.push("a");
    assert_eq!(payloads(&link.sent()), ["a"]);
    until_dialed(&mut link, 120 * SECOND);
    assert_eq!(link.address, 1);
    link.connect(false, &[]);
    assert_eq!(take(&mut link), "a");
    assert_eq!(link.core.spool().len(), 0);
}

/// The same of one that took messages before.
#[test]
fn one_that_worked_until_it_acknowledged_no_more_is_left_too() {
    let mut link = link_to(2);
    link.connect(false, &[]);
    link.push("a");
    take(&mut link);
    link.push("b");
    assert_eq!(payloads(&link.sent()), ["b"]);
    until_dialed(&mut link, 120 * SECOND);
    assert_eq!(link.address, 1);
}

#[test]
fn a_connection_that_worked_is_dialed_again_at_the_first_address() {
    let mut link = link_to(2);
    fail(&mut link);
    link.redial();
    link.connect(false, &[]);
    link.push("a");
    take(&mut link);
    link.input(Input::HungUp(None));
    link.redial();
    assert_eq!(link.address, 0);
}

fn subscribed(link: &mut Link) -> bool {
    let asked = link.packets.drain(..).find_map(|packet| match packet {
        Packet::Subscribe(subscribe) => Some(subscribe.packet_id),
        _ => None,
    });
    if let Some(packet_id) = asked {
        let reasons = vec![ReasonCode::GRANTED_QOS_1];
        link.receive(&Packet::SubAck(SubAck { packet_id, properties: Properties::default(), reasons }));
    }
    asked.is_some()
}

/// A hub that is no cluster may have a session of ours of last year, which knows nothing of this year's subscriptions.
#[test]
fn subscriptions_are_made_again_in_a_session_at_another_address() {
    let mut link = link_to(2);
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    let mut asked = Vec::new();
    for end in [Some(ReasonCode::SERVER_BUSY), None, Some(ReasonCode::SERVER_BUSY), None] {
        link.connect(true, &[]);
        asked.push((link.address, subscribed(&mut link)));
        match end {
            Some(reason) => link.receive(&Packet::Disconnect(Disconnect::new(reason))),
            None => {
                // It did its work: the first is next, and there it is asked again.
                link.push("a");
                take(&mut link);
                link.input(Input::HungUp(None));
            }
        }
        link.redial();
    }
    assert_eq!(asked, [(0, true), (1, true), (0, true), (1, true)]);
    let mut link = link_to(2);
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[]);
    assert!(subscribed(&mut link));
    link.push("a");
    take(&mut link);
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert_eq!((link.address, subscribed(&mut link)), (0, false), "a resumed session is not asked again");
}

/// The hub may have lost its session and made a new one for the CONNECT to which no answer came. A refusal after that says nothing of it.
#[test]
fn subscriptions_are_made_again_after_a_connect_without_an_answer() {
    for refused in [false, true] {
        let mut link = link_to(1);
        link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
        link.connect(false, &[]);
        assert!(subscribed(&mut link));
        link.input(Input::HungUp(None));
        link.redial();
        link.input(Input::Dialed);
        link.input(Input::HungUp(None));
        link.redial();
        if refused {
            link.input(Input::Dialed);
            let (reason, properties) = (ReasonCode::SERVER_BUSY, Properties::default());
            link.receive(&Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
            link.redial();
        }
        link.connect(true, &[]);
        assert!(subscribed(&mut link), "{refused}");
    }
}

#[test]
fn a_version_is_learned_for_each_address() {
    let mut link = Link::with(|config| (config.addresses, config.any_version) = (2, true));
    refuse(&mut link, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    let wait_ms = link.redial();
    assert!(wait_ms <= AT_ONCE_MS && link.address == 0, "{wait_ms} ms to {}", link.address);
    let spoken = |link: &Link| {
        link.packets.iter().rev().find_map(|packet| match packet {
            Packet::Connect(connect) => Some(connect.version),
            _ => None,
        })
    };
    link.input(Input::Dialed);
    assert_eq!(spoken(&link), Some(Version::V311));
    let mut refusal = BytesMut::new();
    wire::encode(
        &Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::SERVER_UNAVAILABLE,
            properties: Properties::default(),
        }),
        Version::V311,
        &mut refusal,
    )
    .unwrap();
    link.input(Input::Bytes(&mut refusal));
    link.redial();
    assert_eq!(link.address, 1);
    link.input(Input::Dialed);
    assert_eq!(spoken(&link), Some(Version::V5));
}

fn on_the_second(failback: bool) -> Link {
    let mut link = Link::with(|config| (config.addresses, config.failback) = (2, failback));
    fail(&mut link);
    link.redial();
    link.connect(false, &[]);
    link
}

fn wait(link: &mut Link, until_ms: u64) {
    while let Some(ms) = link.core.next_deadline().filter(|ms| *ms <= until_ms) {
        link.now_ms = ms;
        link.timeout();
        if link.packets.iter().any(|packet| matches!(packet, Packet::PingReq)) {
            link.receive(&Packet::PingResp);
        }
    }
    link.now_ms = until_ms;
}

/// Left with a word, and for the will: what the second hub says of us is that we are gone.
#[test]
fn the_first_address_is_gone_back_to_when_it_is_there_again() {
    let mut link = on_the_second(true);
    let since_ms = link.now_ms;
    wait(&mut link, since_ms + 29_999);
    assert!(link.probed.is_empty());
    wait(&mut link, since_ms + 30_000);
    assert_eq!(link.probed, [0]);
    link.input(Input::Probed { is_reachable: false });
    wait(&mut link, since_ms + 90_000);
    assert_eq!(link.probed, [0, 0]);
    assert_eq!((link.hangups, link.dialed), (0, 2), "the connection goes on meanwhile");
    link.packets.clear();
    link.input(Input::Probed { is_reachable: true });
    assert_eq!(link.packets, [Packet::Disconnect(Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL))]);
    assert_eq!(link.hangups, 1);
    assert!(link.redial() <= AT_ONCE_MS);
    assert_eq!(link.address, 0);
}

/// A message without its PUBACK would come twice.
#[test]
fn a_connection_is_left_between_two_messages() {
    let mut link = on_the_second(true);
    let since_ms = link.now_ms;
    wait(&mut link, since_ms + 30_000);
    link.push("a");
    let id = link.sent().first().and_then(|publish| publish.packet_id).unwrap();
    link.input(Input::Probed { is_reachable: true });
    link.now_ms += 3 * SECOND;
    link.timeout();
    assert_eq!(link.hangups, 0);
    link.answer(id.get(), ReasonCode::SUCCESS);
    assert_eq!((link.hangups, link.core.spool().len()), (1, 0));
    link.redial();
    assert_eq!(link.address, 0);
}

#[test]
fn without_failback_it_stays() {
    let mut link = on_the_second(false);
    wait(&mut link, 10_000 * SECOND);
    assert!(link.probed.is_empty() && link.hangups == 0);
    link.push("a");
    take(&mut link);
    link.input(Input::HungUp(None));
    link.redial();
    assert_eq!(link.address, 1);
}
