//! Calls of an application on a link, and the times of its dials, step by step, without a network.

use crate::link_support::*;
use bytes::Bytes;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::bridge::{Event, Input, LinkState};
use edge_bridge::wire::{
    Ack, Packet, PacketId, Properties, PropertiesBuilder, PropertyId, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, UnsubAck, Value,
};

fn filters(link: &mut Link) -> Vec<(String, RetainHandling)> {
    let packets = std::mem::take(&mut link.packets);
    let subscribes = packets.into_iter().filter_map(|packet| match packet {
        Packet::Subscribe(subscribe) => Some(subscribe.filters),
        _ => None,
    });
    subscribes.flatten().map(|s| (s.filter.to_string(), s.retain_handling)).collect()
}

fn unsubscribed(link: &mut Link) -> Vec<String> {
    let packets = std::mem::take(&mut link.packets);
    let found = packets.into_iter().filter_map(|packet| match packet {
        Packet::Unsubscribe(unsubscribe) => Some(unsubscribe.filters),
        _ => None,
    });
    found.flatten().map(|filter| filter.to_string()).collect()
}

fn grant(link: &mut Link, id: u16) {
    let reasons = vec![ReasonCode::GRANTED_QOS_1];
    let packet_id = PacketId::new(id).unwrap();
    link.receive(&Packet::SubAck(SubAck { packet_id, properties: Properties::default(), reasons }));
}

fn passwords(link: &mut Link) -> Vec<Option<Bytes>> {
    let packets = std::mem::take(&mut link.packets);
    let connects = packets.into_iter().filter_map(|packet| match packet {
        Packet::Connect(connect) => Some(connect.password),
        _ => None,
    });
    connects.collect()
}

#[test]
fn another_password_holds_from_the_next_connection_on() {
    let mut link = Link::with(|config| {
        config.client.username = Some(text("site7"));
        config.client.password = Some(Bytes::from_static(b"old"));
    });
    link.connect(false, &[]);
    link.core.set_password(Bytes::from_static(b"new"));
    assert_eq!(passwords(&mut link), [Some(Bytes::from_static(b"old"))]);
    link.input(Input::HungUp(None));
    link.redial();
    link.connect(true, &[]);
    assert_eq!(passwords(&mut link), [Some(Bytes::from_static(b"new"))]);
}

#[test]
fn a_renewed_filter_brings_what_is_retained_and_an_unwanted_one_is_unsubscribed() {
    let mut link = Link::new();
    link.connect(false, &[]);
    link.core.subscribe(at(link.now_ms), text("cmd/#"), QoS::AtLeastOnce);
    link.drain();
    assert_eq!(filters(&mut link), [("cmd/#".into(), RetainHandling::SendIfNew)]);
    grant(&mut link, 1);
    link.core.subscribe(at(link.now_ms), text("cmd/#"), QoS::AtLeastOnce);
    link.drain();
    assert!(filters(&mut link).is_empty(), "the hub has granted it");
    link.core.renew(at(link.now_ms), &text("cmd/#"));
    link.drain();
    assert_eq!(filters(&mut link), [("cmd/#".into(), RetainHandling::Send)]);
    grant(&mut link, 2);
    link.core.unsubscribe(at(link.now_ms), &text("cmd/#"));
    link.drain();
    assert_eq!(unsubscribed(&mut link), ["cmd/#"]);
    link.timeout();
    assert!(unsubscribed(&mut link).is_empty(), "once");
}

/// A filter that is given up while the hub is away is unsubscribed when it is back: its session has the filter still.
#[test]
fn a_filter_that_is_given_up_in_an_outage_is_unsubscribed_after_it() {
    let mut link = Link::new();
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[]);
    grant(&mut link, 1);
    link.input(Input::HungUp(None));
    link.core.unsubscribe(at(link.now_ms), &text("cmd/#"));
    link.drain();
    assert_eq!(link.core.link(), LinkState::BackingOff);
    link.redial();
    link.packets.clear();
    link.connect(true, &[]);
    assert_eq!(unsubscribed(&mut link), ["cmd/#"]);
}

/// An UNSUBSCRIBE that was under way when the connection broke may not have arrived: its filter would bring messages for as long as the session lives.
#[test]
fn a_filter_without_an_unsuback_is_unsubscribed_again() {
    let mut link = Link::new();
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[]);
    grant(&mut link, 1);
    link.core.unsubscribe(at(link.now_ms), &text("cmd/#"));
    for _ in 0..2 {
        link.drain();
        assert_eq!(unsubscribed(&mut link), ["cmd/#"]);
        link.input(Input::HungUp(None));
        link.redial();
        link.packets.clear();
        link.connect(true, &[]);
    }
    let [.., Packet::Unsubscribe(last)] = &link.packets[..] else { panic!("{:?}", link.packets) };
    let reasons = vec![ReasonCode::SUCCESS];
    let packet = UnsubAck { packet_id: last.packet_id, properties: Properties::default(), reasons };
    link.receive(&Packet::UnsubAck(packet));
    link.input(Input::HungUp(None));
    link.redial();
    link.packets.clear();
    link.connect(true, &[]);
    assert!(unsubscribed(&mut link).is_empty(), "it has its UNSUBACK");
}

/// Filters of more bytes than the hub's Maximum Packet Size are asked for in several packets, and one that fits in none is told as refused.
#[test]
fn filters_are_asked_for_in_packets_that_the_hub_takes() {
    let mut link = Link::new();
    let own = |n: usize| format!("{n:03}/{}", "x".repeat(40));
    for n in 0..60 {
        link.core.subscribe(at(1), text(&own(n)), QoS::AtLeastOnce);
    }
    let long = "y".repeat(600);
    link.core.subscribe(at(1), text(&long), QoS::AtLeastOnce);
    link.connect(false, &[(PropertyId::MaximumPacketSize, Value::U32(500))]);
    let asked = filters(&mut link).into_iter().map(|(filter, _)| filter).collect::<Vec<_>>();
    assert_eq!(asked, (0..60).map(own).collect::<Vec<_>>());
    let refused = [(long.as_str(), ReasonCode::PACKET_TOO_LARGE)];
    let told = &link.core.stats().refused_subscriptions;
    assert_eq!(told.iter().map(|r| (&*r.filter, r.reason)).collect::<Vec<_>>(), refused);
    let event = |event: &&Event| matches!(event, Event::SubscriptionRefused(_));
    assert_eq!(link.events.iter().filter(event).count(), 1);
    link.timeout();
    assert!(filters(&mut link).is_empty(), "not in each turn");
    // And given up in packets that it takes.
    link.input(Input::HungUp(None));
    for n in 0..60 {
        link.core.unsubscribe(at(link.now_ms), &text(&own(n)));
    }
    link.redial();
    link.packets.clear();
    link.connect(true, &[(PropertyId::MaximumPacketSize, Value::U32(500))]);
    assert_eq!(unsubscribed(&mut link).len(), 60);
}

#[test]
fn another_connection_can_be_asked_for() {
    let mut link = Link::new();
    link.core.redial(at(1), "nothing to end");
    link.drain();
    assert_eq!((link.dialed, link.hangups), (1, 0));
    link.connect(false, &[]);
    link.push("a");
    assert_eq!(payloads(&link.sent()), ["a"]);
    link.core.redial(at(link.now_ms), "the queue of a subscription is full");
    link.drain();
    assert_eq!(link.hangups, 1);
    assert!(link.core.has_given_up(), "nothing more is to be written to it");
    assert_eq!(link.core.stats().last_error.as_deref(), Some("the queue of a subscription is full"));
    link.redial();
    link.connect(true, &[]);
    let again = link.sent();
    assert!(again[0].dup && again[0].payload == "a");
    link.input(Input::HungUp(None));
    assert!(!link.core.has_given_up(), "the hub ended it");
}

/// A path that swallows CONNECT costs 4 s at first, and no more than the client's own patience later.
#[test]
fn the_wait_for_connack_grows_with_the_attempts() {
    let mut link = Link::new();
    let mut waits = Vec::new();
    for _ in 0..6 {
        link.input(Input::Dialed);
        let (began_ms, hangups) = (link.now_ms, link.hangups);
        while link.hangups == hangups {
            link.now_ms = link.core.next_deadline().unwrap();
            link.timeout();
        }
        assert!(link.core.has_given_up());
        waits.push(link.now_ms - began_ms);
        link.redial();
    }
    assert_eq!(waits, [4_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
}

/// Each connection without a session begins elsewhere in the circle of identifiers; the first of seed 0 at 1.
#[test]
fn answers_to_an_earlier_process_meet_no_message_of_this_one() {
    let first_id = |seed: u64| {
        let mut link = Link::with(|config| config.seed = seed);
        link.push("a");
        link.connect(false, &[]);
        link.sent()[0].packet_id.unwrap().get()
    };
    assert_eq!(first_id(0), 1);
    let ids: std::collections::BTreeSet<_> = (0..100).map(first_id).collect();
    assert!(ids.len() > 95, "{ids:?}");
}

/// A dial that is not due is not made, and one that failed is told with its reason and time.
#[test]
fn a_dial_waits_its_time() {
    let mut link = Link::new();
    link.input(Input::DialFailed("no route".to_owned()));
    let due_ms = link.core.next_deadline().unwrap();
    let Some(Event::Disconnected { reason, retry_in_ms: Some(in_ms) }) = link.events.pop() else {
        panic!("{:?}", link.events)
    };
    assert_eq!((reason.as_str(), due_ms), ("no route", link.now_ms + in_ms));
    assert!((125..=250).contains(&in_ms), "{in_ms}");
    link.now_ms = due_ms - 1;
    link.timeout();
    assert_eq!(link.dialed, 1);
    link.now_ms = due_ms;
    link.timeout();
    assert_eq!((link.dialed, link.core.stats().dials), (2, 2));
}

/// A path without an answer is tried again sooner than somebody who refuses: a login that is tried too often may be locked.
#[test]
fn a_dial_that_is_refused_waits_as_long_as_for_a_hub_that_refuses() {
    let longest_ms = |input: fn(String) -> Input<'static>| {
        let mut link = Link::new();
        let mut delays = Vec::new();
        for _ in 0..30 {
            link.input(input("no".to_owned()));
            let due_ms = link.core.next_deadline().unwrap();
            delays.push(due_ms - link.now_ms);
            link.now_ms = due_ms;
            link.timeout();
        }
        delays.into_iter().max().unwrap()
    };
    let (failed_ms, refused_ms) = (longest_ms(Input::DialFailed), longest_ms(Input::DialRefused));
    assert!((1_500..=3_000).contains(&failed_ms), "{failed_ms}");
    assert!((7_500..=15_000).contains(&refused_ms), "{refused_ms}");
}

/// A connection that lasted, or on which something was acknowledged, ends the growth of the delay; a hub that only accepts and kicks does not.
#[test]
fn progress_or_time_resets_the_delay() {
    for (lasted_ms, is_acked, resets) in
        [(0, false, false), (29_999, false, false), (30_000, false, true), (0, true, true)]
    {
        let mut link = Link::new();
        for _ in 0..8 {
            link.connect(true, &[]);
            link.input(Input::HungUp(None));
            link.redial();
        }
        link.connect(true, &[]);
        if is_acked {
            link.push("a");
            let id = link.sent()[0].packet_id.unwrap().get();
            link.answer(id, ReasonCode::SUCCESS);
        }
        link.now_ms += lasted_ms;
        link.input(Input::HungUp(None));
        let in_ms = link.redial();
        assert_eq!(in_ms <= 250, resets, "{in_ms} ms after {lasted_ms} ms, acknowledged: {is_acked}");
    }
}

/// Promise 4: who stops gives back what was not acknowledged, the hub's session stays, and the application may start again.
#[test]
fn a_link_that_was_stopped_can_be_started_again() {
    let mut link = Link::new();
    link.push("a");
    link.connect(false, &[]);
    assert_eq!(link.sent().len(), 1);
    link.core.stop(at(link.now_ms));
    link.drain();
    assert_eq!((link.core.link(), link.core.next_deadline()), (LinkState::Offline, None));
    assert!(matches!(link.events.last(), Some(Event::Disconnected { retry_in_ms: None, .. })));
    assert_eq!(link.core.spool().waiting(), 1);
    link.core.start(at(link.now_ms));
    link.core.start(at(link.now_ms));
    link.drain();
    assert_eq!(link.dialed, 2, "once for each start");
    link.connect(true, &[]);
    let again = link.sent();
    assert_eq!((payloads(&again), again[0].dup), (vec!["a"], false), "a new message of a new session");
}

#[test]
fn what_comes_from_the_hub_is_acknowledged_on_its_own_connection() {
    let mut link = Link::new();
    link.core.subscribe(at(1), text("cmd/#"), QoS::AtLeastOnce);
    link.connect(false, &[(PropertyId::ReceiveMaximum, Value::U16(5))]);
    let id = PacketId::new(9).unwrap();
    link.receive(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: text("cmd/a"),
        packet_id: Some(id),
        properties: Properties::default(),
        payload: Bytes::from_static(b"open"),
    }));
    let Some(Event::Message { ack: Some(ack), .. }) = link.events.pop() else { panic!("{:?}", link.events) };
    link.packets.clear();
    link.core.ack(at(1), ack, ReasonCode::SUCCESS).unwrap();
    link.drain();
    assert_eq!(link.packets, [Packet::PubAck(Ack::success(id))]);
    assert!(link.core.ack(at(1), ack, ReasonCode::SUCCESS).is_err());
    link.input(Input::HungUp(None));
    assert!(link.core.ack(at(1), ack, ReasonCode::SUCCESS).is_err(), "no connection");
    assert_eq!(link.core.stats().received, 1);
}

/// A client that may publish at the hub could otherwise end the link with one message, for good: the hub sends it again on each connection.
#[test]
fn a_message_with_a_topic_of_any_length_or_depth_is_taken() {
    let mut properties = PropertiesBuilder::new();
    for _ in 0..300 {
        properties.push(PropertyId::UserProperty, Value::Pair("k", "v")).unwrap();
    }
    for topic in ["t".repeat(4_097), "t".repeat(65_535), "/".repeat(65_535), "t/".repeat(300)] {
        let mut link = Link::new();
        link.connect(false, &[]);
        link.packets.clear();
        let id = PacketId::new(7).unwrap();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text(&topic),
            packet_id: Some(id),
            properties: properties.clone().finish(),
            payload: Bytes::from_static(b"x"),
        };
        link.receive(&Packet::Publish(publish));
        let taken = link.events.iter().find_map(|event| match event {
            Event::Message { publish, ack } => Some((publish.topic.len(), *ack)),
            _ => None,
        });
        let (len, ack) = taken.unwrap_or_else(|| panic!("{:?}", link.events));
        assert_eq!((len, link.hangups), (topic.len(), 0));
        link.core.ack(at(link.now_ms), ack.unwrap(), ReasonCode::SUCCESS).unwrap();
        link.drain();
        assert!(
            link.packets.contains(&Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS))),
            "{:?}",
            link.packets
        );
    }
}
