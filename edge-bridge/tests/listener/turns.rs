//! Work of one turn: bounded by copies too, where a message goes to many.

use bytes::BytesMut;
use edge_bridge::listener::{Access, AllowAnonymous, Authorize, ClientRef, Config, Input};
use edge_bridge::wire::{self, Packet, PropertyId, Publish, Value, Version};

use crate::listener_support::*;

/// Subscribers of `flood` that do not read, and one who floods.
fn site(subscribers: usize) -> (Site, Peer) {
    let mut site = Site::new(Config::default());
    for n in 0..subscribers {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send(peer, &[subscribe(&["flood"])]);
        site.stuck.insert(peer.connection);
    }
    let flooder = site.client("flooder", Version::V311);
    (site, flooder)
}

/// Copies that each turn makes of a flood of 2 000 messages.
fn copies_of_each_turn(site: &mut Site, flooder: Peer, subscribers: u64) -> Vec<u64> {
    let mut buffer = BytesMut::new();
    for _ in 0..2_000 {
        wire::encode(&qos0("flood", "21.5"), flooder.version, &mut buffer).unwrap();
    }
    let mut turns = Vec::new();
    while !buffer.is_empty() {
        let before = site.listener.stats().received;
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut buffer));
        site.outputs();
        turns.push(subscribers * (site.listener.stats().received - before));
    }
    turns
}

#[test]
fn a_flood_to_many_subscribers_takes_small_turns() {
    for subscribers in [200, 600] {
        let (mut site, flooder) = site(subscribers);
        let subscribers = subscribers as u64;
        let turns = copies_of_each_turn(&mut site, flooder, subscribers);
        assert!(turns[0] <= 16 * subscribers, "nothing is known of it: {}", turns[0]);
        let largest = turns[1..].iter().max().unwrap();
        assert!(*largest <= 2 * subscribers, "{largest} to {subscribers}");
        assert_eq!(turns.iter().sum::<u64>(), 2_000 * subscribers, "all of it is read");
    }
}

/// Nobody but the flooder may receive anything.
#[derive(Debug)]
struct NothingForOthers;

impl Authorize for NothingForOthers {
    fn may_publish(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        true
    }

    fn may_receive(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        false
    }
}

/// Each subscriber is looked at, also one that is absent, or may not receive the message.
#[test]
fn a_flood_to_many_subscribers_who_get_nothing_takes_small_turns() {
    for absent in [true, false] {
        let mut site = Site::new(Config::default());
        for n in 0..200 {
            let peer = site.client(&format!("s{n}"), Version::V311);
            site.send(peer, &[subscribe(&["flood"])]);
            if absent {
                site.cut(peer);
            }
        }
        if !absent {
            let rights = Access::of(AllowAnonymous).with_rights(NothingForOthers);
            site.listener.set_access(site.now, rights);
        }
        let flooder = site.client("flooder", Version::V311);
        let sent = site.listener.stats().sent;
        let turns = messages_of_each_turn(&mut site, flooder, "flood");
        let largest = turns[1..].iter().max().unwrap();
        assert!(turns[0] <= 8 && *largest <= 2, "absent {absent}: {turns:?}");
        assert_eq!((turns.iter().sum::<u64>(), site.listener.stats().sent), (500, sent));
    }
}

/// The copies of all steps of a turn count: each step alone makes few.
#[test]
fn a_flood_to_a_few_subscribers_takes_small_turns_too() {
    for subscribers in [10, 20, 30] {
        let (mut site, flooder) = site(subscribers);
        let subscribers = subscribers as u64;
        let turns = copies_of_each_turn(&mut site, flooder, subscribers);
        let largest = turns.iter().max().unwrap();
        assert!(*largest <= 128 + 4 * subscribers, "{largest} to {subscribers}");
    }
}

#[test]
fn a_flood_to_nobody_takes_large_turns() {
    let (mut site, flooder) = site(0);
    let (mut turns, mut buffer) = (0, BytesMut::new());
    for _ in 0..2_000 {
        wire::encode(&qos0("flood", "21.5"), flooder.version, &mut buffer).unwrap();
    }
    while !buffer.is_empty() {
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut buffer));
        turns += 1;
    }
    assert!(turns <= 2_000 / 64 + 4, "{turns}");
}

/// Messages that each turn handles of 500 with this topic.
fn messages_of_each_turn(site: &mut Site, flooder: Peer, topic: &str) -> Vec<u64> {
    let mut buffer = BytesMut::new();
    for _ in 0..500 {
        wire::encode(&qos0(topic, "21.5"), flooder.version, &mut buffer).unwrap();
    }
    let mut turns = Vec::new();
    while !buffer.is_empty() {
        let before = site.listener.stats().received;
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut buffer));
        site.outputs();
        turns.push(site.listener.stats().received - before);
    }
    turns
}

/// Each message is compared with each filter that has a wildcard, and nobody gets a copy.
#[test]
fn a_flood_past_many_filters_takes_small_turns() {
    let (mut site, flooder) = site(0);
    for client in 0..100 {
        let peer = site.client(&format!("s{client}"), Version::V311);
        for n in 0..100 {
            let filter = format!("{}/{client}/{n}", "+/".repeat(50).trim_end_matches('/'));
            site.send(peer, &[subscribe(&[&filter])]);
        }
    }
    // Packets that cost nothing: the next turn may handle many.
    let mut pings = BytesMut::new();
    (0..500).for_each(|_| wire::encode(&Packet::PingReq, flooder.version, &mut pings).unwrap());
    while !pings.is_empty() {
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut pings));
    }
    let topic = format!("{}/none", "a/".repeat(50).trim_end_matches('/'));
    let turns = messages_of_each_turn(&mut site, flooder, &topic);
    assert!(turns[0] <= 4 && turns[1] <= 4, "{turns:?}");
    let largest = turns[2..].iter().max().unwrap();
    assert_eq!((*largest, turns.iter().sum::<u64>()), (1, 500));
}

/// Each SUBSCRIBE makes a filter's walk over the retained messages begin again, and costs no more than its portion.
#[test]
fn a_flood_of_subscribe_takes_small_turns() {
    let (mut site, flooder) = site(0);
    let publisher = site.client("publisher", Version::V311);
    for n in 0..1_000 {
        site.send(publisher, &[retained(&format!("x/{n}"), "21.5")]);
    }
    let mut buffer = BytesMut::new();
    for _ in 0..100 {
        wire::encode(&subscribe(&["x/#"]), flooder.version, &mut buffer).unwrap();
    }
    while !buffer.is_empty() {
        let before = site.listener.stats().sent;
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut buffer));
        site.outputs();
        let sent = site.listener.stats().sent - before;
        assert!(sent <= 128, "{sent} messages in one turn");
    }
}

/// Each message finds the retained ones at their limit, and walks over all of them for one that has expired: the message before it.
#[test]
fn a_flood_of_retained_messages_at_their_limit_takes_small_turns() {
    let mut config = Config::default();
    config.max_retained = 4_096;
    let mut site = Site::new(config);
    let flooder = site.client("flooder", Version::V5);
    for n in 0..4_096 {
        site.send(flooder, &[retained(&format!("kept/{n}"), "21.5")]);
    }
    let mut buffer = BytesMut::new();
    for n in 0..200 {
        let Packet::Publish(publish) = retained(&format!("new/{n}"), "21.5") else { panic!() };
        let properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(0))]);
        let packet = Packet::Publish(Publish { properties, ..publish });
        wire::encode(&packet, flooder.version, &mut buffer).unwrap();
    }
    // A place for one of them.
    site.send(flooder, &[retained("kept/0", "")]);
    let mut turns = Vec::new();
    while !buffer.is_empty() {
        let before = site.listener.stats().received;
        site.listener.handle_input(site.now, flooder.connection, Input::Bytes(&mut buffer));
        site.outputs();
        turns.push(site.listener.stats().received - before);
    }
    assert!(turns[0] <= 4 && turns[1] <= 4, "{turns:?}");
    let largest = turns[2..].iter().max().unwrap();
    assert_eq!((*largest, turns.iter().sum::<u64>(), site.listener.stats().retain_refused), (1, 200, 0));
}
