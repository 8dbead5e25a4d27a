//! Rows of QoS 2 on the link: kept until PUBCOMP, lowered for a hub that takes no more, and never taken for a repeat at another address.

use crate::link_support::*;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::bridge::{Event, Input, UplinkEvent};
use edge_bridge::session::AckHandle;
use edge_bridge::wire::{Ack, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, Value};

/// First identifier for messages of QoS 2.
const FIRST: u16 = 65_280;

fn push(link: &mut Link, payload: &'static str) {
    let mut row = Row::new(text("plant/1"), payload.into());
    row.qos = QoS::ExactlyOnce;
    link.push_row(row);
}

fn ack(id: u16) -> Ack {
    Ack::success(PacketId::new(id).unwrap())
}

/// Packets sent since the last call: `=ID` for a PUBREL, else the payload.
fn said(link: &mut Link) -> Vec<String> {
    let said = link.packets.drain(..).filter_map(|packet| match packet {
        Packet::PubRel(release) => Some(format!("={}", release.packet_id.get() - FIRST)),
        Packet::Publish(Publish { payload, qos: QoS::ExactlyOnce, .. }) => {
            Some(String::from_utf8(payload.to_vec()).unwrap())
        }
        _ => None,
    });
    said.collect()
}

#[test]
fn a_row_leaves_the_spool_with_its_pubcomp_and_is_resent_until_its_pubrec() {
    let mut link = Link::new();
    link.connect(false, &[]);
    push(&mut link, "a");
    push(&mut link, "b");
    assert_eq!(said(&mut link), ["a", "b"]);
    link.receive(&Packet::PubRec(ack(FIRST)));
    assert_eq!((said(&mut link), link.core.spool().len()), (vec!["=0".to_owned()], 2));
    assert_eq!(link.core.stats().acknowledged, 0);
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert_eq!(said(&mut link), ["=0", "b"], "at the same server: the session is what it was");
    link.receive(&Packet::PubComp(ack(FIRST)));
    assert_eq!((link.core.spool().len(), link.core.stats().acknowledged), (1, 1));
    link.receive(&Packet::PubRec(ack(FIRST + 1)));
    assert_eq!(link.core.spool().len(), 1);
    link.receive(&Packet::PubComp(ack(FIRST + 1)));
    assert_eq!((link.core.spool().len(), link.core.stats().rows_delivered), (0, 2));
}

/// It may have held them back until PUBREL, as Mosquitto does.
#[test]
fn promise_4_what_a_lost_session_had_not_completed_is_sent_again_before_what_is_younger() {
    let mut link = Link::new();
    link.connect(false, &[]);
    ["a", "b", "c"].into_iter().for_each(|payload| push(&mut link, payload));
    link.receive(&Packet::PubRec(ack(FIRST)));
    link.receive(&Packet::PubRec(ack(FIRST + 1)));
    link.receive(&Packet::PubComp(ack(FIRST + 1)));
    assert_eq!(said(&mut link), ["a", "b", "c", "=0", "=1"]);
    push(&mut link, "d");
    link.input(Input::HungUp(None));
    link.redial();
    said(&mut link);
    link.connect(false, &[]);
    assert_eq!(said(&mut link), ["a", "c", "d"]);
    let is_lost = |event: &Event| matches!(event, Event::SessionLost { republished: 3 });
    assert!(link.events.iter().any(is_lost), "{:?}", link.events);
    assert_eq!(link.core.spool().len(), 3);
    for id in [FIRST + 4, FIRST + 5, FIRST + 6] {
        link.receive(&Packet::PubRec(ack(id)));
        link.receive(&Packet::PubComp(ack(id)));
    }
    assert_eq!((link.core.spool().len(), link.core.stats().rows_delivered), (0, 4));
}

fn not_found(id: u16) -> Packet {
    Packet::PubComp(Ack::new(PacketId::new(id).unwrap(), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND))
}

/// A hub that accepts a message and at its PUBREL, on the same connection, does not know it has lost it.
#[test]
fn promise_4_what_the_hub_forgot_before_its_pubrel_is_sent_again_at_once_and_then_alone() {
    let mut link = Link::new();
    link.connect(false, &[]);
    push(&mut link, "a");
    link.receive(&Packet::PubRec(ack(FIRST)));
    assert_eq!(said(&mut link), ["a", "=0"]);
    link.receive(&not_found(FIRST));
    assert_eq!((said(&mut link), link.core.spool().len()), (vec!["a".to_owned()], 1));
    let stats = link.core.stats();
    assert_eq!(
        (stats.acknowledged, stats.refusals[..].first()),
        (0, Some(&(ReasonCode::PACKET_IDENTIFIER_NOT_FOUND, 1)))
    );
    let is_told = |event: &Event| matches!(event, Event::Uplink(UplinkEvent::Parked(_)));
    assert_eq!(link.events.iter().filter(|event| is_told(event)).count(), 1);
    // A hub that does it again is not asked again at once.
    link.receive(&Packet::PubRec(ack(FIRST + 1)));
    link.receive(&not_found(FIRST + 1));
    push(&mut link, "b");
    assert_eq!(said(&mut link), ["=1", "b"], "others do not wait for it");
    link.receive(&Packet::PubRec(ack(FIRST + 2)));
    link.receive(&Packet::PubComp(ack(FIRST + 2)));
    assert_eq!((said(&mut link), link.core.spool().len()), (vec!["=2".to_owned()], 1));
    link.now_ms = link.core.next_deadline().unwrap();
    link.timeout();
    assert_eq!(said(&mut link), ["a"]);
    link.receive(&Packet::PubRec(ack(FIRST + 3)));
    link.receive(&Packet::PubComp(ack(FIRST + 3)));
    assert_eq!((link.core.spool().len(), link.core.stats().rows_delivered), (0, 2));
}

/// It may have completed it, and the PUBCOMP was lost with the connection.
#[test]
fn what_the_hub_may_have_completed_on_an_earlier_connection_is_done() {
    let mut link = Link::new();
    link.connect(false, &[]);
    push(&mut link, "a");
    link.receive(&Packet::PubRec(ack(FIRST)));
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert_eq!(said(&mut link), ["a", "=0", "=0"]);
    link.receive(&not_found(FIRST));
    assert_eq!((said(&mut link), link.core.spool().len()), (vec![], 0));
}

#[test]
fn a_stop_gives_back_what_is_not_completed() {
    let mut link = Link::new();
    link.connect(false, &[]);
    push(&mut link, "a");
    link.receive(&Packet::PubRec(ack(FIRST)));
    assert_eq!((link.core.spool().len(), link.core.spool().waiting()), (1, 0));
    link.core.stop(at(link.now_ms));
    assert_eq!((link.core.spool().len(), link.core.spool().waiting()), (1, 1));
}

/// After ten connections that ended at its PUBREL nobody knows whether the hub has it.
#[test]
fn promise_4_what_is_never_completed_is_sent_again() {
    let mut link = Link::new();
    link.connect(false, &[]);
    push(&mut link, "a");
    link.receive(&Packet::PubRec(ack(FIRST)));
    assert_eq!(said(&mut link), ["a", "=0"]);
    for _ in 0..10 {
        link.input(Input::HungUp(None));
        link.redial();
        link.connect(true, &[]);
        assert_eq!(said(&mut link), ["=0"]);
    }
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert_eq!(said(&mut link), ["a"]);
    link.receive(&Packet::PubRec(ack(FIRST + 1)));
    link.receive(&Packet::PubComp(ack(FIRST + 1)));
    assert_eq!(link.core.spool().len(), 0);
}

#[test]
fn a_hub_without_qos_2_gets_qos_1_and_it_is_told_once() {
    let mut link = Link::new();
    link.connect(false, &[(PropertyId::MaximumQoS, Value::Byte(1))]);
    push(&mut link, "a");
    push(&mut link, "b");
    let sent = link.sent();
    assert_eq!(sent.iter().map(|publish| publish.qos).collect::<Vec<_>>(), [QoS::AtLeastOnce; 2]);
    let lowered = |event: &&Event| matches!(event, Event::Uplink(UplinkEvent::QosLowered));
    assert_eq!(link.events.iter().filter(lowered).count(), 1);
}

/// A server that is no cluster of the last one may hold these identifiers from another time.
#[test]
fn promise_4_at_another_address_identifiers_are_released_before_they_are_used() {
    let mut link = Link::with(|config| config.addresses = 2);
    link.connect(false, &[]);
    push(&mut link, "a");
    push(&mut link, "b");
    link.receive(&Packet::PubRec(ack(FIRST)));
    said(&mut link);
    link.input(Input::HungUp(None));
    link.redial();
    if link.address == 0 {
        // It had worked, so that it is asked first.
        link.input(Input::DialFailed("refused".to_owned()));
        link.redial();
    }
    assert_eq!(link.address, 1);
    link.connect(true, &[]);
    let released = said(&mut link);
    assert_eq!((released.len(), released[0].as_str(), released[255].as_str()), (256, "=2", "=1"));
    link.receive(&Packet::PubComp(ack(FIRST + 9)));
    assert_eq!(said(&mut link), ["a"], "the other server may not have it");
    push(&mut link, "c");
    link.receive(&Packet::PubComp(ack(FIRST + 3)));
    link.receive(&Packet::PubComp(ack(FIRST + 4)));
    assert_eq!(said(&mut link), ["b", "c"]);
}

/// Without PUBCOMP the window fills up, and then nothing else could be noticed.
#[test]
fn promise_5_a_hub_that_completes_nothing_is_stalled() {
    let mut link = Link::new();
    link.connect(false, &[(PropertyId::ReceiveMaximum, Value::U16(1))]);
    push(&mut link, "a");
    link.receive(&Packet::PubRec(ack(FIRST)));
    push(&mut link, "b");
    assert_eq!(said(&mut link), ["a", "=0"]);
    let start_ms = link.now_ms;
    while link.hangups == 0 {
        link.now_ms = link.core.next_deadline().expect("a deadline");
        assert!(link.now_ms < start_ms + 60_000, "it is noticed within a minute");
        link.timeout();
        if link.packets.drain(..).any(|packet| matches!(packet, Packet::PingReq)) {
            link.receive(&Packet::PingResp);
        }
    }
    link.redial();
    link.connect(true, &[(PropertyId::ReceiveMaximum, Value::U16(1))]);
    assert_eq!(said(&mut link), ["=0", "b"]);
}

/// Messages from the hub on the last connection, with the mark of those that the application has.
fn arrived(link: &mut Link) -> Vec<(AckHandle, Option<AckHandle>)> {
    let arrived = link.events.drain(..).filter_map(|event| match event {
        Event::Message { ack, .. } => Some((ack.unwrap(), None)),
        Event::Repeated { ack, earlier, .. } => Some((ack, Some(earlier))),
        _ => None,
    });
    arrived.collect()
}

#[test]
fn a_message_that_the_application_has_comes_again_by_the_handle_of_its_last_copy() {
    let mut link = Link::new();
    link.connect(false, &[]);
    let from_hub = |dup: bool| {
        let qos = QoS::ExactlyOnce;
        Packet::Publish(Publish {
            dup,
            qos,
            retain: false,
            topic: text("cmd/a"),
            packet_id: PacketId::new(7),
            properties: Properties::default(),
            payload: "x".into(),
        })
    };
    link.receive(&from_hub(false));
    let [(first, None)] = arrived(&mut link)[..] else { panic!("one message") };
    let cut = |link: &mut Link| {
        link.input(Input::HungUp(None));
        link.redial();
        link.connect(true, &[]);
        link.packets.clear();
        link.receive(&from_hub(true));
        arrived(link)
    };
    // Nobody has it.
    let [(second, None)] = cut(&mut link)[..] else { panic!("one message") };
    link.core.take_in(second);
    let [(third, Some(earlier))] = cut(&mut link)[..] else { panic!("one repeat") };
    assert_eq!(earlier, second);
    let [(fourth, Some(earlier))] = cut(&mut link)[..] else { panic!("one repeat") };
    assert_eq!(earlier, third);
    let now = at(link.now_ms);
    for stale in [first, second, third] {
        assert!(link.core.may_come_again(stale) && link.core.ack(now, stale, ReasonCode::SUCCESS).is_err());
    }
    assert!(link.core.may_come_again(fourth));
    link.core.ack(now, fourth, ReasonCode::SUCCESS).unwrap();
    link.drain();
    assert!(matches!(link.packets[..], [Packet::PubRec(_)]) && !link.core.may_come_again(fourth));
    assert_eq!(cut(&mut link), [], "the session answers by itself");
}
