//! Places of connections while the queue is full: publishers that gave up, or wait without end, lock nobody out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod listener_support;

use edge_bridge::listener::{Config, ConnectionId};
use edge_bridge::wire::{Connect, ReasonCode, Version};
use listener_support::*;

fn full_site(max_connections: usize) -> Site {
    let mut config = Config::default();
    config.max_connections = max_connections;
    let mut site = Site::new(config);
    site.set_room(false);
    site
}

/// Connects, and publishes a message that is held.
fn publisher(site: &mut Site, name: &str, keep_alive_s: u16) -> Peer {
    let version = if keep_alive_s == 0 { Version::V311 } else { Version::V5 };
    let (peer, _) = site.connect(Connect { keep_alive_s, ..connect(name, version) });
    site.send(peer, &[publish(1, "store/x", name)]);
    assert!(!site.listener.may_read(peer.connection));
    peer
}

fn gone(site: &mut Site, peer: Peer) {
    site.listener.handle_gone(site.now, peer.connection);
    site.outputs();
}

fn accept(site: &mut Site) -> Option<ConnectionId> {
    let accepted = site.listener.accept(site.now);
    site.outputs();
    accepted
}

#[test]
fn a_publisher_that_gave_up_makes_place_for_the_next_connection() {
    let mut site = full_site(3);
    let [a, b, c] = ["a", "b", "c"].map(|name| publisher(&mut site, name, 0));
    assert_eq!(accept(&mut site), None, "all of them are there");
    gone(&mut site, b);
    site.pass(1_000);
    gone(&mut site, a);
    for peer in [a, b] {
        assert!(!site.is_closed(peer), "what it sent may still find room");
        assert!(accept(&mut site).is_some());
        assert!(site.is_closed(peer), "the one that was not read for longest goes first");
    }
    assert_eq!(accept(&mut site), None);
    assert_eq!((site.listener.stats().displaced, site.listener.stats().connections), (2, 3));
    assert!(!site.is_closed(c));
}

#[test]
fn a_publisher_that_waits_for_room_makes_place_after_ten_seconds() {
    let mut site = full_site(2);
    let a = publisher(&mut site, "a", 60);
    site.pass(4_000);
    let b = publisher(&mut site, "b", 60);
    site.pass(5_999);
    assert_eq!(accept(&mut site), None);
    site.pass(1);
    assert!(accept(&mut site).is_some());
    assert_eq!(told(&site.received(a)), Some(ReasonCode::SERVER_BUSY));
    assert!(site.is_closed(a) && !site.is_closed(b));
    assert_eq!(accept(&mut site), None);
}

/// A connection that may be read is never displaced, however long it is silent.
#[test]
fn a_connection_that_may_be_read_keeps_its_place() {
    let mut site = full_site(2);
    let (subscriber, _) = site.connect(stays("valve", Version::V311));
    let silent = site.open(Version::V5);
    site.pass(9_000);
    assert_eq!(accept(&mut site), None);
    gone(&mut site, subscriber);
    assert_eq!(accept(&mut site), None, "its end comes by reading");
    assert!(!site.is_closed(silent) && !site.is_closed(subscriber));
}

/// Nobody answers for one that is gone: it is not silent because it is not read.
#[test]
fn keep_alive_counts_again_when_the_peer_is_gone() {
    let mut site = full_site(10);
    let [gave_up, waits] = ["gave-up", "waits"].map(|name| publisher(&mut site, name, 5));
    site.pass(2_000);
    gone(&mut site, gave_up);
    site.pass(5_000);
    assert!(!site.is_closed(gave_up));
    site.pass(1_000);
    assert!(site.is_closed(gave_up));
    site.pass(600_000);
    assert!(!site.is_closed(waits), "its pings may be there, unread");
}

#[test]
fn what_a_publisher_left_behind_is_stored_if_there_is_room_in_time() {
    let mut site = full_site(10);
    let peer = publisher(&mut site, "a", 60);
    site.send(peer, &[publish(2, "store/x", "unread")]);
    gone(&mut site, peer);
    site.pass(10_000);
    site.set_room(true);
    site.outputs();
    assert_eq!(site.stored.len(), 2);
    site.cut(peer);
    assert!(site.is_closed(peer));
}
