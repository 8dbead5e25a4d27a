//! A bridge core in virtual time, and a hub whose answer to each message is a script.
#![allow(dead_code, reason = "each test uses a part of it")]

mod hub;
pub(crate) mod pack;
mod place_spool;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, ParkedRow, UplinkEvent};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Disconnect, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Utf8, Value, Version,
};
pub(crate) use pack::TestPack;
pub(crate) use place_spool::PlaceSpool;

/// Answer of the hub to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// PUBACK with this reason.
    Ack(u8),
    /// PUBACK with this reason, then the end of the connection.
    AckAndClose(u8),
    /// PUBREC, and at PUBREL a PUBCOMP that does not know the message.
    Forgotten,
    Disconnect(u8),
    Close,
    Silent,
    /// PUBACK so many milliseconds later than others, out of order if those are quicker.
    Late(u64),
    /// A message to us of QoS 3, which does not exist.
    MalformedPublish,
    /// A PUBACK with flags, which are not allowed.
    MalformedAck,
    /// A PUBACK with a reason code that the standard does not list.
    UnlistedAck,
}

pub(crate) const TAKEN: Answer = Answer::Ack(0);

type Script = Box<dyn FnMut(u64, &Publish) -> Answer>;

#[derive(Debug)]
enum FromHub {
    Packet(Packet),
    Bytes(Vec<u8>),
    Close,
}

pub(crate) struct Rig {
    pub(crate) core: Core<PlaceSpool, TestPack>,
    pub(crate) now_ms: u64,
    pub(crate) script: Script,
    pub(crate) properties: Vec<(PropertyId, Value<'static>)>,
    pub(crate) keeps_session: bool,
    pub(crate) latency_ms: u64,
    pub(crate) refuses_filters: Option<ReasonCode>,
    /// Packet identifiers of messages of QoS 2 that the hub's session holds.
    pub(crate) qos2_leftovers: Vec<u16>,
    /// First arrivals that the hub took: topic, number.
    pub(crate) delivered: Vec<(String, u32)>,
    pub(crate) retained: usize,
    pub(crate) published: u64,
    pub(crate) subscribes: u64,
    pub(crate) dials: u64,
    pub(crate) events: Vec<UplinkEvent>,
    pub(crate) filters_told: usize,
    pub(crate) qos2_done: Vec<u16>,
    pub(crate) received: Vec<Publish>,
    /// No dial succeeds.
    pub(crate) hub_is_gone: bool,
    /// Identifiers of accepted messages of QoS 2 that the hub has forgotten.
    forgotten: BTreeSet<PacketId>,
    /// Nothing that the hub says arrives.
    pub(crate) is_mute: bool,
    dial_ms: Option<u64>,
    connected: bool,
    /// The hub reads nothing more on this connection.
    closing: bool,
    has_session: bool,
    aliases: BTreeMap<u16, Utf8>,
    from_hub: VecDeque<(u64, FromHub)>,
    seen: std::collections::HashSet<u32>,
}

pub(crate) fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// The number that a payload begins with.
pub(crate) fn number(publish: &Publish) -> u32 {
    let first = publish.payload.split(|byte| *byte == b',').next().unwrap();
    payload_number(first)
}

pub(crate) fn payload_number(payload: &[u8]) -> u32 {
    let text = std::str::from_utf8(payload).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

impl Rig {
    pub(crate) fn new(script: impl FnMut(u64, &Publish) -> Answer + 'static) -> Self {
        Self::with(TestPack::default(), script)
    }

    pub(crate) fn with(pack: TestPack, script: impl FnMut(u64, &Publish) -> Answer + 'static) -> Self {
        let config = LinkConfig::new(ClientConfig::new(text("site7")));
        let spool = PlaceSpool::new(MemorySpool::new(100_000, 100_000_000));
        let core = Core::new(config, spool, pack);
        let mut rig = Self {
            core,
            now_ms: 1,
            script: Box::new(script),
            properties: Vec::new(),
            keeps_session: true,
            latency_ms: 20,
            refuses_filters: None,
            qos2_leftovers: Vec::new(),
            delivered: Vec::new(),
            retained: 0,
            published: 0,
            subscribes: 0,
            dials: 0,
            events: Vec::new(),
            filters_told: 0,
            qos2_done: Vec::new(),
            received: Vec::new(),
            hub_is_gone: false,
            forgotten: BTreeSet::new(),
            is_mute: false,
            dial_ms: None,
            connected: false,
            closing: false,
            has_session: false,
            aliases: BTreeMap::new(),
            from_hub: VecDeque::new(),
            seen: std::collections::HashSet::new(),
        };
        rig.core.start(rig.now());
        rig.drain();
        rig
    }

    pub(crate) fn push(&mut self, topic: &str, n: u32) {
        self.push_row(Row::new(text(topic), Bytes::from(n.to_string())));
    }

    pub(crate) fn push_row(&mut self, row: Row) {
        self.core.spool_mut().push(self.now_ms, row).unwrap();
        self.input(Input::Rows);
    }

    /// Rows `0..rows` in turns over topics `t/0`, `t/1`, …
    pub(crate) fn fill(&mut self, rows: u32, topics: u32) {
        for n in 0..rows {
            let row = Row::new(text(&format!("t/{}", n % topics)), Bytes::from(n.to_string()));
            self.core.spool_mut().push(self.now_ms, row).unwrap();
        }
        self.input(Input::Rows);
    }

    /// Puts what was on its way among the parked rows.
    pub(crate) fn arrive(&mut self) {
        self.core.spool_mut().arrive();
        self.input(Input::Rows);
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.core.subscribe(self.now(), text(filter), QoS::AtLeastOnce);
        self.drain();
    }

    /// The connection breaks.
    pub(crate) fn cut(&mut self) {
        self.connected = false;
        self.from_hub.clear();
        self.input(Input::HungUp(None));
    }

    /// The hub ends the connection, whatever it has still to answer.
    pub(crate) fn throw_out(&mut self, reason: u8) {
        if self.connected {
            let packet = Packet::Disconnect(Disconnect::new(ReasonCode::new(reason)));
            self.from_hub.push_front((self.now_ms, FromHub::Packet(packet)));
            self.closing = true;
        }
    }

    pub(crate) fn run_until(&mut self, until_ms: u64) {
        let mut turns = 0u64;
        while self.step(until_ms) {
            turns += 1;
            assert!(turns < 3_000_000, "no end at {}: {:?}", self.now_ms, self.core.stats());
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    /// Runs until everything is delivered.
    pub(crate) fn run_until_empty(&mut self, within_ms: u64) {
        let until_ms = self.now_ms + within_ms;
        while !self.core.spool().is_empty() && self.step(until_ms) {}
        assert!(
            self.core.spool().is_empty(),
            "{} left after {within_ms} ms: {:?}",
            self.core.spool().len(),
            self.core.stats()
        );
    }

    /// Numbers that arrived under a topic, in the order of their first arrival.
    pub(crate) fn arrived(&self, topic: &str) -> Vec<u32> {
        self.delivered.iter().filter(|(own, _)| own == topic).map(|(_, n)| *n).collect()
    }

    pub(crate) fn assert_all(&self, rows: usize) {
        assert_eq!(self.delivered.len(), rows);
    }

    pub(crate) fn assert_all_in_order(&self, rows: usize) {
        self.assert_all(rows);
        assert_eq!(self.first_out_of_order(), None, "topic, number, and the later one before it");
    }

    /// The first message that arrived behind a later one of its topic.
    pub(crate) fn first_out_of_order(&self) -> Option<(&str, u32, u32)> {
        let mut newest: BTreeMap<&str, u32> = BTreeMap::new();
        self.delivered.iter().find_map(|(topic, n)| {
            let before = newest.insert(topic, *n);
            before.filter(|before| before > n).map(|before| (topic.as_str(), *n, before))
        })
    }

    /// Events that a log would show.
    pub(crate) fn told(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn retry(&mut self, filter: &str) {
        self.core.retry_parked(self.now(), &text(filter));
        self.drain();
    }

    pub(crate) fn drop_parked(&mut self, filter: &str) -> bool {
        let began = self.core.drop_parked(self.now(), text(filter));
        self.drain();
        began
    }

    pub(crate) fn copy_parked(&mut self, filter: &str) {
        assert!(self.begin_copy(filter));
    }

    /// `false`: another pass is under way.
    pub(crate) fn begin_copy(&mut self, filter: &str) -> bool {
        let began = self.core.copy_parked(self.now(), text(filter));
        self.drain();
        began
    }

    pub(crate) fn take_copies(&mut self) -> Vec<ParkedRow> {
        let copies = self.core.take_copies(self.now());
        self.drain();
        copies
    }

    pub(crate) fn now(&self) -> Now {
        Now { up_ms: self.now_ms, wall_ms: 0 }
    }

    fn step(&mut self, until_ms: u64) -> bool {
        let hub_ms = self.from_hub.front().map(|(at_ms, _)| *at_ms);
        let next = [hub_ms, self.dial_ms, self.core.next_deadline()].into_iter().flatten().min();
        let Some(at_ms) = next.filter(|at_ms| *at_ms <= until_ms) else { return false };
        self.now_ms = self.now_ms.max(at_ms);
        if self.dial_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.dial_ms = None;
            if self.hub_is_gone {
                self.input(Input::DialFailed("gone".to_owned()));
                return true;
            }
            (self.connected, self.closing) = (true, false);
            self.aliases.clear();
            self.input(Input::Dialed);
        } else if hub_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            match self.from_hub.pop_front().unwrap().1 {
                FromHub::Packet(packet) => {
                    let mut bytes = BytesMut::new();
                    wire::encode(&packet, Version::V5, &mut bytes).unwrap();
                    self.input(Input::Bytes(&mut bytes));
                }
                FromHub::Bytes(bytes) => self.input(Input::Bytes(&mut BytesMut::from(&bytes[..]))),
                FromHub::Close => self.cut(),
            }
        } else {
            self.core.handle_timeout(self.now());
            self.drain();
        }
        true
    }

    fn input(&mut self, input: Input<'_>) {
        self.core.handle_input(self.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial { .. } => {
                    self.dials += 1;
                    self.dial_ms = Some(self.now_ms + self.latency_ms);
                }
                Output::Hangup => {
                    self.connected = false;
                    self.from_hub.clear();
                }
                Output::Probe { .. } => panic!("there is one address"),
                Output::Event(event) => self.on_event(event),
                Output::Transmit(bytes) => self.on_bytes(&bytes),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Uplink(UplinkEvent::Delivered { .. }) => {}
            Event::Uplink(event) => self.events.push(event),
            Event::SubscriptionRefused(_) => self.filters_told += 1,
            Event::Message { publish, ack } => {
                self.received.push(publish);
                self.core.ack(self.now(), ack.unwrap(), ReasonCode::SUCCESS).unwrap();
            }
            _ => {}
        }
    }
}
