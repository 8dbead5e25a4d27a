//! A bridge core with the hub's side of the wire in the test's hands.
#![allow(dead_code, reason = "each test uses a part of it")]

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, Output, RawPack};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Ack, ConnAck, Limits, Packet, PacketId, PropertiesBuilder, PropertyId, Publish, ReasonCode, Utf8,
    Value, Version,
};

pub(crate) fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

pub(crate) fn at(up_ms: u64) -> Now {
    Now { up_ms, wall_ms: 0 }
}

/// A core and what it said, with the hub's side of the wire in the test's hands.
pub(crate) struct Link {
    pub(crate) core: Core<MemorySpool, RawPack>,
    pub(crate) now_ms: u64,
    pub(crate) dialed: usize,
    /// Address of the last dial.
    pub(crate) address: usize,
    pub(crate) probed: Vec<usize>,
    pub(crate) hangups: usize,
    pub(crate) events: Vec<Event>,
    pub(crate) packets: Vec<Packet>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut LinkConfig)) -> Self {
        let mut config = LinkConfig::new(ClientConfig::new(text("site7")));
        change(&mut config);
        let core = Core::new(config, MemorySpool::new(10_000, 10_000_000), RawPack::new(false));
        let mut link = Self {
            core,
            now_ms: 1,
            dialed: 0,
            address: 0,
            probed: Vec::new(),
            hangups: 0,
            events: Vec::new(),
            packets: Vec::new(),
        };
        link.core.start(at(1));
        link.drain();
        link
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial { address } => {
                    self.dialed += 1;
                    self.address = address;
                }
                Output::Probe { address } => self.probed.push(address),
                Output::Hangup => self.hangups += 1,
                Output::Event(event) => self.events.push(event),
                Output::Transmit(bytes) => {
                    let mut bytes = BytesMut::from(bytes.as_ref());
                    if bytes[0] == 0x10 {
                        let connect = wire::decode_connect(&mut bytes, &Limits::default()).unwrap().unwrap();
                        self.packets.push(Packet::Connect(Box::new(connect)));
                    }
                    while let Some(p) = wire::decode(&mut bytes, Version::V5, &Limits::default()).unwrap() {
                        self.packets.push(p);
                    }
                }
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.core.handle_input(at(self.now_ms), input);
        self.drain();
    }

    pub(crate) fn timeout(&mut self) {
        self.core.handle_timeout(at(self.now_ms));
        self.drain();
    }

    pub(crate) fn receive(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.input(Input::Bytes(&mut bytes));
        assert!(bytes.is_empty());
    }

    pub(crate) fn connect(&mut self, session_present: bool, list: &[(PropertyId, Value<'_>)]) {
        self.input(Input::Dialed);
        self.receive(&connack(session_present, list));
    }

    /// Waits for the next dial.
    pub(crate) fn redial(&mut self) -> u64 {
        let (before, started_ms) = (self.dialed, self.now_ms);
        self.now_ms = self.core.next_deadline().expect("a time to dial");
        self.timeout();
        assert_eq!(self.dialed, before + 1);
        self.now_ms - started_ms
    }

    pub(crate) fn push(&mut self, payload: &str) {
        self.push_row(Row::new(text("plant/1"), Bytes::copy_from_slice(payload.as_bytes())));
    }

    pub(crate) fn push_row(&mut self, row: Row) {
        self.core.spool_mut().push(self.now_ms, row).unwrap();
        self.input(Input::Rows);
    }

    pub(crate) fn sent(&mut self) -> Vec<Publish> {
        let packets = std::mem::take(&mut self.packets);
        packets
            .into_iter()
            .filter_map(|p| match p {
                Packet::Publish(p) => Some(p),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn answer(&mut self, id: u16, reason: ReasonCode) {
        self.receive(&Packet::PubAck(Ack::new(PacketId::new(id).unwrap(), reason)));
    }
}

pub(crate) fn connack(session_present: bool, list: &[(PropertyId, Value<'_>)]) -> Packet {
    let mut properties = PropertiesBuilder::new();
    for (id, value) in list {
        properties.push(*id, *value).unwrap();
    }
    let reason = ReasonCode::SUCCESS;
    Packet::ConnAck(ConnAck { session_present, reason, properties: properties.finish() })
}

pub(crate) fn payloads(sent: &[Publish]) -> Vec<&str> {
    sent.iter().map(|p| std::str::from_utf8(&p.payload).unwrap()).collect()
}
