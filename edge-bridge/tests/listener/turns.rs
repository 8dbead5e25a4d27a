//! Work of one turn: bounded by copies too, where a message goes to many.

use bytes::BytesMut;
use edge_bridge::listener::{Config, Input};
use edge_bridge::wire::{self, Version};

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
