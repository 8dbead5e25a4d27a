//! A listener in virtual time, and clients that are packets and nothing else.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

mod packets;
pub mod visits;

use std::collections::{HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::{Config, ConnectionId, Event, Input, Listener, Output, Settled, Ticket};
use edge_bridge::puback_chain::Group;
use edge_bridge::row::Row;
use edge_bridge::wire::{self, ConnAck, Connect, Limits, Packet, Publish, ReasonCode, Version};

pub use packets::*;

/// Stores `store/…`, refuses `bad/…`, withholds `held/…`, absorbs everything else.
#[derive(Debug, Default)]
pub struct Script {
    pub seen: Vec<Inbound>,
    pub tickets: Vec<Ticket>,
    /// `store/gone` is absorbed, and not seen.
    pub is_deaf_to_wills: bool,
    /// Lane of every message, in place of the topic's, after a change of routes.
    pub only_lane: Option<u8>,
    /// Lane of the message that was answered last.
    answered: Option<u8>,
}

impl Ingest for Script {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        if self.is_deaf_to_wills && message.topic.as_str() == "store/gone" {
            return Answer::Absorb;
        }
        self.seen.push(message.clone());
        self.answered = self.lane(message);
        match message.topic.as_str() {
            topic if topic.starts_with("store/") => {
                let mut row = Row::new(message.topic.clone(), message.payload.clone());
                row.ttl_ms = message.to_row().ttl_ms;
                Answer::Store(vec![row])
            }
            topic if topic.starts_with("held/") => Answer::Withhold(Vec::new()),
            topic if topic.starts_with("bad/") => Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID),
            _ => Answer::Absorb,
        }
    }

    fn on_ticket(&mut self, ticket: Ticket) {
        self.tickets.push(ticket);
    }

    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        let mut row = message.dead_letter(reason);
        row.possible_duplicate |= message.topic.as_str() == "bad/copy";
        row
    }

    /// By the topic's end: `…/lane0`, `…/lane1`.
    fn lane(&self, message: &Inbound) -> Option<u8> {
        self.only_lane.or_else(|| message.topic.rsplit_once("/lane")?.1.parse().ok())
    }

    fn lanes_version(&self) -> u32 {
        self.only_lane.is_some().into()
    }

    fn group(&self) -> Option<Group> {
        self.answered.map(|lane| Group { number: lane.into(), division: 0 })
    }
}

/// A client's end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub connection: ConnectionId,
    pub version: Version,
}

pub struct Site {
    pub listener: Listener<Script>,
    pub now: Now,
    pub stored: Vec<(Ticket, Vec<Row>)>,
    pub commits: usize,
    pub events: Vec<Event>,
    pub settled: Vec<Settled>,
    pub closed: HashSet<ConnectionId>,
    /// Of these the ones whose last bytes were dropped.
    pub discarded: HashSet<ConnectionId>,
    /// Connections whose network takes nothing more.
    pub stuck: HashSet<ConnectionId>,
    /// Bytes that wait to be written to them since they are stuck.
    pub unwritten: HashMap<ConnectionId, usize>,
    /// Bytes that a shell would go on writing to connections that are closed.
    pub flushing: usize,
    /// A queue that takes nothing.
    pub full: bool,
    /// Bytes that a shell would hold for connections that are stuck.
    untaken: HashMap<ConnectionId, Vec<Bytes>>,
    received: HashMap<ConnectionId, BytesMut>,
    /// In its network.
    unread: HashMap<ConnectionId, BytesMut>,
    /// Read and not yet taken in.
    buffers: HashMap<ConnectionId, BytesMut>,
}

/// Bytes that are read at a time at most, as by the shell where there are many connections.
const READ_MAX: usize = 8 * 1024;

/// Numbers for assigned client identifiers, each once.
fn numbers() -> impl FnMut() -> Option<u128> + Send + 'static {
    let mut numbers = 0..;
    move || numbers.next()
}

impl Site {
    pub fn new(config: Config) -> Self {
        Self {
            listener: Listener::new(config, Script::default()).with_random(numbers()),
            now: Now { up_ms: 1_000, wall_ms: 1_700_000_000_000 },
            stored: Vec::new(),
            commits: 0,
            events: Vec::new(),
            settled: Vec::new(),
            closed: HashSet::new(),
            discarded: HashSet::new(),
            stuck: HashSet::new(),
            unwritten: HashMap::new(),
            flushing: 0,
            full: false,
            untaken: HashMap::new(),
            received: HashMap::new(),
            unread: HashMap::new(),
            buffers: HashMap::new(),
        }
    }

    pub fn open(&mut self, version: Version) -> Peer {
        let connection = self.listener.accept(self.now).expect("room for a connection");
        self.outputs();
        Peer { connection, version }
    }

    /// Connects and gives what came back first.
    pub fn connect(&mut self, connect: Connect) -> (Peer, ConnAck) {
        let peer = self.open(connect.version);
        self.send(peer, &[Packet::Connect(Box::new(connect))]);
        // What came behind the CONNACK stays for `received`.
        let buffer = self.received.entry(peer.connection).or_default();
        match wire::decode(buffer, peer.version, &Limits::default()).unwrap() {
            Some(Packet::ConnAck(ack)) => (peer, ack),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// A client with this name and a session that stays.
    pub fn client(&mut self, name: &str, version: Version) -> Peer {
        let (peer, ack) = self.connect(stays(name, version));
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        peer
    }

    pub fn send(&mut self, peer: Peer, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            wire::encode(packet, peer.version, &mut bytes).unwrap();
        }
        self.send_bytes(peer, &bytes);
    }

    pub fn send_bytes(&mut self, peer: Peer, bytes: &[u8]) {
        self.unread.entry(peer.connection).or_default().extend_from_slice(bytes);
        self.read(peer.connection);
    }

    /// Returns what the listener sent to `peer` since the last call.
    pub fn received(&mut self, peer: Peer) -> Vec<Packet> {
        let buffer = self.received.entry(peer.connection).or_default();
        let mut packets = Vec::new();
        while let Some(packet) = wire::decode(buffer, peer.version, &Limits::default()).unwrap() {
            packets.push(packet);
        }
        packets
    }

    /// Its PUBLISHes: payload, QoS, whether DUP.
    pub fn messages(&mut self, peer: Peer) -> Vec<Publish> {
        let packets = self.received(peer).into_iter();
        packets.filter_map(|p| if let Packet::Publish(publish) = p { Some(publish) } else { None }).collect()
    }

    pub fn payloads(&mut self, peer: Peer) -> Vec<String> {
        self.messages(peer).iter().map(payload).collect()
    }

    /// The packet identifiers and reasons of its PUBACKs.
    pub fn pubacks(&mut self, peer: Peer) -> Vec<(u16, ReasonCode)> {
        let packets = self.received(peer).into_iter();
        let acks = packets.filter_map(|p| if let Packet::PubAck(ack) = p { Some(ack) } else { None });
        acks.map(|ack| (ack.packet_id.get(), ack.reason)).collect()
    }

    pub fn cut(&mut self, peer: Peer) {
        self.listener.handle_input(self.now, peer.connection, Input::Closed);
        self.outputs();
    }

    pub fn is_closed(&self, peer: Peer) -> bool {
        self.closed.contains(&peer.connection)
    }

    /// Lets time pass, with every deadline on the way.
    pub fn pass(&mut self, ms: u64) {
        let end_ms = self.now.up_ms + ms;
        for steps in 0.. {
            assert!(steps < 1_000_000, "a deadline that never moves");
            let Some(at_ms) = self.listener.next_deadline().filter(|at_ms| *at_ms <= end_ms) else { break };
            self.to(at_ms.max(self.now.up_ms));
            self.listener.handle_timeout(self.now);
            self.outputs();
        }
        self.to(end_ms);
    }

    pub fn resolve(&mut self, at: usize) {
        let (ticket, _) = self.stored.remove(at);
        self.listener.resolve(self.now, ticket);
        self.outputs();
    }

    pub fn set_room(&mut self, has_room: bool) {
        self.full = !has_room;
        self.listener.set_room(self.now, has_room);
        self.outputs();
    }

    pub fn set_full_lanes(&mut self, lanes: u8) {
        self.listener.set_full_lanes(self.now, lanes);
        self.outputs();
    }

    pub fn publish(&mut self, publish: &Publish) {
        self.listener.publish(self.now, publish);
        self.outputs();
    }

    /// Bytes for `peer` that it did not look at.
    pub fn unwritten(&self, peer: Peer) -> usize {
        self.received.get(&peer.connection).map_or(0, BytesMut::len)
    }

    /// Bytes of `peer` that the listener has not taken in.
    pub fn unread(&self, peer: Peer) -> Bytes {
        let of = |of: &HashMap<ConnectionId, BytesMut>| of.get(&peer.connection).cloned().unwrap_or_default();
        [of(&self.buffers), of(&self.unread)].concat().into()
    }

    /// The network of a client that is stuck takes so many bytes.
    pub fn take_slowly(&mut self, peer: Peer, bytes: usize) {
        let waits = self.unwritten.entry(peer.connection).or_default();
        let taken = bytes.min(*waits);
        *waits -= taken;
        self.listener.handle_input(self.now, peer.connection, Input::Written(taken));
        self.outputs();
    }

    /// The network takes what waited.
    pub fn unstick(&mut self, peer: Peer) {
        self.stuck.remove(&peer.connection);
        self.untaken.remove(&peer.connection);
        self.unwritten.remove(&peer.connection);
        let written = self.unwritten(peer);
        self.listener.handle_input(self.now, peer.connection, Input::Written(written));
        self.outputs();
    }

    fn to(&mut self, up_ms: u64) {
        self.now.wall_ms += i64::try_from(up_ms - self.now.up_ms).unwrap();
        self.now.up_ms = up_ms;
    }

    fn read(&mut self, connection: ConnectionId) {
        let Some(mut unread) = self.unread.remove(&connection) else { return };
        let mut buffer = self.buffers.remove(&connection).unwrap_or_default();
        while !(unread.is_empty() && buffer.is_empty()) && self.listener.may_read(connection) {
            let read = unread.split_to(unread.len().min(READ_MAX));
            let is_done = read.is_empty();
            let before = buffer.len();
            buffer.extend_from_slice(&read);
            self.listener.handle_input(self.now, connection, Input::Bytes(&mut buffer));
            self.do_outputs();
            if is_done && buffer.len() == before {
                break;
            }
        }
        if !self.closed.contains(&connection) {
            self.unread.insert(connection, unread);
            self.buffers.insert(connection, buffer);
        }
    }

    /// Does what the listener says, then reads what may be read again.
    pub fn outputs(&mut self) {
        self.do_outputs();
        let waits = |id: &ConnectionId| {
            [&self.unread, &self.buffers].iter().any(|of| of.get(id).is_some_and(|b| !b.is_empty()))
        };
        let waiting: Vec<_> = self.unread.keys().filter(|id| waits(id)).copied().collect();
        for connection in waiting {
            self.read(connection);
        }
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.listener.poll_output() {
            match output {
                Output::Transmit { connection, bytes } => {
                    assert!(!self.closed.contains(&connection), "bytes after the close");
                    self.received.entry(connection).or_default().extend_from_slice(&bytes);
                    if self.stuck.contains(&connection) {
                        *self.unwritten.entry(connection).or_default() += bytes.len();
                        self.untaken.entry(connection).or_default().push(bytes);
                    } else {
                        self.listener.handle_input(self.now, connection, Input::Written(bytes.len()));
                    }
                }
                Output::Close { connection, discards } => {
                    assert!(self.closed.insert(connection), "closed twice");
                    if discards {
                        self.discarded.insert(connection);
                    }
                    self.unread.remove(&connection);
                    self.buffers.remove(&connection);
                    let left = self.unwritten.remove(&connection).unwrap_or(0);
                    self.flushing += if discards { 0 } else { left };
                    self.untaken.remove(&connection);
                }
                Output::Store { ticket, rows } if self.full => self.listener.hand_back(ticket, rows),
                Output::Store { ticket, rows } => self.stored.push((ticket, rows)),
                Output::Commit => self.commits += 1,
                Output::Settled(settled) => self.settled.push(settled),
                Output::Event(event) => self.events.push(event),
            }
        }
    }
}
