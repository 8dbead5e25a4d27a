//! A core and its hub, with a path between them that has a rate.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Ack, ConnAck, Limits, Packet, Properties, QoS, ReasonCode, SubAck, Subscribe, Utf8, Version,
};

pub(crate) fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// The way to the hub and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    /// Bytes per second, each way.
    pub(crate) rate: u64,
    /// One way.
    pub(crate) latency_ms: u64,
    /// Bytes move in pieces of this size: segments, or what a slow reader's window opens by.
    pub(crate) grain: usize,
    /// Bytes that the system takes before it has no room.
    pub(crate) send_buffer: usize,
    /// Set if the shell tells the core what the system took.
    pub(crate) told: bool,
}

impl Path {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, latency_ms: 50, grain: 1_400, send_buffer: 80_000, told: true }
    }

    pub(crate) fn transmission_ms(self, bytes: usize) -> u64 {
        (bytes as u64 * 1_000).div_ceil(self.rate)
    }
}

/// One direction of one connection.
#[derive(Debug, Default)]
struct Way {
    waiting: BytesMut,
    /// The piece that is being transmitted, and when it is over.
    moving: Option<(u64, Bytes)>,
    arriving: VecDeque<(u64, Bytes)>,
}

impl Way {
    /// Moves what left by now, and returns its size.
    fn advance(&mut self, now_ms: u64, path: Path) -> usize {
        let mut left = 0;
        while let Some((over_ms, piece)) = self.moving.take_if(|(over_ms, _)| *over_ms <= now_ms) {
            left += piece.len();
            self.arriving.push_back((over_ms + path.latency_ms, piece));
            self.begin(over_ms, path);
        }
        self.begin(now_ms, path);
        left
    }

    fn begin(&mut self, now_ms: u64, path: Path) {
        if self.moving.is_none() && !self.waiting.is_empty() {
            let piece = self.waiting.split_to(path.grain.min(self.waiting.len())).freeze();
            self.moving = Some((now_ms + path.transmission_ms(piece.len()), piece));
        }
    }

    fn arrived(&mut self, now_ms: u64) -> Option<Bytes> {
        self.arriving.front().filter(|(at_ms, _)| *at_ms <= now_ms)?;
        self.arriving.pop_front().map(|(_, bytes)| bytes)
    }

    fn next_ms(&self) -> Option<u64> {
        let moving = self.moving.as_ref().map(|(over_ms, _)| *over_ms);
        let arriving = self.arriving.front().map(|(at_ms, _)| *at_ms);
        [moving, arriving].into_iter().flatten().min()
    }

    fn held(&self) -> usize {
        self.waiting.len() + self.moving.as_ref().map_or(0, |(_, piece)| piece.len())
    }
}

pub(crate) struct World {
    pub(crate) core: Core<MemorySpool, RawPack>,
    pub(crate) path: Path,
    pub(crate) now_ms: u64,
    pub(crate) dial_ms: Option<u64>,
    /// Not yet taken by the system.
    pub(crate) unsent: BytesMut,
    pub(crate) had_no_room: bool,
    up: Way,
    down: Way,
    pub(crate) hub: BytesMut,
    pub(crate) buffer: BytesMut,
    /// Swallows everything from then on, and lets new connections through.
    pub(crate) half_open: bool,
    pub(crate) has_session: bool,
    pub(crate) dials: usize,
    pub(crate) resets: usize,
    pub(crate) hub_bytes: usize,
    /// Payload sizes with their time of arrival.
    pub(crate) arrived: Vec<(usize, u64)>,
    pub(crate) received: usize,
}

impl World {
    pub(crate) fn new(path: Path) -> Self {
        let mut client = ClientConfig::new(text("site7"));
        client.keep_alive_s = 20;
        let spool = MemorySpool::new(10_000, 100_000_000);
        let core = Core::new(LinkConfig::new(client), spool, RawPack::new(false));
        let mut world = Self {
            core,
            path,
            now_ms: 1,
            dial_ms: None,
            unsent: BytesMut::new(),
            had_no_room: false,
            up: Way::default(),
            down: Way::default(),
            hub: BytesMut::new(),
            buffer: BytesMut::new(),
            half_open: false,
            has_session: false,
            dials: 0,
            resets: 0,
            hub_bytes: 0,
            arrived: Vec::new(),
            received: 0,
        };
        world.core.start(world.now());
        world.outputs();
        world.run(10_000);
        assert!(world.core.session().unwrap().is_open());
        world
    }

    pub(crate) fn now(&self) -> Now {
        Now { up_ms: self.now_ms, wall_ms: 0 }
    }

    pub(crate) fn subscribe(&mut self) {
        self.core.subscribe(self.now(), text("cmd/#"), QoS::AtLeastOnce);
        self.outputs();
        self.run(10_000);
    }

    pub(crate) fn push(&mut self, size: usize) {
        let row = Row::new(text("plant/1"), Bytes::from(vec![b'x'; size]));
        self.core.spool_mut().push(self.now_ms, row).unwrap();
        self.core.handle_input(self.now(), Input::Rows);
        self.outputs();
    }

    pub(crate) fn outputs(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial { .. } => {
                    self.dials += 1;
                    self.dial_ms = Some(self.now_ms + 2 * self.path.latency_ms);
                }
                Output::Probe { .. } => panic!("there is one address"),
                Output::Hangup => {
                    self.resets += usize::from(self.core.has_given_up());
                    self.hang_up();
                }
                Output::Transmit(bytes) => self.unsent.extend_from_slice(&bytes),
                Output::Event(Event::Message { ack, .. }) => {
                    self.received += 1;
                    self.core.ack(self.now(), ack.unwrap(), ReasonCode::SUCCESS).unwrap();
                }
                Output::Event(_) => {}
            }
        }
        self.write();
    }

    pub(crate) fn hang_up(&mut self) {
        (self.up, self.down) = (Way::default(), Way::default());
        (self.unsent, self.hub, self.buffer) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        (self.half_open, self.had_no_room) = (false, false);
    }

    pub(crate) fn write(&mut self) {
        let room = self.path.send_buffer.saturating_sub(self.up.held());
        // As a kernel does: it calls again when a third is free.
        if self.unsent.is_empty() || (self.had_no_room && room * 3 < self.path.send_buffer) {
            return;
        }
        let bytes = room.min(self.unsent.len());
        self.up.waiting.extend_from_slice(&self.unsent.split_to(bytes));
        let waited = std::mem::replace(&mut self.had_no_room, !self.unsent.is_empty());
        if !self.half_open {
            self.up.begin(self.now_ms, self.path);
        }
        if self.path.told {
            self.core.handle_input(self.now(), Input::Written { bytes: bytes as u64, waited });
        }
    }

    pub(crate) fn run(&mut self, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        while self.step(until_ms) {}
        self.now_ms = until_ms;
    }

    /// Until everything is delivered; returns how long it took.
    pub(crate) fn run_until_delivered(&mut self, within_ms: u64) -> u64 {
        let start_ms = self.now_ms;
        while !self.core.spool().is_empty() && self.step(start_ms + within_ms) {}
        assert!(self.core.spool().is_empty(), "{:?}: {:?}", self.path, self.core.stats());
        self.now_ms - start_ms
    }

    pub(crate) fn step(&mut self, until_ms: u64) -> bool {
        let ways = if self.half_open {
            None
        } else {
            self.up.next_ms().into_iter().chain(self.down.next_ms()).min()
        };
        let next = [ways, self.dial_ms, self.core.next_deadline()].into_iter().flatten().min();
        let Some(at_ms) = next.filter(|at_ms| *at_ms <= until_ms) else { return false };
        self.now_ms = self.now_ms.max(at_ms);
        if self.dial_ms.take_if(|at_ms| *at_ms <= self.now_ms).is_some() {
            self.core.handle_input(self.now(), Input::Dialed);
            self.outputs();
        }
        if !self.half_open {
            self.up.advance(self.now_ms, self.path);
            self.down.advance(self.now_ms, self.path);
            while let Some(bytes) = self.up.arrived(self.now_ms) {
                self.hub_bytes += bytes.len();
                self.hub.extend_from_slice(&bytes);
                self.hub_reads();
            }
            while let Some(bytes) = self.down.arrived(self.now_ms) {
                self.buffer.extend_from_slice(&bytes);
                let mut before = usize::MAX;
                while self.buffer.len() < before {
                    before = self.buffer.len();
                    let now = self.now();
                    self.core.handle_input(now, Input::Bytes(&mut self.buffer));
                    self.outputs();
                }
            }
            self.write();
        }
        if self.core.next_deadline().is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.core.handle_timeout(self.now());
        }
        self.outputs();
        true
    }

    pub(crate) fn hub_reads(&mut self) {
        if self.hub.first() == Some(&0x10) {
            if wire::decode_connect(&mut self.hub, &Limits::default()).unwrap().is_none() {
                return;
            }
            let session_present = std::mem::replace(&mut self.has_session, true);
            let (reason, properties) = (ReasonCode::SUCCESS, Properties::default());
            self.say(&Packet::ConnAck(ConnAck { session_present, reason, properties }));
        }
        let limits = Limits::default().with_max_packet_size(100_000_000);
        while let Some(packet) = wire::decode(&mut self.hub, Version::V5, &limits).unwrap() {
            match packet {
                Packet::Publish(publish) => {
                    self.arrived.push((publish.payload.len(), self.now_ms));
                    self.say(&Packet::PubAck(Ack::new(publish.packet_id.unwrap(), ReasonCode::SUCCESS)));
                }
                Packet::PingReq => self.say(&Packet::PingResp),
                Packet::Subscribe(Subscribe { packet_id, filters, .. }) => {
                    let reasons = vec![ReasonCode::GRANTED_QOS_1; filters.len()];
                    let properties = Properties::default();
                    self.say(&Packet::SubAck(SubAck { packet_id, properties, reasons }));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn say(&mut self, packet: &Packet) {
        wire::encode(packet, Version::V5, &mut self.down.waiting).unwrap();
        self.down.begin(self.now_ms, self.path);
    }

    pub(crate) fn assert_one_connection(&self) {
        assert_eq!((self.dials, self.core.stats().stalls), (1, 0), "{:?}", self.path);
    }
}
