//! A connection that works and is replaced by another one to the same address, step by step, without a network. Promises 1, 4.

use crate::link_support::*;
use bytes::Bytes;
use edge_bridge::bridge::{Event, Input};
use edge_bridge::wire::{Disconnect, Packet, PacketId, Properties, Publish, QoS, ReasonCode};

/// Longest delay before the dial that follows.
const AT_ONCE_MS: u64 = 250;
const WITHIN_MS: u64 = 10_000;

fn replace(link: &mut Link) {
    link.core.replace_connection(at(link.now_ms), WITHIN_MS, "wanted");
    link.drain();
}

fn connected() -> Link {
    let mut link = Link::with(|config| config.addresses = 2);
    link.input(Input::DialFailed("refused".to_owned()));
    link.redial();
    link.connect(false, &[]);
    link.packets.clear();
    link
}

/// Asks for no will, and stays at an address that is not the first.
#[test]
fn it_ends_at_once_where_nothing_is_on_its_way_and_the_same_address_is_dialled() {
    let mut link = connected();
    replace(&mut link);
    assert_eq!(link.packets, [Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))]);
    assert_eq!(link.hangups, 1);
    assert!(!link.core.has_given_up());
    let said = |event: &Event| matches!(event, Event::Disconnected { reason, .. } if reason == "wanted");
    assert!(link.events.iter().any(said), "{:?}", link.events);
    assert!(link.redial() <= AT_ONCE_MS);
    assert_eq!(link.address, 1);
    link.connect(true, &[]);
    assert_eq!(link.core.stats().sessions_lost, 0);
    link.now_ms += WITHIN_MS;
    link.timeout();
    assert_eq!(link.hangups, 1, "once");
}

/// A message without its PUBACK would come twice; one that is new waits for the next connection.
#[test]
fn it_ends_behind_what_is_on_its_way_and_before_anything_new() {
    let mut link = connected();
    link.push("a");
    let id = link.sent()[0].packet_id.unwrap().get();
    replace(&mut link);
    link.push("b");
    assert!(link.packets.is_empty());
    assert_eq!(link.hangups, 0);
    link.answer(id, ReasonCode::SUCCESS);
    assert_eq!(link.packets, [Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))]);
    link.redial();
    link.connect(true, &[]);
    let sent = link.sent();
    assert_eq!((payloads(&sent), sent[0].dup), (vec!["b"], false));
    link.answer(sent[0].packet_id.unwrap().get(), ReasonCode::SUCCESS);
    assert!(link.core.is_drained());
}

#[test]
fn it_waits_for_an_answer_no_longer_than_it_is_told_to() {
    let mut link = connected();
    link.push("a");
    let id = link.sent()[0].packet_id.unwrap();
    let until_ms = link.now_ms + WITHIN_MS;
    replace(&mut link);
    while let Some(ms) = link.core.next_deadline().filter(|ms| *ms <= until_ms && link.hangups == 0) {
        assert!(ms > link.now_ms, "a date in the past");
        link.now_ms = ms;
        link.timeout();
        if link.packets.iter().any(|packet| matches!(packet, Packet::PingReq)) {
            link.packets.clear();
            link.receive(&Packet::PingResp);
        }
    }
    assert_eq!((link.now_ms, link.hangups, link.core.stats().stalls), (until_ms, 1, 0));
    link.redial();
    link.connect(true, &[]);
    let sent = link.sent();
    assert_eq!((payloads(&sent), sent[0].dup, sent[0].packet_id), (vec!["a"], true, Some(id)));
}

/// A link that is to be closed sends what it has, and needs no other connection for that.
#[test]
fn one_that_is_to_stay_after_all_sends_what_waits() {
    let mut link = connected();
    link.push("a");
    let id = link.sent()[0].packet_id.unwrap().get();
    replace(&mut link);
    link.push("b");
    assert!(link.packets.is_empty());
    link.core.keep_connection(at(link.now_ms));
    link.drain();
    assert_eq!(payloads(&link.sent()), ["b"]);
    link.now_ms += WITHIN_MS;
    link.timeout();
    link.answer(id, ReasonCode::SUCCESS);
    assert_eq!(link.hangups, 0);
    // One that has ended does not come back.
    let mut link = connected();
    replace(&mut link);
    link.core.keep_connection(at(link.now_ms));
    link.drain();
    assert_eq!(link.hangups, 1);
    assert!(link.redial() <= AT_ONCE_MS);
}

/// A command that is being carried out would come again.
#[test]
fn it_ends_behind_what_the_application_has_not_answered() {
    let mut link = connected();
    link.receive(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text("cmd/a"),
        packet_id: PacketId::new(7),
        properties: Properties::default(),
        payload: Bytes::from_static(b"open"),
    }));
    let Some(Event::Message { ack: Some(ack), .. }) = link.events.pop() else { panic!("{:?}", link.events) };
    replace(&mut link);
    assert_eq!(link.hangups, 0);
    link.core.ack(at(link.now_ms), ack, ReasonCode::SUCCESS).unwrap();
    link.drain();
    assert_eq!(link.hangups, 1);
    assert!(matches!(link.packets[..], [Packet::PubAck(_), Packet::Disconnect(_)]), "{:?}", link.packets);
}

/// One that is not there yet is another one anyway.
#[test]
fn one_that_the_hub_has_not_accepted_goes_on() {
    let mut link = Link::new();
    replace(&mut link);
    link.input(Input::Dialed);
    replace(&mut link);
    link.receive(&connack(false, &[]));
    assert_eq!((link.hangups, link.dialed), (0, 1));
    link.push("a");
    assert_eq!(link.sent().len(), 1);
}
