//! Places of connections while the queue is full: publishers that gave up, or wait without end, lock nobody out.

use crate::listener_support::*;
use bytes::BytesMut;
use edge_bridge::listener::{Config, ConnectionId, Event, Input};
use edge_bridge::wire::{self, Connect, Packet, ReasonCode, Version};

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
    gone_with(site, peer, &[]);
}

/// Gone, with these packets unread.
fn gone_with(site: &mut Site, peer: Peer, unread: &[Packet]) {
    let mut bytes = BytesMut::new();
    for packet in unread {
        wire::encode(packet, peer.version, &mut bytes).unwrap();
    }
    site.listener.handle_input(site.now, peer.connection, Input::Gone { unread: &bytes });
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
    let [(subscriber, _), (silent, _)] =
        ["valve", "silent"].map(|name| site.connect(stays(name, Version::V311)));
    site.pass(9_000);
    assert_eq!(accept(&mut site), None);
    gone(&mut site, subscriber);
    assert_eq!(accept(&mut site), None, "its end comes by reading");
    assert!(!site.is_closed(silent) && !site.is_closed(subscriber));
}

fn accept_from(site: &mut Site, address: &str) -> Option<ConnectionId> {
    let accepted = site.listener.accept_from(site.now, Some(address.parse().unwrap()));
    site.outputs();
    accepted
}

fn is_closed(site: &Site, connection: ConnectionId) -> bool {
    site.is_closed(Peer { connection, version: Version::V5 })
}

/// Places for which nobody has said who it is yet are shared by address: who opens connections and says nothing locks nobody else out.
#[test]
fn connections_without_a_name_make_place_for_another_address() {
    let mut site = full_site(4);
    let (client, _) = site.connect(connect("client", Version::V5));
    let [a, b, c] =
        ["10.0.0.7:1", "10.0.0.7:2", "10.0.0.8:1"].map(|from| accept_from(&mut site, from).unwrap());
    let d = accept_from(&mut site, "10.0.0.9:1").unwrap();
    assert!(is_closed(&site, a), "the oldest of the address with most");
    assert_eq!(accept_from(&mut site, "10.0.0.8:2"), None, "no address has more than its own");
    assert!(accept_from(&mut site, "10.0.0.10:1").is_some());
    assert!(is_closed(&site, b) && !is_closed(&site, c) && !is_closed(&site, d) && !site.is_closed(client));
    assert_eq!((site.listener.stats().displaced, site.listener.stats().connections), (2, 4));
}

fn client_from(site: &mut Site, name: &str, address: &str) -> Option<Peer> {
    let connection = accept_from(site, address)?;
    let peer = Peer { connection, version: Version::V311 };
    site.send(peer, &[Packet::Connect(Box::new(stays(name, Version::V311)))]);
    Some(peer)
}

/// A peer that says a name on each of hundreds of connections, and then nothing, locks no other address out.
#[test]
fn silent_clients_of_one_address_make_place_for_another_address() {
    let mut site = Site::new({
        let mut config = Config::default();
        config.max_connections = 5;
        config
    });
    let sensor = client_from(&mut site, "sensor", "10.0.0.8:1").unwrap();
    let crowd: Vec<_> =
        (0..4).map(|n| client_from(&mut site, &format!("c{n}"), &format!("10.0.0.7:{n}")).unwrap()).collect();
    site.pass(9_999);
    assert_eq!(accept_from(&mut site, "10.0.0.9:1"), None, "none of them has been silent for ten seconds");
    site.pass(1);
    site.send(crowd[0], &[Packet::PingReq]);
    assert_eq!(accept_from(&mut site, "10.0.0.7:9"), None, "not for their own address");
    assert!(client_from(&mut site, "other", "10.0.0.9:1").is_some());
    assert!(site.is_closed(crowd[1]) && !site.is_closed(crowd[0]), "the one that was silent longest");
    assert!(client_from(&mut site, "other2", "10.0.0.8:2").is_some(), "three are two more than one");
    assert!(site.is_closed(crowd[2]) && !site.is_closed(sensor));
    assert_eq!(accept_from(&mut site, "10.0.0.9:2"), None, "two are one more than one");
    assert_eq!((site.listener.stats().displaced, site.listener.stats().connections), (2, 5));
}

/// A client says its name at once.
#[test]
fn a_connection_without_a_name_makes_place_for_its_own_address_after_a_second() {
    let mut site = full_site(2);
    let a = accept_from(&mut site, "10.0.0.7:1").unwrap();
    site.pass(500);
    let b = accept_from(&mut site, "10.0.0.7:2").unwrap();
    site.pass(499);
    assert_eq!(accept_from(&mut site, "10.0.0.7:3"), None);
    site.pass(1);
    assert!(accept_from(&mut site, "10.0.0.7:3").is_some());
    assert!(is_closed(&site, a) && !is_closed(&site, b));
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

/// Also where nothing is said to it when it is read again: what others sent was stored, and its own message still waits.
#[test]
fn keep_alive_counts_again_when_the_peer_is_read_again() {
    let mut config = Config::default();
    config.max_unacked_bytes = 1_000;
    let mut site = Site::new(config);
    let [(silent, _), (busy, _)] = [("silent", 5), ("busy", 0)]
        .map(|(name, keep_alive_s)| site.connect(Connect { keep_alive_s, ..connect(name, Version::V311) }));
    site.send(silent, &[publish(1, "store/a", "small")]);
    site.send(busy, &[publish(1, "store/b", &"x".repeat(1_000))]);
    assert!(!site.listener.may_read(silent.connection));
    site.pass(60_000);
    assert!(!site.is_closed(silent), "its pings may be there, unread");
    site.resolve(1);
    assert!(site.listener.may_read(silent.connection));
    site.pass(12_000);
    assert!(site.is_closed(silent) && !site.is_closed(busy));
}

/// Its PUBACK, and a turn in which nothing was there yet, are no reason to look at once: its pings are read a moment later.
#[test]
fn keep_alive_has_its_grace_after_a_pause_whatever_is_done_for_the_peer_meanwhile() {
    let mut site = full_site(10);
    let peer = publisher(&mut site, "a", 5);
    site.pass(60_000);
    site.set_room(true);
    assert!(site.listener.may_read(peer.connection));
    site.listener.handle_timeout(site.now);
    site.resolve(0);
    site.listener.handle_input(site.now, peer.connection, Input::Bytes(&mut BytesMut::new()));
    site.listener.handle_timeout(site.now);
    site.outputs();
    assert!(!site.is_closed(peer), "its pings are in the network");
    site.pass(1_000);
    site.send(peer, &[Packet::PingReq]);
    site.pass(7_499);
    assert!(!site.is_closed(peer));
    site.pass(1);
    assert!(site.is_closed(peer));
}

/// A lane at its limit is full and not full in turns.
#[test]
fn keep_alive_has_its_grace_after_a_pause_that_ends_just_before_it_is_over() {
    let mut site = full_site(10);
    let peer = publisher(&mut site, "a", 5);
    site.pass(7_499);
    site.set_room(true);
    site.pass(1_999);
    site.outputs();
    assert!(!site.is_closed(peer), "its pings are in the network");
    site.pass(2);
    assert!(site.is_closed(peer));
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

/// A publisher with a will, held.
fn with_will(site: &mut Site) -> Peer {
    let connect = Connect { will: will("store/gone", &[]), keep_alive_s: 5, ..connect("a", Version::V5) };
    let (peer, _) = site.connect(connect);
    site.send(peer, &[publish(1, "store/x", "held")]);
    peer
}

/// It left in order, and that is not read: no will, however the connection ends.
#[test]
fn an_unread_disconnect_counts_when_the_connection_ends() {
    let ends: [fn(&mut Site, Peer); 4] = [
        |site, _| site.pass(10_000),
        |site, _| assert!(accept(site).is_some()),
        |site, peer| site.cut(peer),
        |site, peer| {
            gone(site, peer);
            site.cut(peer);
        },
    ];
    for end in ends {
        for (reason, wills) in [(ReasonCode::SUCCESS, 0), (ReasonCode::DISCONNECT_WITH_WILL, 1)] {
            let mut site = full_site(1);
            let peer = with_will(&mut site);
            gone_with(
                &mut site,
                peer,
                &[publish(2, "store/x", "unread"), Packet::PingReq, disconnect(reason)],
            );
            assert!(!site.is_closed(peer));
            end(&mut site, peer);
            assert!(site.is_closed(peer));
            assert_eq!(site.listener.stats().received, 1 + wills, "{reason:?}");
        }
    }
}

#[test]
fn the_beginning_of_a_disconnect_is_none() {
    let mut site = full_site(1);
    let peer = with_will(&mut site);
    site.listener.handle_input(site.now, peer.connection, Input::Gone { unread: b"\xe0" });
    site.cut(peer);
    assert_eq!(site.listener.stats().received, 2, "the message and the will");
}

/// A judgement about a connection that was not read holds no longer than that.
#[test]
fn a_connection_that_is_read_again_is_not_gone() {
    let mut site = full_site(1);
    let peer = with_will(&mut site);
    gone_with(&mut site, peer, &[disconnect(ReasonCode::SUCCESS)]);
    site.set_room(true);
    site.send(peer, &[Packet::PingReq]);
    site.set_room(false);
    site.send(peer, &[publish(2, "store/x", "held")]);
    assert_eq!(accept(&mut site), None, "it is there");
    site.cut(peer);
    assert_eq!(site.listener.stats().received, 3, "two messages and the will");
}

/// Each leaves a session for which the message of `publisher` to `plant/x` waits.
fn absent_with_a_message(site: &mut Site, publisher: Peer, names: &[&str]) {
    // They come in another order than that in which they leave.
    let peers: Vec<Peer> = names.iter().rev().map(|name| site.client(name, Version::V5)).collect();
    for peer in peers.into_iter().rev() {
        site.send(peer, &[subscribe(&["plant/#"])]);
        site.send(peer, &[disconnect(ReasonCode::SUCCESS)]);
        site.pass(1_000);
    }
    site.send(publisher, &[publish(1, "plant/x", "1")]);
}

fn sessions_ended(site: &Site) -> Vec<(&str, usize)> {
    let ended = site.events.iter().filter_map(|event| match event {
        Event::SessionEnded { client, dropped, .. } => Some((client.as_str(), *dropped)),
        _ => None,
    });
    ended.collect()
}

/// Otherwise one client locks out all others for as long as its sessions last.
#[test]
fn sessions_of_absent_clients_lock_nobody_out() {
    let mut config = Config::default();
    config.max_sessions = 4;
    let mut site = Site::new(config);
    let publisher = site.client("publisher", Version::V5);
    // Its session would end last: the time away counts, not the expiry that a client asks for.
    absent_with_a_message(&mut site, publisher, &["z", "b", "c"]);
    let sensor = site.client("sensor", Version::V5);
    assert_eq!(sessions_ended(&site), [("z", 1)], "the one that was away longest");
    site.cut(sensor);
    site.client("another", Version::V5);
    assert_eq!(sessions_ended(&site).last(), Some(&("sensor", 0)), "an empty one before all others");
    site.client("third", Version::V311);
    assert_eq!(sessions_ended(&site).last(), Some(&("b", 1)));
    let stats = site.listener.stats();
    assert_eq!((stats.sessions, stats.refused, stats.dropped_full), (4, 0, 2));
    assert_eq!(stats.sessions_given_up, 3);
    let kept = site.client("c", Version::V5);
    assert_eq!(site.payloads(kept), ["1"], "the others keep what waits for them");
}

#[test]
fn the_session_of_a_connected_client_makes_no_place() {
    let mut config = Config::default();
    config.max_sessions = 2;
    let mut site = Site::new(config);
    let publisher = site.client("publisher", Version::V5);
    let reader = site.client("reader", Version::V5);
    let (_, ack) = site.connect(stays("third", Version::V5));
    assert_eq!(ack.reason, ReasonCode::QUOTA_EXCEEDED);
    assert!(!site.is_closed(publisher) && !site.is_closed(reader));
    assert_eq!(site.listener.stats().refused, 1);
}
