//! Random histories of clients that come, go, vanish, stop reading and take over, with a queue that is full at times: nothing waits beyond its
//! limits, every message of the application's is settled once, and in the end nothing is left.

use std::collections::BTreeMap;

use crate::listener_support::*;
use crate::random::{Rng, percent, seed_or};
use bytes::Bytes;
use edge_bridge::listener::{Config, Input};
use edge_bridge::wire::{Connect, Packet, Publish, QoS, ReasonCode, Version, Will};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const TOPICS: [&str; 4] = ["cmd", "store/x", "held/x", "alarm"];
const MAX_CONNECTIONS: usize = 5;
const MAX_TOTAL: usize = 4_000;
const MAX_UNWRITTEN: usize = 1_000;
const MAX_IN_FLIGHT: u16 = 3;
/// The largest packet of a history, and a little more.
const PACKET: usize = 1_600;

struct World {
    site: Site,
    random: Rng,
    peers: Vec<Peer>,
    published: usize,
    id: u16,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.max_connections = MAX_CONNECTIONS;
        config.max_sessions = 7;
        config.max_queued = 12;
        config.max_queued_bytes = 2_000;
        config.max_queued_bytes_total = MAX_TOTAL;
        config.max_unwritten_bytes = MAX_UNWRITTEN;
        config.max_unacked_bytes = 3_000;
        config.max_in_flight = MAX_IN_FLIGHT;
        Self { site: Site::new(config), random: Rng::new(seed), peers: Vec::new(), published: 0, id: 0 }
    }

    fn step(&mut self) {
        match self.random.index(20) {
            0..3 => self.connect(),
            3..12 => self.client_says(),
            12 => self.ends(),
            13..16 => self.application_publishes(),
            16 => {
                let has_room = !self.site.listener.has_room();
                self.site.set_room(has_room);
            }
            17 => {
                let ms = self.random.pick(&[1, 100, 2_000, 11_000, 90_000, 4_000_000]);
                self.site.pass(ms);
            }
            _ => {
                let stored = self.site.stored.len();
                if stored > 0 {
                    let at = self.random.index(stored);
                    self.site.resolve(at);
                }
            }
        }
        self.peers.retain(|peer| !self.site.closed.contains(&peer.connection));
    }

    fn connect(&mut self) {
        let (name, version) = (self.random.pick(&NAMES), self.random.pick(&[Version::V5, Version::V311]));
        let accepted = self.site.listener.accept(self.site.now);
        self.site.outputs();
        let Some(connection) = accepted else { return };
        let peer = Peer { connection, version };
        let mut packet = if self.random.one_in(3) { connect(name, version) } else { stays(name, version) };
        packet.keep_alive_s = self.random.pick(&[0, 5, 60]);
        let (qos, payload) = (self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce]), self.payload());
        packet.will = will("store/gone", &[]).map(|will| Will { qos, payload: Bytes::from(payload), ..will });
        self.site.send(peer, &[Packet::Connect(Box::new(Connect { ..packet }))]);
        self.peers.push(peer);
    }

    fn payload(&mut self) -> String {
        let size = self.random.pick(&[1, 30, 300, 1_500]);
        "x".repeat(size)
    }

    fn client_says(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let peer = self.peers[self.random.index(self.peers.len())];
        let (topic, payload) = (self.random.pick(&TOPICS), self.payload());
        match self.random.index(8) {
            0 => self.site.send(peer, &[subscribe(&[self.random.pick(&["#", "cmd", "alarm", "+/x"])])]),
            1 => self.site.send(peer, &[qos0(topic, &payload)]),
            2 | 3 => {
                self.id = self.id % 60_000 + 1;
                self.site.send(peer, &[publish(self.id, topic, &payload)]);
            }
            4 => self.site.send(peer, &vec![Packet::PingReq; 40]),
            5 if self.random.one_in(2) => {
                self.site.stuck.insert(peer.connection);
            }
            _ => {
                self.site.unstick(peer);
                let messages = self.site.messages(peer);
                let ids = messages.iter().filter_map(|message| message.packet_id);
                let acks: Vec<_> = ids.map(|id| puback(id.get())).collect();
                self.site.send(peer, &acks);
            }
        }
    }

    fn ends(&mut self) {
        if self.peers.is_empty() {
            return;
        }
        let peer = self.peers[self.random.index(self.peers.len())];
        match self.random.index(3) {
            0 => self.site.send(peer, &[disconnect(ReasonCode::SUCCESS)]),
            1 if !self.site.listener.may_read(peer.connection) => {
                self.site.listener.handle_input(self.site.now, peer.connection, Input::Gone { unread: &[] });
                self.site.outputs();
            }
            _ => self.site.cut(peer),
        }
    }

    fn application_publishes(&mut self) {
        let (topic, payload) = (self.random.pick(&TOPICS), self.payload());
        let qos = self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce]);
        self.site.publish(&Publish { qos, retain: self.random.one_in(5), ..message(topic, &payload) });
        self.published += 1;
    }

    fn check(&self, place: &str) {
        let stats = self.site.listener.stats();
        assert!(stats.connections <= MAX_CONNECTIONS && stats.sessions <= 7, "{place}: {stats:?}");
        // The listener asserts that this is the sum of what waits for each client, and that wills are counted as they are.
        assert!(stats.queued_bytes <= MAX_TOTAL, "{place}: {stats:?}");
        let unwritten = self.site.unwritten.values().max().copied().unwrap_or(0);
        let resumed = usize::from(MAX_IN_FLIGHT) * PACKET;
        assert!(
            unwritten <= (2 * MAX_UNWRITTEN + 2 * PACKET).max(resumed),
            "{place}: {unwritten} bytes unwritten"
        );
        assert_eq!(stats.wills_without_room, 0, "{place}: far below 1 MiB");
    }

    fn end(&mut self, place: &str) {
        for peer in std::mem::take(&mut self.peers) {
            self.site.cut(peer);
        }
        self.site.set_room(true);
        while !self.site.stored.is_empty() {
            self.site.resolve(0);
        }
        self.site.pass(8 * 86_400_000);
        while !self.site.stored.is_empty() {
            self.site.resolve(0);
        }
        let stats = self.site.listener.stats();
        assert_eq!((stats.connections, stats.sessions, stats.held), (0, 0, 0), "{place}");
        assert_eq!(stats.queued_bytes, 0, "{place}");
        let mut ends = BTreeMap::new();
        for settled in &self.site.settled {
            *ends.entry(settled.publish).or_insert(0) += 1;
        }
        assert!(ends.values().all(|count| *count == 1), "{place}: settled twice");
        assert_eq!(ends.len(), self.published, "{place}: settled");
    }
}

#[test]
fn nothing_waits_beyond_its_limits_and_nothing_is_left() {
    let (seed, histories) = (seed_or(1), 8 * percent());
    let (mut displaced, mut dropped) = (0, 0);
    for n in 0..histories {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        let mut world = World::new(seed);
        for step in 0..400 {
            world.step();
            world.check(&format!("history {seed}, step {step}"));
        }
        displaced += world.site.listener.stats().displaced;
        dropped += world.site.listener.stats().dropped_full;
        world.end(&format!("history {seed}"));
    }
    assert!(displaced > histories && dropped > histories, "the limits are met: {displaced}, {dropped}");
}
