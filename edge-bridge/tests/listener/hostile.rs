//! Promise 12: no bytes on one connection can panic or hang the listener, or disturb another connection.

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use edge_bridge::listener::Config;

use bytes::BytesMut;
use edge_bridge::wire::{self, Packet, ReasonCode, Version};

/// Some valid packets, then broken: bits flipped, cut, repeated, or noise.
fn hostile(random: &mut Rng, version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for _ in 0..random.index(6) {
        let id = random.index(9) as u16 + 1;
        let packet = match random.index(8) {
            0 => publish(id, "store/x", "x"),
            1 => publish(id, "good", "not for you"),
            2 => subscribe(&["#", "+/+"]),
            3 => puback(id),
            4 => qos0("a", ""),
            5 => Packet::PingReq,
            6 => Packet::Connect(Box::new(stays("good", version))),
            _ => disconnect(ReasonCode::SUCCESS),
        };
        wire::encode(&packet, version, &mut bytes).unwrap();
    }
    let mut bytes = bytes.to_vec();
    for _ in 0..random.index(4) {
        match (random.index(4), bytes.len()) {
            (0, len) if len > 0 => bytes[random.index(len)] ^= 1 << random.index(8),
            (1, len) if len > 0 => bytes.truncate(random.index(len)),
            (2, len) if len > 0 => bytes.extend_from_within(random.index(len)..),
            _ => (0..random.index(40)).for_each(|_| bytes.push(random.next() as u8)),
        }
    }
    bytes
}

/// Found by the loop below: the reason of an unknown version is none of DISCONNECT.
#[test]
fn a_second_connect_of_an_unknown_version_is_a_protocol_error() {
    let mut site = Site::new(Config::default());
    let peer = site.client("c", Version::V5);
    site.send_bytes(peer, b"\x10\x0d\x00\x04MQTT\x09\x00\x00\x00\x00\x00\x00");
    assert_eq!(told(&site.received(peer)), Some(ReasonCode::PROTOCOL_ERROR));
    assert!(site.is_closed(peer));
}

#[test]
fn hostile_bytes_do_not_disturb_the_others() {
    let mut random = Rng::new(seed_or(0x00c0_ffee));
    let cases = 2_000 * percent();
    let mut site = Site::new(Config::default());
    let good = site.client("quiet", Version::V5);
    let publisher = site.client("publisher", Version::V311);
    site.send(good, &[subscribe(&["alarm"])]);
    site.received(good);
    let mut broken = 0;
    for case in 0..cases {
        let version = if random.index(2) == 0 { Version::V5 } else { Version::V311 };
        let peer = site.open(version);
        if random.index(8) > 0 {
            let name = format!("evil{}", random.index(5));
            site.send(peer, &[Packet::Connect(Box::new(stays(&name, version)))]);
        }
        for _ in 0..=random.index(3) {
            let bytes = hostile(&mut random, version);
            if !site.is_closed(peer) {
                site.send_bytes(peer, &bytes);
            }
        }
        if random.index(3) == 0 {
            site.cut(peer);
        }
        broken += u64::from(site.is_closed(peer));
        if random.index(4) == 0 {
            site.pass(random.index(20_000) as u64);
            site.send(good, &[Packet::PingReq]);
            site.send(publisher, &[Packet::PingReq]);
        }
        let id = (case % 60_000) as u16 + 1;
        site.send(publisher, &[publish(id, "alarm", "x")]);
        let acks = site.pubacks(publisher);
        // What hostile clients stored holds up what comes after it, until it is safe.
        while !site.stored.is_empty() {
            site.resolve(0);
        }
        let acks = acks.len() + site.pubacks(publisher).len();
        assert_eq!(acks, 1, "case {case}: the publisher's PUBACK");
        let messages = site.messages(good);
        let alarms: Vec<_> = messages.iter().filter(|m| payload(m) == "x").collect();
        assert!(!alarms.is_empty(), "case {case}: the alarm");
        let ids: Vec<_> = messages.iter().filter_map(|m| m.packet_id).map(|id| puback(id.get())).collect();
        site.send(good, &ids);
        site.received(good);
        if site.listener.stats().connections > 900 {
            site.pass(400_000);
            panic!("connections of clients that ended stay");
        }
        if site.is_closed(peer) {
            continue;
        }
        site.cut(peer);
    }
    let stats = site.listener.stats();
    assert_eq!(stats.connections, 2);
    assert!(stats.queued_bytes <= 16 * 1024 * 1024 && stats.sessions < 2_000);
    assert!(broken > cases / 10, "the bytes are hostile: {broken} of {cases}");
    assert!(!site.is_closed(good) && !site.is_closed(publisher));
    println!(
        "executed listener_hostile: {cases} cases, {broken} connections closed, {} violations",
        stats.violations
    );
}
