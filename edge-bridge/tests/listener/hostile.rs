//! Promise 12: no bytes on one connection can panic or hang the listener, or disturb another connection.

use crate::listener_support::visits::{Others, Visit};
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
    let mut others = Others::new();
    let mut broken = 0;
    for _ in 0..cases {
        let version = if random.index(2) == 0 { Version::V5 } else { Version::V311 };
        let name = (random.index(8) > 0).then(|| format!("evil{}", random.index(5)));
        let parts = (0..=random.index(3)).map(|_| hostile(&mut random, version)).collect();
        let is_cut = random.index(3) == 0;
        let passes = (random.index(4) == 0).then(|| random.index(20_000) as u64);
        broken += u64::from(others.visited_by(&Visit { version, name, parts, is_cut, passes }));
    }
    let stats = others.end();
    assert!(broken > cases / 10, "the bytes are hostile: {broken} of {cases}");
    println!(
        "executed listener_hostile: {cases} cases, {broken} connections closed, {} violations",
        stats.violations
    );
}
