//! Links on which a message takes longer than any patience with silence: transmission is no silence. A core against a hub on a path with a rate, a
//! send buffer and a grain, in virtual time. Promises 4 and 5.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Ack, ConnAck, Limits, Packet, PacketId, Properties, Publish, QoS, ReasonCode, Utf8, Version,
};

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// The way to the hub and back.
#[derive(Debug, Clone, Copy)]
struct Path {
    /// Bytes per second, each way.
    rate: u64,
    /// One way.
    latency_ms: u64,
    /// Bytes move in pieces of this size: segments, or what a slow reader's window opens by.
    grain: usize,
    /// Bytes that the system takes before it has no room.
    send_buffer: usize,
    /// Set if the shell tells the core what the system took.
    told: bool,
}

impl Path {
    fn new(rate: u64) -> Self {
        Self { rate, latency_ms: 50, grain: 1_400, send_buffer: 80_000, told: true }
    }

    fn transmission_ms(self, bytes: usize) -> u64 {
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

struct World {
    core: Core<MemorySpool, RawPack>,
    path: Path,
    now_ms: u64,
    dial_ms: Option<u64>,
    /// Not yet taken by the system.
    unsent: BytesMut,
    had_no_room: bool,
    up: Way,
    down: Way,
    hub: BytesMut,
    buffer: BytesMut,
    /// Swallows everything from then on, and lets new connections through.
    half_open: bool,
    has_session: bool,
    dials: usize,
    resets: usize,
    hub_bytes: usize,
    /// Payload sizes with their time of arrival.
    arrived: Vec<(usize, u64)>,
    received: usize,
}

impl World {
    fn new(path: Path) -> Self {
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

    fn now(&self) -> Now {
        Now { up_ms: self.now_ms, wall_ms: 0 }
    }

    fn push(&mut self, size: usize) {
        let row = Row::new(text("plant/1"), Bytes::from(vec![b'x'; size]));
        self.core.spool_mut().push(self.now_ms, row).unwrap();
        self.core.handle_input(self.now(), Input::Rows);
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial => {
                    self.dials += 1;
                    self.dial_ms = Some(self.now_ms + 2 * self.path.latency_ms);
                }
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

    fn hang_up(&mut self) {
        (self.up, self.down) = (Way::default(), Way::default());
        (self.unsent, self.hub, self.buffer) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        (self.half_open, self.had_no_room) = (false, false);
    }

    fn write(&mut self) {
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

    fn run(&mut self, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        while self.step(until_ms) {}
        self.now_ms = until_ms;
    }

    /// Until everything is delivered; returns how long it took.
    fn run_until_delivered(&mut self, within_ms: u64) -> u64 {
        let start_ms = self.now_ms;
        while !self.core.spool().is_empty() && self.step(start_ms + within_ms) {}
        assert!(self.core.spool().is_empty(), "{:?}: {:?}", self.path, self.core.stats());
        self.now_ms - start_ms
    }

    fn step(&mut self, until_ms: u64) -> bool {
        let ways = if self.half_open {
            None
        } else {
            self.up.next_ms().into_iter().chain(self.down.next_ms()).min()
        };
        let next = [ways, self.dial_ms, self.core.poll_timeout()].into_iter().flatten().min();
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
        if self.core.poll_timeout().is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.core.handle_input(self.now(), Input::Timeout);
        }
        self.outputs();
        true
    }

    fn hub_reads(&mut self) {
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
                _ => {}
            }
        }
    }

    fn say(&mut self, packet: &Packet) {
        wire::encode(packet, Version::V5, &mut self.down.waiting).unwrap();
        self.down.begin(self.now_ms, self.path);
    }

    fn assert_one_connection(&self) {
        assert_eq!((self.dials, self.core.stats().stalls), (1, 0), "{:?}", self.path);
    }
}

const RATES: [u64; 7] = [1_000, 2_200, 4_000, 10_000, 32_000, 100_000, 1_000_000];
const SIZES: [usize; 8] = [100, 2_000, 8_000, 20_000, 131_000, 250_000, 600_000, 2_000_000];

/// Any message over any link of 1 kB/s or more: once, on one connection, within twice its transmission time.
#[test]
fn a_large_message_goes_once_over_a_thin_link() {
    for rate in RATES {
        for size in SIZES {
            for (told, grain) in [(true, 1_400), (false, 1_400), (true, 65_536)] {
                let mut world = World::new(Path { told, grain, ..Path::new(rate) });
                world.push(size);
                let own_ms = world.path.transmission_ms(size);
                let took_ms = world.run_until_delivered(2 * own_ms + 1_000);
                assert!(took_ms <= 2 * own_ms + 1_000, "{size} B at {rate} B/s: {took_ms} ms");
                assert_eq!(world.arrived.len(), 1);
                world.assert_one_connection();
                // Nothing goes wrong afterwards either, the keep alive included.
                world.run(120_000);
                world.assert_one_connection();
            }
        }
    }
}

/// The hub's side says nothing for the whole transmission, and nobody tells the core that bytes leave.
#[test]
fn patience_needs_no_word_of_the_shell() {
    for rate in [1_000, 2_200, 4_000] {
        for size in [20_000, 131_000, 250_000] {
            let path = Path { told: false, grain: usize::MAX, send_buffer: usize::MAX, ..Path::new(rate) };
            let mut world = World::new(path);
            world.push(size);
            world.run_until_delivered(2 * world.path.transmission_ms(size));
            world.assert_one_connection();
        }
    }
}

/// Small messages that went through at once say nothing of how long a large one may take.
#[test]
fn mixed_sizes_go_over_one_connection() {
    for rate in RATES {
        for grain in [1_400, 65_536] {
            let mut world = World::new(Path { grain, ..Path::new(rate) });
            let mut bytes = 0;
            for n in 0..60u64 {
                let size = [100, 130, 40, 2_000, 100, 131_000, 100, 250_000, 20_000, 100]
                    [usize::try_from(n % 10).unwrap()];
                bytes += size;
                world.push(size);
                world.run(n * 37 % 900);
            }
            world.run_until_delivered(2 * world.path.transmission_ms(bytes));
            assert_eq!(world.arrived.len(), 60);
            world.assert_one_connection();
        }
    }
}

/// A fast link becomes a thin one while a large message is under way.
#[test]
fn a_link_that_becomes_thin_is_not_broken() {
    for rate in [1_000, 2_000, 10_000] {
        let mut world = World::new(Path { send_buffer: 16_000, ..Path::new(1_000_000) });
        (0..20).for_each(|_| world.push(131_000));
        world.run_until_delivered(10_000);
        world.push(131_000);
        world.run(20);
        world.path.rate = rate;
        world.run_until_delivered(2 * world.path.transmission_ms(131_000));
        world.assert_one_connection();
    }
}

/// The transmission of a message from the hub is no silence either.
#[test]
fn a_large_message_from_the_hub_comes_once() {
    for rate in [1_000, 4_000] {
        let mut world = World::new(Path::new(rate));
        world.core.subscribe(world.now(), text("cmd/#"), QoS::AtLeastOnce);
        world.outputs();
        world.run(1_000);
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text("cmd/a"),
            packet_id: PacketId::new(1),
            properties: Properties::default(),
            payload: Bytes::from(vec![b'x'; 200_000]),
        };
        world.say(&Packet::Publish(publish));
        for _ in 0..20 {
            world.push(100);
            world.run(1_000);
        }
        world.run(world.path.transmission_ms(210_000));
        assert_eq!((world.received, world.core.spool().len()), (1, 0), "{rate}");
        world.assert_one_connection();
    }
}

/// Promise 5: silence while nothing is being transmitted, also after minutes of transmission.
#[test]
fn a_half_open_link_is_found_in_seconds_when_nothing_is_being_transmitted() {
    for (rate, before) in [(1_000_000, 100), (32_000, 131_000), (4_000, 250_000), (1_000, 20_000)] {
        let mut world = World::new(Path::new(rate));
        world.push(before);
        world.run_until_delivered(2 * world.path.transmission_ms(before) + 1_000);
        world.half_open = true;
        let start_ms = world.now_ms;
        // Messages go on, as sensors do.
        while world.resets == 0 && world.now_ms < start_ms + 60_000 {
            world.push(100);
            world.run(500);
        }
        let found_ms = world.now_ms - start_ms;
        assert!(found_ms <= 5_000, "{found_ms} ms at {rate} B/s");
        assert!(world.core.stats().srtt_ms > 0, "kept for the next connection");
        world.run_until_delivered(60_000);
        assert_eq!(world.core.stats().stalls, 1);
    }
}

/// In the middle of a transmission: at once where as much is known to take less, within what may be on the way at 1 kB/s else.
#[test]
fn a_half_open_link_is_found_in_bounded_time_during_a_transmission() {
    let found_ms = |known: bool, size: usize| {
        let mut world = World::new(Path::new(100_000));
        if known {
            world.push(size);
            world.run_until_delivered(60_000);
        }
        world.push(size);
        world.run(200);
        world.half_open = true;
        let start_ms = world.now_ms;
        while world.resets == 0 {
            assert!(world.step(start_ms + 3_600_000));
        }
        world.now_ms - start_ms
    };
    assert!(found_ms(true, 131_000) < 26_000, "{} ms", found_ms(true, 131_000));
    assert!(found_ms(false, 131_000) < 110_000 + 5_000, "{} ms", found_ms(false, 131_000));
    assert!(found_ms(false, 50_000_000) < 330_000 + 5_000, "{} ms", found_ms(false, 50_000_000));
}

/// A link that was given up does not send on what it still holds: the copy would take the path from the next connection.
#[test]
fn a_link_that_is_given_up_is_reset_and_others_are_not() {
    let mut world = World::new(Path::new(1_000_000));
    world.half_open = true;
    world.push(100);
    world.run(20_000);
    assert_eq!((world.resets, world.dials), (1, 2));
    world.core.handle_input(world.now(), Input::HungUp(None));
    world.outputs();
    world.run(5_000);
    world.core.stop(world.now());
    world.outputs();
    assert_eq!(world.resets, 1, "neither the hub's end nor our own");
}
