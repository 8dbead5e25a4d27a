//! Test rig in virtual time: sensors, the listener with the gateway's ingest, a queue whose commits come at random, and crashes.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::ingest::Now;
use edge_bridge::listener::{Config as ListenerConfig, ConnectionId, Input, Listener, Output};
use edge_bridge::net::server::Receipts;
use edge_bridge::wire::{self, Connect, Limits, Packet, PacketId, Properties, Publish, QoS, Utf8, Version};
use edge_codec::Value;

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;

use super::super::ingest::GatewayIngest;
use super::{Link, Tell};
use outage_drill::Rng;

/// A reading: sensor, event time, value.
pub(super) type Point = (String, i64, f64);

/// Planted faults of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    Nothing,
    /// Held readings are acknowledged as suppressed ones.
    AcknowledgesAtOnce,
    /// The PUBACK leaves when what stands for a reading is emitted, not when it is safe.
    DoesNotWaitForTheDisk,
}

/// Acts on one gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) defaults: &'a str,
    pub(super) stages: &'a str,
    pub(super) hold_max_ms: u64,
    /// Most unacknowledged messages of each client.
    pub(super) window: usize,
    pub(super) planted: Planted,
}

/// State that survives a crash.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// By sensor, in order of time.
    pub(super) durable: HashMap<String, Vec<(i64, f64)>>,
    pub(super) acked: Vec<Point>,
}

/// Values move by thousandths and are divided by 100: from here none is ever an integer, as a count is.
const FIRST_VALUE: f64 = 0.000_5;

#[derive(Debug, Default)]
struct Client {
    connection: Option<ConnectionId>,
    received: BytesMut,
    backlog: VecDeque<Vec<Point>>,
    /// Packet identifier, since when, what; in order.
    unacked: VecDeque<(u16, u64, Vec<Point>)>,
    last_id: u16,
    value: f64,
}

pub(super) struct World<'a> {
    case: Case<'a>,
    config: Config,
    pub(super) rng: Rng,
    ingest: GatewayIngest,
    listener: Listener<GatewayIngest>,
    pub(super) now: Now,
    /// Pushed, and not committed: since when.
    pending: VecDeque<(u64, Vec<Row>, Tell, Link)>,
    clients: Vec<Client>,
    pub(super) life: Life,
    /// From the last PUBLISH of a message to its PUBACK.
    pub(super) longest_wait_ms: u64,
}

/// A queue commits what has waited so long.
pub(super) const ACK_WITHIN_MS: u64 = 1_000;
const BACKLOG_MAX: usize = 40;

impl<'a> World<'a> {
    pub(super) fn new(case: Case<'a>, clients: usize, seed: u64) -> Self {
        let text = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n\
                    [[route]]\nmatch=\"#\"\nto=\"t\"\nformat=\"cbor\"\n";
        let (mut config, _) = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
        config.routes[0].rules = Some(format!(
            "[defaults]\n{}\n[[rule]]\nmatch = \"#\"\nstages = [ {} ]\n",
            case.defaults, case.stages
        ));
        let withholds = case.planted != Planted::AcknowledgesAtOnce;
        config.routes[0].hold_max = withholds.then_some(std::time::Duration::from_millis(case.hold_max_ms));
        let now = Now { up_ms: 1_000, wall_ms: 1_800_000_000_000 };
        let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(now, true)).unwrap();
        let mut world = Self {
            case,
            config,
            rng: Rng::new(seed),
            listener: Listener::new(ListenerConfig::default(), ingest.clone()),
            ingest,
            now,
            pending: VecDeque::new(),
            clients: (0..clients).map(|_| Client { value: FIRST_VALUE, ..Client::default() }).collect(),
            life: Life::default(),
            longest_wait_ms: 0,
        };
        (0..clients).for_each(|client| world.connect(client));
        world
    }

    /// Lets time pass, and what is due be done.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.up_ms += ms;
        self.now.wall_ms += i64::try_from(ms).unwrap();
        if self.listener.next_deadline().is_some_and(|at_ms| at_ms <= self.now.up_ms) {
            self.listener.handle_timeout(self.now);
            self.outputs();
        }
        if self.ingest.due_in_ms(self.now) == Some(0) {
            self.tick(false);
        }
        let is_old = |since_ms: u64| self.now.up_ms - since_ms >= ACK_WITHIN_MS;
        if self.pending.front().is_some_and(|(since_ms, ..)| is_old(*since_ms)) {
            self.commit();
        }
    }

    fn tick(&mut self, is_asked_for: bool) {
        let (rows, link) = self.ingest.tick(self.now, is_asked_for);
        self.put(rows, Tell::Nobody, link);
    }

    fn put(&mut self, rows: Vec<Row>, tell: Tell, link: Link) {
        if self.case.planted == Planted::DoesNotWaitForTheDisk {
            self.pending.push_back((self.now.up_ms, rows, Tell::Nobody, Link::default()));
            self.settle(tell, link);
        } else {
            self.pending.push_back((self.now.up_ms, rows, tell, link));
        }
    }

    /// Some of what was pushed is safe: on the disk, or at the hub, which may have a later row first.
    pub(super) fn commit(&mut self) {
        let all = self.pending.len() as u64;
        for _ in 0..self.rng.between(all / 2, all + 1).max(1) {
            let is_handed_over = self.rng.between(0, 4) == 0;
            let at = if is_handed_over { self.rng.between(0, self.pending.len() as u64) } else { 0 };
            let next = self.pending.remove(usize::try_from(at).unwrap());
            let Some((_, rows, tell, link)) = next else { break };
            for row in &rows {
                let row = ReadingRow::decode(&row.payload).unwrap();
                let value = match row.value {
                    Value::F64(value) => value,
                    ref other => panic!("{other:?}"),
                };
                let rows = self.life.durable.entry(row.sensor.into_owned()).or_default();
                rows.insert(rows.partition_point(|(time, _)| *time <= row.time), (row.time, value));
            }
            self.settle(tell, link);
        }
        self.outputs();
    }

    fn settle(&mut self, tell: Tell, link: Link) {
        for tell in link.safe(tell) {
            if let Tell::Publisher(_, ticket) = tell {
                self.listener.resolve(self.now, ticket);
            }
        }
    }

    /// Everything in RAM is gone; clients come back and send again what was not acknowledged. Another life begins: a new
    /// filter has a reference of its own.
    pub(super) fn crash(&mut self) {
        self.start_again(false);
        self.life = Life::default();
    }

    /// As the gateway stops; its life goes on.
    pub(super) fn clean_stop(&mut self) {
        self.ingest.stop_holding();
        self.tick(false);
        while !self.pending.is_empty() {
            self.commit();
        }
        assert!(!self.ingest.withholds());
        assert_eq!(self.listener.pending(), 0, "everything has its PUBACK");
        let states: Vec<_> = self.ingest.filter_states().collect();
        self.start_again(true);
        assert!(self.ingest.restore(self.now, states).is_empty(), "the rules are the same");
    }

    fn start_again(&mut self, clean: bool) {
        self.pending.clear();
        self.ingest = GatewayIngest::new(&self.config.routes, DuplicateMarks::new(self.now, clean)).unwrap();
        self.listener = Listener::new(ListenerConfig::default(), self.ingest.clone());
        for client in 0..self.clients.len() {
            self.connect(client);
        }
    }

    /// A new connection of the client, whose old one is gone.
    pub(super) fn connect(&mut self, client: usize) {
        if let Some(old) = self.clients[client].connection.take() {
            self.listener.handle_input(self.now, old, Input::Closed);
            self.outputs();
        }
        let connection = self.listener.accept(self.now).unwrap();
        let state = &mut self.clients[client];
        (state.connection, state.received) = (Some(connection), BytesMut::new());
        let mut packets = vec![Packet::Connect(Box::new(Connect {
            is_bridge: false,
            version: Version::V311,
            clean_start: false,
            keep_alive_s: 0,
            client_id: Utf8::try_from(format!("c{client}")).unwrap(),
            will: None,
            username: None,
            password: None,
            properties: Properties::default(),
        }))];
        for (id, since_ms, points) in &mut state.unacked {
            *since_ms = self.now.up_ms;
            packets.push(publish(*id, points, true));
        }
        self.send(client, &packets);
        self.send_more(client);
    }

    /// A client measures one or two of its sensors, the second of which hardly moves.
    pub(super) fn sample(&mut self, client: usize) {
        let (jump, step) = (self.rng.between(0, 12) == 0, self.rng.between(0, 400) as f64 / 1_000.0 - 0.2);
        let both = self.rng.between(0, 3) == 0;
        let state = &mut self.clients[client];
        if state.backlog.len() >= BACKLOG_MAX {
            return;
        }
        state.value += if jump { 5.0 } else { step };
        let time = self.now.wall_ms;
        let mut points = vec![(format!("c{client}/a"), time, state.value)];
        if both {
            points.push((format!("c{client}/b"), time, state.value / 100.0));
        }
        state.backlog.push_back(points);
        self.send_more(client);
    }

    fn send_more(&mut self, client: usize) {
        loop {
            let state = &mut self.clients[client];
            if state.unacked.len() >= self.case.window {
                return;
            }
            let Some(points) = state.backlog.pop_front() else { return };
            state.last_id = state.last_id % 60_000 + 1;
            let packet = publish(state.last_id, &points, false);
            state.unacked.push_back((state.last_id, self.now.up_ms, points));
            self.send(client, &[packet]);
        }
    }

    fn send(&mut self, client: usize, packets: &[Packet]) {
        let connection = self.clients[client].connection.unwrap();
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| wire::encode(packet, Version::V311, &mut bytes).unwrap());
        while !bytes.is_empty() {
            let before = bytes.len();
            self.listener.handle_input(self.now, connection, Input::Bytes(&mut bytes));
            assert!(bytes.len() < before, "there is always room");
        }
        self.outputs();
    }

    fn outputs(&mut self) {
        let mut is_blocked = false;
        while let Some(output) = self.listener.poll_output() {
            match output {
                Output::Transmit { connection, bytes } => {
                    let owner = self.clients.iter_mut().find(|c| c.connection == Some(connection));
                    owner.into_iter().for_each(|client| client.received.extend_from_slice(&bytes));
                    self.listener.handle_input(self.now, connection, Input::Written(bytes.len()));
                }
                Output::Store { ticket, rows } => {
                    let link = self.ingest.take_link_of(ticket);
                    self.put(rows, Tell::Publisher(Receipts::default(), ticket), link);
                }
                Output::Commit => is_blocked = true,
                _ => {}
            }
        }
        if is_blocked && self.ingest.withholds() {
            self.tick(true);
        }
        for client in 0..self.clients.len() {
            self.pubacks(client);
        }
    }

    fn pubacks(&mut self, client: usize) {
        let state = &mut self.clients[client];
        let mut any = false;
        while let Some(packet) = wire::decode(&mut state.received, Version::V311, &Limits::default()).unwrap()
        {
            let Packet::PubAck(ack) = packet else { continue };
            let (id, since_ms, points) = state.unacked.pop_front().unwrap();
            assert_eq!(ack.packet_id.get(), id, "PUBACKs leave in order");
            self.longest_wait_ms = self.longest_wait_ms.max(self.now.up_ms - since_ms);
            self.life.acked.extend(points);
            any = true;
        }
        if any {
            self.send_more(client);
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| client.unacked.is_empty() && client.backlog.is_empty())
    }
}

fn publish(id: u16, points: &[Point], dup: bool) -> Packet {
    let objects: Vec<String> = points
        .iter()
        .map(|(sensor, time, value)| format!(r#"{{"sensor":"{sensor}","ts":{time},"value":{value:?}}}"#))
        .collect();
    Packet::Publish(Publish {
        dup,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("readings"),
        packet_id: PacketId::new(id),
        properties: Properties::default(),
        payload: Bytes::from(format!("[{}]", objects.join(","))),
    })
}
