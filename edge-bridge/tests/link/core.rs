//! The upstream link's core against a scripted hub, step by step, without a network: refusals, lost sessions, kicks, expiry. Promises 1, 4, 5, 9.

use crate::link_support::*;
use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::bridge::topic_rules::{Rule, Rules};
use edge_bridge::bridge::{Event, Input, LinkState, UplinkEvent};
use edge_bridge::wire::{
    Ack, Disconnect, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, SubAck, Value,
};

/// Promise 4: a row leaves the spool on its PUBACK, and not before.
#[test]
fn a_row_leaves_the_spool_on_its_puback() {
    let mut link = Link::new();
    link.push("a");
    assert!(link.sent().is_empty(), "not connected");
    link.connect(false, &[]);
    assert_eq!(payloads(&link.sent()), ["a"]);
    assert_eq!(link.core.spool().len(), 1);
    link.answer(1, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    assert_eq!(link.core.spool().len(), 0);
    assert_eq!(link.core.stats().rows_delivered, 1);
}

/// A window of one byte, or none, is one message at a time.
#[test]
fn the_smallest_window_sends_a_message_at_a_time() {
    for bytes in [0, 1] {
        let mut link = Link::with(|config| config.window_max_bytes = bytes);
        link.connect(false, &[]);
        ["a", "b"].into_iter().for_each(|payload| link.push(payload));
        assert_eq!(payloads(&link.sent()), ["a"]);
        link.answer(1, ReasonCode::SUCCESS);
        assert_eq!(payloads(&link.sent()), ["b"]);
    }
}

/// A cut with the session kept: the same identifiers, DUP, the original order; nothing new before them.
#[test]
fn a_kept_session_resends_in_order() {
    let mut link = Link::new();
    link.connect(false, &[]);
    for payload in ["a", "b", "c"] {
        link.push(payload);
    }
    link.sent();
    link.answer(2, ReasonCode::SUCCESS);
    link.input(Input::HungUp(None));
    assert_eq!(link.core.link(), LinkState::BackingOff);
    link.push("d");
    link.redial();
    link.connect(true, &[]);
    let sent = link.sent();
    let shown: Vec<_> = sent.iter().map(|p| (p.packet_id.unwrap().get(), p.dup)).collect();
    assert_eq!(payloads(&sent), ["a", "c", "d"]);
    assert_eq!(shown, [(1, true), (3, true), (4, false)]);
    let traffic = link.core.stats().traffic;
    assert!(traffic.resend > 0, "{traffic:?}");
}

/// A lost session: everything in flight is published anew, first, in order.
#[test]
fn a_lost_session_is_published_anew_in_order() {
    let mut link = Link::new();
    link.connect(false, &[]);
    for payload in ["a", "b"] {
        link.push(payload);
    }
    link.sent();
    link.input(Input::HungUp(None));
    link.push("c");
    link.redial();
    link.connect(false, &[]);
    let sent = link.sent();
    assert_eq!(payloads(&sent), ["a", "b", "c"]);
    assert!(sent.iter().all(|p| !p.dup));
    assert!(link.events.iter().any(|e| matches!(e, Event::SessionLost { republished: 2 })));
    for publish in sent {
        link.answer(publish.packet_id.unwrap().get(), ReasonCode::SUCCESS);
    }
    assert!(link.core.spool().is_empty());
}

/// The backoff grows while a hub accepts and kicks, and is small again after progress.
#[test]
fn backoff_grows_after_accept_then_kick() {
    let mut link = Link::new();
    let mut delays = Vec::new();
    for _ in 0..7 {
        link.connect(false, &[]);
        let kick = Disconnect { reason: ReasonCode::NOT_AUTHORIZED, properties: Properties::default() };
        link.receive(&Packet::Disconnect(kick));
        delays.push(link.redial());
    }
    assert!(delays[6] > 4_000 && delays[0] <= 250, "{delays:?}");
    assert_eq!((link.hangups, link.dialed), (7, 8));
    link.connect(false, &[]);
    link.push("progress");
    link.answer(1, ReasonCode::SUCCESS);
    link.input(Input::HungUp(None));
    assert!(link.redial() <= 250);
}

/// Two bridges under one name throw each other out; progress in between does not make them dial faster.
#[test]
fn backoff_grows_while_another_client_takes_the_session_over() {
    let mut link = Link::new();
    let mut delays = Vec::new();
    for _ in 0..6 {
        link.connect(true, &[]);
        link.push("progress");
        let sent = link.sent();
        link.answer(sent.last().unwrap().packet_id.unwrap().get(), ReasonCode::SUCCESS);
        let kick = Disconnect { reason: ReasonCode::SESSION_TAKEN_OVER, properties: Properties::default() };
        link.receive(&Packet::Disconnect(kick));
        delays.push(link.redial());
    }
    assert!(delays[5] > 2_000, "{delays:?}");
    let cause = link.core.stats().last_error.unwrap();
    assert!(cause.contains("0x8e") && cause.contains("same client identifier"), "{cause}");
}

/// A hub that says nothing when another client takes the session over: the cause is named as possible from the third time on, and not any more after
/// a connection that lasted.
#[test]
fn connections_that_end_soon_after_connack_hint_at_another_client() {
    let mut link = Link::new();
    for (lasted_ms, hints) in
        [(500, false), (500, false), (500, true), (500, true), (60_000, false), (0, false)]
    {
        link.connect(true, &[]);
        link.now_ms += lasted_ms;
        link.input(Input::HungUp(Some("connection reset".to_owned())));
        let cause = link.core.stats().last_error.unwrap();
        assert!(cause.starts_with("connection reset"), "{cause}");
        assert_eq!(cause.contains("same client identifier is a possible cause"), hints, "{cause}");
        link.redial();
    }
}

/// Message Expiry Interval is what is left, also of a resent message, and never zero.
#[test]
fn expiry_is_reduced_by_age() {
    let mut link = Link::new();
    let row = Row::new(text("plant/1"), Bytes::from_static(b"x"));
    link.push_row({
        let mut row = row;
        row.ttl_ms = Some(60_000);
        row
    });
    link.now_ms += 20_000;
    link.connect(false, &[]);
    let expiry = |sent: &[Publish]| sent[0].properties.u32(PropertyId::MessageExpiryInterval);
    assert_eq!(expiry(&link.sent()), Some(40));
    link.input(Input::HungUp(None));
    link.now_ms += 30_000;
    link.timeout();
    link.connect(true, &[]);
    assert_eq!(expiry(&link.sent()), Some(10));
    link.input(Input::HungUp(None));
    link.now_ms += 30_000;
    link.timeout();
    link.connect(true, &[]);
    assert_eq!(expiry(&link.sent()), Some(1), "what is in flight must be resent");
}

#[test]
fn the_hubs_receive_maximum_bounds_what_is_in_flight() {
    let mut link = Link::new();
    (0..20).for_each(|n| link.push(&n.to_string()));
    link.connect(false, &[(PropertyId::ReceiveMaximum, Value::U16(3))]);
    assert_eq!(link.sent().len(), 3);
    for id in 1..=20 {
        link.answer(id, ReasonCode::SUCCESS);
        assert!(link.core.session().unwrap().in_flight_here() <= 3);
    }
    assert!(link.core.spool().is_empty());
}

#[test]
fn a_hub_without_retain_gets_the_message_without_the_flag_and_it_is_said() {
    let mut link = Link::new();
    link.connect(false, &[(PropertyId::RetainAvailable, Value::Byte(0))]);
    for _ in 0..2 {
        let mut row = Row::new(text("plant/1"), Bytes::from_static(b"x"));
        row.retain = true;
        link.push_row(row);
    }
    assert!(link.sent().iter().all(|p| !p.retain));
    let said = link.events.iter().filter(|e| matches!(e, Event::Uplink(UplinkEvent::RetainCleared)));
    assert_eq!(said.count(), 1);
}

#[test]
fn a_hub_without_qos_1_can_deliver_nothing_and_it_is_said() {
    let mut link = Link::new();
    link.push("x");
    link.connect(false, &[(PropertyId::MaximumQoS, Value::Byte(0))]);
    assert!(link.sent().is_empty());
    assert_eq!(link.core.link(), LinkState::BackingOff);
    assert!(link.core.stats().last_error.unwrap().contains("QoS 1"));
    assert_eq!(link.core.spool().len(), 1);
}

/// A message above the hub's Maximum Packet Size is parked, and the next one of its topic goes.
#[test]
fn a_message_too_large_for_the_hub_does_not_block_the_others() {
    let mut link = Link::new();
    link.connect(false, &[(PropertyId::MaximumPacketSize, Value::U32(200))]);
    link.push(&"x".repeat(300));
    link.push("small");
    assert_eq!(payloads(&link.sent()), ["small"]);
    assert_eq!((link.core.stats().parked, link.core.spool().len()), (1, 2));
}

#[test]
fn stopping_gives_every_row_back() {
    let mut link = Link::new();
    link.connect(false, &[(PropertyId::ReceiveMaximum, Value::U16(2))]);
    (0..5).for_each(|n| link.push(&n.to_string()));
    link.sent();
    link.core.stop(at(link.now_ms));
    link.drain();
    assert!(matches!(link.packets.last(), Some(Packet::Disconnect(d)) if d.reason.get() == 0));
    assert_eq!(link.core.link(), LinkState::Offline);
    let rows = link.core.spool_mut().lease(0, 10, 10_000);
    let order: Vec<_> = rows.iter().map(|l| l.row.payload.clone()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4"]);
}

/// An `in` rule: subscribed to at the hub once per session, renamed here, acknowledged only when told.
#[test]
fn messages_from_the_hub_are_renamed_and_acknowledged_when_done() {
    let rule = Rule::parse("# in 1 cmd/ hub/site7/cmd/").unwrap();
    let mut link = Link::with(|config| config.rules = Rules::new(vec![rule]));
    link.connect(false, &[]);
    let Some(Packet::Subscribe(subscribe)) = link.packets.last().cloned() else {
        panic!("{:?}", link.packets)
    };
    assert_eq!(subscribe.filters[0].filter, "hub/site7/cmd/#");
    let reasons = vec![ReasonCode::GRANTED_QOS_1];
    let suback = SubAck { packet_id: subscribe.packet_id, properties: Properties::default(), reasons };
    link.receive(&Packet::SubAck(suback));
    link.packets.clear();
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text("hub/site7/cmd/valve"),
        packet_id: PacketId::new(9),
        properties: Properties::default(),
        payload: Bytes::from_static(b"open"),
    };
    link.receive(&Packet::Publish(publish));
    let Some(Event::Message { publish, ack }) = link.events.pop() else { panic!("a message") };
    assert_eq!(publish.topic, "cmd/valve");
    assert!(link.packets.is_empty(), "no PUBACK yet");
    link.core.ack(at(link.now_ms), ack.unwrap(), ReasonCode::SUCCESS).unwrap();
    link.drain();
    assert_eq!(link.packets, [Packet::PubAck(Ack::success(PacketId::new(9).unwrap()))]);
    link.packets.clear();
    // Not asked again on the resumed session.
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert!(!link.packets.iter().any(|p| matches!(p, Packet::Subscribe(_))));
}

/// An application that waits for messages that never come must be able to learn why. A number that is not in SUBACK's list refuses the filter, too,
/// and not the connection.
#[test]
fn a_refused_subscription_is_in_the_numbers_until_the_next_connection() {
    for reason in [0x87, 0x88, 0xab, 0xff].map(ReasonCode::new) {
        let rule = Rule::parse("# in 1 cmd/ hub/site7/cmd/").unwrap();
        let mut link = Link::with(|config| config.rules = Rules::new(vec![rule]));
        link.connect(false, &[]);
        let Some(Packet::Subscribe(subscribe)) = link.packets.last().cloned() else {
            panic!("{:?}", link.packets)
        };
        let (packet_id, reasons) = (subscribe.packet_id, vec![reason]);
        link.receive(&Packet::SubAck(SubAck { packet_id, properties: Properties::default(), reasons }));
        let refused = link.core.stats().refused_subscriptions;
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!((refused[0].filter.as_str(), refused[0].reason), ("hub/site7/cmd/#", reason));
        link.push("goes on");
        let id = link.sent()[0].packet_id.unwrap().get();
        link.answer(id, ReasonCode::SUCCESS);
        assert_eq!((link.hangups, link.core.spool().len()), (0, 0));
        link.input(Input::HungUp(None));
        link.redial();
        link.connect(true, &[]);
        assert_eq!(link.core.stats().refused_subscriptions, []);
    }
}

/// Promise 5: an open connection that answers nothing is first suspected, then broken.
#[test]
fn silence_after_a_publish_is_a_stall() {
    let mut link = Link::new();
    link.connect(false, &[]);
    link.push("a");
    link.answer(1, ReasonCode::SUCCESS);
    assert_eq!(link.core.link(), LinkState::Idle);
    link.push("b");
    assert_eq!(link.core.link(), LinkState::Flowing);
    link.packets.clear();
    let started_ms = link.now_ms;
    while link.hangups == 0 {
        link.now_ms = link.core.next_deadline().unwrap();
        link.timeout();
        if link.hangups == 0 {
            assert_eq!(link.core.link(), LinkState::Stalled);
            assert_eq!(link.packets, [Packet::PingReq], "one probe");
        }
    }
    assert!((4_000..5_000).contains(&(link.now_ms - started_ms)), "{} ms", link.now_ms - started_ms);
    assert_eq!(link.core.stats().stalls, 1);
    assert_eq!(link.core.spool().len(), 1, "b is not lost");
}

/// Promise 5: PUBACKs come in order, so one that is left out is a stall, whatever else is answered. It takes one place, and the others go on.
#[test]
fn a_puback_that_is_left_out_is_a_stall() {
    for every_ms in [10, 1_000] {
        let mut link = Link::new();
        link.connect(false, &[(PropertyId::ReceiveMaximum, Value::U16(20))]);
        link.push("first");
        link.sent();
        let (mut pushed, mut answered) = (0, 0);
        while link.hangups == 0 {
            link.push("x");
            pushed += 1;
            for publish in link.sent() {
                link.answer(publish.packet_id.unwrap().get(), ReasonCode::SUCCESS);
                answered += 1;
            }
            assert_eq!((answered, link.core.session().unwrap().in_flight()), (pushed, 1));
            link.now_ms += every_ms;
            link.timeout();
            assert!(link.now_ms < 32_000, "no stall after {answered} answers");
        }
        link.redial();
        link.connect(true, &[]);
        let again = link.sent();
        assert!(again[0].dup && again[0].payload == "first", "{:?}", payloads(&again));
    }
}

/// Whatever happens, the next deadline lies ahead once it was served: the shell never spins.
#[test]
fn a_served_deadline_lies_ahead() {
    let mut link = Link::with(|config| config.window_max_bytes = 2_000);
    let mut random = 7u64;
    let mut connected = false;
    for step in 0..20_000u64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 12 {
            0..4 if link.core.spool().len() < 100 => link.push("0123456789"),
            4..7 if connected => {
                let mut sent = link.sent();
                let reason = [ReasonCode::SUCCESS, ReasonCode::QUOTA_EXCEEDED, ReasonCode::NOT_AUTHORIZED];
                if let Some(publish) = sent.pop() {
                    let pick = usize::try_from(random >> 32).unwrap() % reason.len();
                    link.answer(publish.packet_id.unwrap().get(), reason[pick]);
                }
            }
            7 if connected && random.is_multiple_of(11) => link.input(Input::HungUp(None)),
            8 if link.core.session().is_none() => {
                link.input(Input::Dialed);
                if link.core.session().is_some() {
                    let present = random & 64 == 0 && link.core.stats().connects > 0;
                    link.receive(&connack(present, &[(PropertyId::ReceiveMaximum, Value::U16(5))]));
                }
            }
            _ => link.now_ms += random >> 54,
        }
        connected = link.core.session().is_some_and(edge_bridge::session::Session::is_open);
        for _ in 0..3 {
            if let Some(due_ms) = link.core.next_deadline()
                && due_ms <= link.now_ms
            {
                link.timeout();
            }
        }
        if let Some(due_ms) = link.core.next_deadline() {
            assert!(
                due_ms > link.now_ms,
                "step {step}: {due_ms} at {}, {:?}",
                link.now_ms,
                link.core.stats()
            );
        }
        connected &= link.core.session().is_some_and(edge_bridge::session::Session::is_open);
    }
    println!("executed link_core_deadlines: 20000 cases");
}
