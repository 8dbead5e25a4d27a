//! Ends of connections and what a link tells of them in numbers, states and delays, step by step, without a network.

use crate::link_support::*;
use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::bridge::{Event, Input, LinkState, UplinkEvent};
use edge_bridge::wire::{Disconnect, Packet, PropertyId, QoS, ReasonCode, Value};

/// Longest delay before a dial while the message is looked for at which the hub closes.
const HURRIED_MS: u64 = 300;

fn hang_up(link: &mut Link) {
    link.input(Input::HungUp(None));
}

fn busy(link: &mut Link) {
    link.receive(&Packet::Disconnect(Disconnect::new(ReasonCode::SERVER_BUSY)));
}

/// Delays before the dials after so many connections that end without an answer to the message of the link.
fn delays(link: &mut Link, ends: usize, end: fn(&mut Link)) -> Vec<u64> {
    let delays = (0..ends).map(|n| {
        link.connect(n > 0, &[]);
        assert_eq!(link.sent().len(), 1, "end {n}");
        end(link);
        link.redial()
    });
    delays.collect()
}

fn last_end(link: &Link) -> String {
    let end = link.events.iter().rev().find_map(|event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    end.unwrap()
}

#[test]
fn the_message_at_which_the_hub_closes_is_found_in_a_hurry_and_told_at_once() {
    let mut link = Link::new();
    link.push("x");
    let waits = delays(&mut link, 3, hang_up);
    assert!(waits.iter().all(|ms| *ms <= HURRIED_MS), "{waits:?}");
    assert!(last_end(&link).contains("another client"), "three short connections in a row");
    link.events.clear();
    link.connect(true, &[]);
    link.packets.clear();
    hang_up(&mut link);
    let stats = link.core.stats();
    assert_eq!((stats.poison, stats.parked, stats.connects, stats.dials), (1, 1, 4, 4));
    assert!(link.events.iter().any(|event| matches!(event, Event::Uplink(UplinkEvent::Poison(_)))));
    assert!(!last_end(&link).contains("another client"), "the cause is known");
    // Nothing is on its way on the next one: its end speaks of no message.
    link.redial();
    link.connect(true, &[]);
    assert!(link.sent().is_empty());
    hang_up(&mut link);
    let wait = link.redial();
    assert!(wait > HURRIED_MS, "{wait}");
}

/// After twenty ends in a row without a success there is no hurry any more: the hub closes whatever it gets.
#[test]
fn the_hurry_ends() {
    let mut link = Link::new();
    (0..20).for_each(|n| link.push_row(Row::new(text(&format!("t/{n}")), Bytes::from_static(b"x"))));
    let mut waits = Vec::new();
    for _ in 0..24 {
        link.connect(true, &[]);
        hang_up(&mut link);
        waits.push(link.redial());
    }
    assert!(waits[..20].iter().all(|ms| *ms <= HURRIED_MS), "{waits:?}");
    assert!(waits[20..].iter().all(|ms| *ms > HURRIED_MS), "{waits:?}");
}

/// A reason that speaks of no message hurries nothing: a hub that is busy gets its time.
#[test]
fn an_end_for_another_reason_is_no_cause_to_hurry() {
    let mut link = Link::new();
    link.push("x");
    let waits = delays(&mut link, 5, busy);
    assert!(waits[2..].iter().all(|ms| *ms > HURRIED_MS), "{waits:?}");
}

/// A connection that this side ends says nothing of the message on its way.
#[test]
fn an_end_of_our_own_makes_no_poison() {
    let mut link = Link::new();
    link.push("x");
    delays(&mut link, 10, |link| {
        link.core.redial(at(link.now_ms), "wanted");
        link.drain();
    });
    assert_eq!(link.core.stats().poison, 0);
}

#[test]
fn a_link_is_offline_until_connack_and_its_connections_are_counted() {
    let mut link = Link::new();
    link.push("x");
    link.input(Input::Dialed);
    assert_eq!(link.core.link(), LinkState::Offline);
    link.receive(&connack(false, &[]));
    assert_eq!(link.core.link(), LinkState::Idle, "nothing was acknowledged here");
    let id = link.sent()[0].packet_id.unwrap().get();
    link.answer(id, ReasonCode::SUCCESS);
    link.push("y");
    assert_eq!(link.core.link(), LinkState::Flowing);
    hang_up(&mut link);
    assert!(link.core.stats().last_error.is_some());
    link.redial();
    link.connect(false, &[]);
    let stats = link.core.stats();
    assert_eq!((stats.connects, stats.sessions_lost, stats.sent, stats.resent), (2, 1, 3, 0));
    assert_eq!(stats.last_error, None, "no cause beside a link that is up");
    hang_up(&mut link);
    link.redial();
    link.connect(true, &[]);
    let stats = link.core.stats();
    assert_eq!((stats.connects, stats.sessions_lost, stats.sent, stats.resent), (3, 1, 3, 1));
}

/// A message of the session that the hub no longer takes is parked, and takes no room of those that it does.
#[test]
fn a_resumed_message_that_is_too_large_now_is_parked() {
    let mut link = Link::new();
    link.connect(false, &[]);
    link.push(&"x".repeat(300));
    link.push("small");
    hang_up(&mut link);
    link.redial();
    link.packets.clear();
    link.connect(true, &[(PropertyId::MaximumPacketSize, Value::U32(200))]);
    assert_eq!(payloads(&link.sent()), ["small"]);
    let stats = link.core.stats();
    assert_eq!((stats.parked, stats.unacknowledged), (1, 1));
    let parked = |event: &Event| matches!(event, Event::Uplink(UplinkEvent::Parked(refusal)) if refusal.reason == ReasonCode::PACKET_TOO_LARGE);
    assert!(link.events.iter().any(parked));
    assert_eq!(link.core.spool().parked(), 1);
}

/// A hub of QoS 0 serves subscriptions as long as there is nothing to deliver.
#[test]
fn a_hub_without_qos_1_is_left_only_by_a_link_with_messages() {
    let mut link = Link::new();
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[(PropertyId::MaximumQoS, Value::Byte(0))]);
    assert_eq!((link.core.link(), link.hangups), (LinkState::Idle, 0));
}

#[test]
fn a_hub_with_retain_gets_the_flag_and_one_without_is_told_at_its_first_message() {
    for (available, expected) in [(1, [true, false, false]), (0, [false; 3])] {
        let mut link = Link::new();
        link.connect(false, &[(PropertyId::RetainAvailable, Value::Byte(available))]);
        let mut said = Vec::new();
        for retain in [true, false, true] {
            let mut row = Row::new(text("plant/1"), Bytes::from_static(b"x"));
            row.retain = retain && said.len() < 2;
            link.push_row(row);
            said.push(
                link.events.iter().filter(|e| matches!(e, Event::Uplink(UplinkEvent::RetainCleared))).count(),
            );
        }
        assert_eq!(link.sent().iter().map(|publish| publish.retain).collect::<Vec<_>>(), expected);
        let once = usize::from(available == 0);
        assert_eq!(said, [once; 3]);
    }
}

/// A slow answer to a PINGREQ makes the next one come earlier, however quick the acknowledgements of messages are.
#[test]
fn a_slow_ping_leaves_the_next_one_more_time() {
    let mut link = Link::new();
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[]);
    for n in 0..20 {
        link.push("x");
        let id = link.sent()[0].packet_id.unwrap();
        link.now_ms += 10;
        link.answer(id.get(), ReasonCode::SUCCESS);
        assert_eq!(link.core.stats().acknowledged, n + 1);
    }
    let until_ping = |link: &mut Link| {
        let began_ms = link.now_ms;
        while !link.packets.contains(&Packet::PingReq) {
            link.now_ms = link.core.next_deadline().unwrap();
            link.timeout();
        }
        link.packets.clear();
        link.now_ms - began_ms
    };
    assert_eq!(until_ping(&mut link), 11_000);
    link.now_ms += 1_500;
    link.receive(&Packet::PingResp);
    assert_eq!(
        until_ping(&mut link),
        7_500,
        "of 15 s twice four times 1.5 s are left for answers, at most half"
    );
}

/// Mosquitto 2.0 with MQTT 5 closes after each message that it denies.
#[test]
fn a_hub_that_closes_after_a_refusal_is_no_sign_of_another_client() {
    let mut link = Link::new();
    for n in 0..6 {
        link.push("x");
        link.connect(n > 0, &[]);
        for publish in link.sent() {
            link.answer(publish.packet_id.unwrap().get(), ReasonCode::NOT_AUTHORIZED);
        }
        hang_up(&mut link);
        assert!(!last_end(&link).contains("another client"), "{n}: {}", last_end(&link));
        link.redial();
    }
    assert!(
        link.core.stats().refusals.iter().any(|(reason, count)| (reason.get(), *count > 2) == (0x87, true))
    );
}

/// It was: both clients of one name at full speed, each thrown out by the other within a second.
#[test]
fn after_a_takeover_the_other_client_is_left_alone_for_a_while() {
    let mut link = Link::with(|config| config.addresses = 2);
    let taken_over = |link: &mut Link| {
        link.receive(&Packet::Disconnect(Disconnect::new(ReasonCode::SESSION_TAKEN_OVER)));
    };
    let mut waits = Vec::new();
    for n in 0..8 {
        link.connect(n > 0, &[]);
        taken_over(&mut link);
        assert!(link.core.stats().taken_over && last_end(&link).contains("another client"));
        waits.push(link.redial());
        assert_eq!(link.address, 0, "who has the name has it everywhere");
    }
    assert!((15_000..=30_000).contains(&waits[0]) && waits[7] >= 300_000, "{waits:?}");
    assert!(waits.iter().all(|ms| *ms <= 600_000), "{waits:?}");
    // Alone for a minute.
    link.connect(true, &[]);
    let since_ms = link.now_ms;
    while link.core.stats().taken_over {
        for message in link.sent() {
            link.answer(message.packet_id.unwrap().get(), ReasonCode::SUCCESS);
        }
        link.now_ms = link.core.next_deadline().unwrap();
        link.timeout();
        link.receive(&Packet::PingResp);
    }
    assert_eq!(link.now_ms - since_ms, 60_000);
    taken_over(&mut link);
    assert!(link.redial() <= 30_000, "it begins anew");
}

/// The hub's answer to CONNECT after so many milliseconds.
fn connect_within(link: &mut Link, took_ms: u64) {
    link.input(Input::Dialed);
    link.now_ms += took_ms;
    link.receive(&connack(link.core.stats().connects > 0, &[]));
}

/// Sends a message on a link that is up, and answers it after so many milliseconds.
fn deliver_within(link: &mut Link, took_ms: u64) {
    link.push("x");
    let id = link.sent()[0].packet_id.unwrap().get();
    link.now_ms += took_ms;
    link.answer(id, ReasonCode::SUCCESS);
}

/// Exported as totals, which never fall: the bytes of a connection still count when it is over, and the next one's are added.
#[test]
fn promise_9_the_bytes_of_a_connection_count_after_its_end() {
    let mut link = Link::new();
    link.connect(false, &[]);
    deliver_within(&mut link, 0);
    let before = link.core.stats().traffic;
    assert!(before.payload > 0 && before.mqtt > 0, "{before:?}");
    hang_up(&mut link);
    assert_eq!(link.core.stats().traffic, before);
    link.redial();
    assert_eq!(link.core.stats().traffic, before);
    link.connect(true, &[]);
    let after = link.core.stats().traffic;
    assert_eq!((after.payload, after.ping, after.resend), (before.payload, before.ping, before.resend));
    assert!(after.mqtt > before.mqtt, "{after:?}");
}

/// Else each connection over a slow path would be taken for half-open before its first answer.
#[test]
fn promise_5_the_smoothed_round_trip_outlives_a_connection() {
    let mut link = Link::new();
    link.connect(false, &[]);
    deliver_within(&mut link, 800);
    let srtt_ms = link.core.stats().srtt_ms;
    assert_eq!(srtt_ms, 100, "an eighth of it, behind a CONNACK that came at once");
    hang_up(&mut link);
    assert_eq!(link.core.stats().srtt_ms, srtt_ms);
    link.redial();
    link.input(Input::Dialed);
    assert_eq!(link.core.stats().srtt_ms, srtt_ms);
}

/// The bound of promise 5 where the round trip is long: four of it without an answer, then two for that of a probe.
#[test]
fn promise_5_a_silence_of_four_round_trips_is_a_stall_and_a_shorter_one_is_none() {
    const SRTT_MS: u64 = 2_000;
    let mut link = Link::new();
    connect_within(&mut link, SRTT_MS);
    assert_eq!(link.core.stats().srtt_ms, SRTT_MS);
    link.push("x");
    link.packets.clear();
    let pushed_ms = link.now_ms;
    let run_until = |link: &mut Link, up_ms: u64| {
        while let Some(due_ms) = link.core.next_deadline().filter(|due_ms| *due_ms <= up_ms) {
            link.now_ms = due_ms;
            link.timeout();
        }
        link.now_ms = up_ms;
    };
    run_until(&mut link, pushed_ms + 4 * SRTT_MS - 1);
    assert!(link.core.link() != LinkState::Stalled && link.packets.is_empty(), "{:?}", link.packets);
    run_until(&mut link, pushed_ms + 4 * SRTT_MS);
    assert_eq!(link.core.link(), LinkState::Stalled);
    assert_eq!(link.packets, [Packet::PingReq]);
    run_until(&mut link, pushed_ms + 6 * SRTT_MS - 1);
    assert_eq!((link.hangups, link.packets.len()), (0, 1));
    // A few milliseconds are those in which the message itself may still arrive.
    run_until(&mut link, pushed_ms + 6 * SRTT_MS + 100);
    assert_eq!((link.hangups, link.core.stats().stalls), (1, 1));
}
