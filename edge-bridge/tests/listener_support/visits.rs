//! Promise 12 over any bytes on a connection: the tests' own loop calls this with broken packets, the fuzz target with inputs of its own.

use edge_bridge::listener::{Config, Stats};
use edge_bridge::wire::{Packet, Version};

use super::*;

/// One connection of a client that sends anything.
pub struct Visit {
    pub version: Version,
    /// Name of the CONNECT that goes before the bytes, if one does.
    pub name: Option<String>,
    pub parts: Vec<Vec<u8>>,
    /// The client closes its end.
    pub is_cut: bool,
    /// Milliseconds that pass after it.
    pub passes: Option<u64>,
}

/// A subscriber and a publisher that must not notice the visits.
pub struct Others {
    site: Site,
    good: Peer,
    publisher: Peer,
    visits: u64,
}

impl Others {
    pub fn new() -> Self {
        let mut site = Site::new(Config::default());
        let good = site.client("quiet", Version::V5);
        let publisher = site.client("publisher", Version::V311);
        site.send(good, &[subscribe(&["alarm"])]);
        site.received(good);
        Self { site, good, publisher, visits: 0 }
    }

    /// Lets a client do as it likes and a message pass beside it; returns whether its connection had ended by then.
    pub fn visited_by(&mut self, visit: &Visit) -> bool {
        let Self { site, good, publisher, visits } = self;
        let (good, publisher, case) = (*good, *publisher, *visits);
        let peer = site.open(visit.version);
        if let Some(name) = &visit.name {
            site.send(peer, &[Packet::Connect(Box::new(stays(name, visit.version)))]);
        }
        for bytes in &visit.parts {
            if !site.is_closed(peer) {
                site.send_bytes(peer, bytes);
            }
        }
        if visit.is_cut {
            site.cut(peer);
        }
        let is_closed = site.is_closed(peer);
        if let Some(ms) = visit.passes {
            site.pass(ms);
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
        let alarms: Vec<_> = messages.iter().filter(|m| &m.payload[..] == b"x").collect();
        assert!(!alarms.is_empty(), "case {case}: the alarm");
        let ids: Vec<_> = messages.iter().filter_map(|m| m.packet_id).map(|id| puback(id.get())).collect();
        site.send(good, &ids);
        site.received(good);
        if site.listener.stats().connections > 900 {
            site.pass(400_000);
            panic!("connections of clients that ended stay");
        }
        if !site.is_closed(peer) {
            site.cut(peer);
        }
        *visits += 1;
        is_closed
    }

    /// Looks at what is left of the visits.
    pub fn end(&self) -> Stats {
        let stats = self.site.listener.stats();
        assert_eq!(stats.connections, 2);
        assert!(stats.queued_bytes <= 16 * 1024 * 1024 && stats.sessions < 2_000);
        assert!(!self.site.is_closed(self.good) && !self.site.is_closed(self.publisher));
        stats
    }
}
