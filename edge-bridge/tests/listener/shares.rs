//! Memory of waiting messages, shared by all clients: at the limit the one that holds most gives way.

use crate::listener_support::*;
use edge_bridge::listener::{Config, Settled};
use edge_bridge::wire::{PropertyId, Value, Version};

fn absent(site: &mut Site, name: &str, filter: &str) {
    let peer = site.client(name, Version::V5);
    site.send(peer, &[subscribe(&[filter])]);
    site.cut(peer);
}

fn waiting(site: &mut Site, name: &str) -> Vec<String> {
    let peer = site.client(name, Version::V5);
    site.payloads(peer)
}

/// 17 clients that stay away hold all that may wait. A valve that is away for a moment gets its command all the same.
#[test]
fn a_command_is_not_lost_to_the_backlog_of_others() {
    let mut config = Config::default();
    config.max_memory = 64 << 20;
    let mut site = Site::new(config);
    for n in 0..17 {
        absent(&mut site, &format!("away{n}"), "big");
    }
    for _ in 0..1_100 {
        site.publish(&message("big", &"x".repeat(1_037)));
    }
    let full = site.listener.stats();
    assert!(full.queued_bytes <= 16 << 20 && full.queued_bytes > (16 << 20) - 1_040, "{full:?}");
    absent(&mut site, "valve", "cmd");
    site.publish(&message("cmd", &"close the valve ".repeat(64)));
    let stats = site.listener.stats();
    assert_eq!(stats.dropped_full, full.dropped_full + 1, "one message of one that holds much");
    assert!(stats.queued_bytes <= 16 << 20);
    assert_eq!(waiting(&mut site, "valve").len(), 1);
}

#[test]
fn the_oldest_message_of_the_largest_share_goes_and_is_settled_as_dropped() {
    let mut config = Config::default();
    config.max_queued_bytes_total = 100;
    let mut site = Site::new(config);
    absent(&mut site, "much", "m");
    absent(&mut site, "little", "l");
    let byte = |name: char| name.to_string().repeat(9);
    for name in ['1', '2', '3', '4', '5', '6', '7', '8'] {
        site.publish(&message("m", &byte(name)));
    }
    assert_eq!(site.settled, []);
    for name in ['a', 'b', 'c', 'd'] {
        site.publish(&message("l", &byte(name)));
    }
    let dropped: Vec<_> =
        site.settled.iter().map(|Settled { delivered, dropped, .. }| (*delivered, *dropped)).collect();
    assert_eq!((dropped, site.listener.stats().dropped_full), (vec![(0, 1); 2], 2));
    assert_eq!(waiting(&mut site, "little"), ['a', 'b', 'c', 'd'].map(byte));
    assert_eq!(waiting(&mut site, "much"), ['3', '4', '5', '6', '7', '8'].map(byte));
}

/// Once the shares are equal nobody starves: whoever is given a message holds most then.
#[test]
fn equal_shares_each_keep_their_latest() {
    let mut config = Config::default();
    config.max_queued_bytes_total = 1_000;
    let mut site = Site::new(config);
    for name in ["a", "b", "c", "d"] {
        absent(&mut site, name, name);
    }
    for n in 100..200 {
        for name in ["a", "b", "c", "d"] {
            site.publish(&message(name, &n.to_string()));
        }
    }
    for name in ["a", "b", "c", "d"] {
        let payloads = waiting(&mut site, name);
        assert!((61..=64).contains(&payloads.len()), "{name}: {}", payloads.len());
        let latest: Vec<_> = (200 - payloads.len()..200).map(|n| n.to_string()).collect();
        assert_eq!(payloads, latest, "{name}");
    }
}

/// Whatever way messages stop to wait, their bytes are given back.
#[test]
fn every_end_of_waiting_gives_its_bytes_back() {
    let mut site = Site::new(Config::default());
    let expiring = {
        let mut expiring = message("x", "expires");
        expiring.properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(1))]);
        expiring
    };
    for name in ["returns", "starts-clean", "never-returns"] {
        absent(&mut site, name, "x");
    }
    // Its window is full and its network takes nothing: at QoS 0 it waits too.
    let slow = site.client("slow", Version::V5);
    site.send(slow, &[subscribe(&["x"])]);
    site.stuck.insert(slow.connection);
    site.publish(&message("x", &"x".repeat(300_000)));
    let mut at_qos_0 = message("x", "at QoS 0");
    at_qos_0.qos = edge_bridge::wire::QoS::AtMostOnce;
    for publish in [message("x", "at QoS 1"), at_qos_0, expiring] {
        site.publish(&publish);
    }
    assert!(site.listener.stats().queued_bytes > 900_000);
    site.pass(2_000);
    assert_eq!(waiting(&mut site, "returns").len(), 2);
    site.connect(connect("starts-clean", Version::V5));
    let before = site.listener.stats().queued_bytes;
    site.cut(slow);
    assert_eq!(site.listener.stats().queued_bytes, before - "xat QoS 0".len(), "for those who are there");
    let slow = site.client("slow", Version::V5);
    assert_eq!(site.payloads(slow).len(), 2, "what was in flight, and what waited at QoS 1");
    assert!(site.listener.stats().queued_bytes > 300_000, "of the last of them");
    site.pass(3_600_000);
    assert_eq!(site.listener.stats().queued_bytes, 0);
}
