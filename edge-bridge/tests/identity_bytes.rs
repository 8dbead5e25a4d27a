#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "test code"
)]
//! Cost of a raw message on the wire in each form of its identity: bytes of MQTT beside the payload, both directions, over an in-memory link.

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId, Leased, MemorySpool};
use edge_bridge::bridge::{
    Core, IdentityForm, Input, LinkConfig, Output, Pack, Packing, RawPack, identity_text,
};
use edge_bridge::ingest::Now;
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{
    self, Ack, ConnAck, Limits, Packet, PropertiesBuilder, PropertyId, Publish, ReasonCode, Utf8, Value,
    Version,
};

const MESSAGES: u64 = 5_000;
const PAYLOAD_BYTES: usize = 200;
const GATEWAY: u64 = 0x5f0c_9d2a_b1e8_4733;
/// As after some twenty starts.
const EPOCH: u32 = 40_000;
const TOPICS: u64 = 16;
const NOW: Now = Now { up_ms: 1, wall_ms: 0 };

/// Gives rows the identities of a queue, which a spool in memory has none of.
struct Numbered(RawPack, u64);

impl Pack for Numbered {
    fn add(&mut self, now: Now, mut row: Leased) {
        self.1 += 1;
        row.identity = Some(Identity { gateway: GATEWAY, lane: 1, epoch: EPOCH, seq: self.1 });
        self.0.add(now, row);
    }
    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
        self.0.poll(now, max_packet)
    }
    fn next_deadline(&self) -> Option<u64> {
        self.0.next_deadline()
    }
    fn held_bytes(&self) -> usize {
        self.0.held_bytes()
    }
    fn take_rows(&mut self) -> Vec<LeaseId> {
        self.0.take_rows()
    }
}

/// A connected link and the bytes that went over it since.
struct Hub {
    core: Core<MemorySpool, Numbered>,
    unread: BytesMut,
    up_bytes: u64,
    down_bytes: u64,
    arrived: Vec<Publish>,
}

impl Hub {
    fn connected(form: IdentityForm, list: &[(PropertyId, Value<'_>)]) -> Self {
        let config = LinkConfig::new(ClientConfig::new(Utf8::from_static("site7")));
        let spool = MemorySpool::new(10_000, 10_000_000);
        let core = Core::new(config, spool, Numbered(RawPack::new(form), 0));
        let mut hub = Self { core, unread: BytesMut::new(), up_bytes: 0, down_bytes: 0, arrived: Vec::new() };
        hub.core.start(NOW);
        hub.core.handle_input(NOW, Input::Dialed);
        hub.take();
        wire::decode_connect(&mut hub.unread, &Limits::default()).unwrap().expect("a CONNECT");
        let mut properties = PropertiesBuilder::new();
        for (id, value) in list {
            properties.push(*id, *value).unwrap();
        }
        let (reason, properties) = (ReasonCode::SUCCESS, properties.finish());
        hub.answer(&Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
        hub.take();
        (hub.up_bytes, hub.down_bytes) = (0, 0);
        hub
    }

    fn take(&mut self) {
        while let Some(output) = self.core.poll_output() {
            if let Output::Transmit(bytes) = output {
                self.up_bytes += bytes.len() as u64;
                self.unread.extend_from_slice(&bytes);
            }
        }
    }

    fn answer(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.down_bytes += bytes.len() as u64;
        self.core.handle_input(NOW, Input::Bytes(&mut bytes));
    }

    fn push(&mut self, topic: String, payload_bytes: usize) {
        let row = Row::new(Utf8::try_from(topic).unwrap(), Bytes::from(vec![b'x'; payload_bytes]));
        self.core.spool_mut().push(NOW.up_ms, row).unwrap();
        self.core.handle_input(NOW, Input::Rows);
    }

    /// Acknowledges all that comes.
    fn drain(&mut self) {
        self.take();
        while let Some(packet) = wire::decode(&mut self.unread, Version::V5, &Limits::default()).unwrap() {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            let id = publish.packet_id.expect("QoS 1");
            self.arrived.push(publish);
            self.answer(&Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)));
            self.take();
        }
    }
}

/// Returns the bytes beside the payloads of all messages, up and down, and what arrived.
fn cost(form: IdentityForm) -> (u64, u64, Vec<Publish>) {
    let mut hub = Hub::connected(form, &[(PropertyId::TopicAliasMaximum, Value::U16(TOPICS as u16))]);
    for n in 0..MESSAGES {
        hub.push(format!("site7/plant/raw/line2/energy/meter{:02}", n % TOPICS), PAYLOAD_BYTES);
        hub.drain();
    }
    assert_eq!(hub.arrived.len() as u64, MESSAGES, "{form:?}");
    assert!(hub.arrived.iter().all(|publish| publish.payload.len() == PAYLOAD_BYTES));
    (hub.up_bytes - MESSAGES * PAYLOAD_BYTES as u64, hub.down_bytes, hub.arrived)
}

#[test]
fn a_raw_message_of_200_bytes_costs_at_most_33_bytes_in_the_binary_form_and_24_without() {
    println!(
        "bytes of MQTT 5 beside the payload, a message: {MESSAGES} of {PAYLOAD_BYTES} bytes on {TOPICS} topics with aliases"
    );
    println!("identity   PUBLISH   PUBACK     sum   bound");
    for (name, form, bound) in [
        ("text", IdentityForm::Text, 55),
        ("binary", IdentityForm::Binary, 33),
        ("off", IdentityForm::Off, 24),
    ] {
        let (up, down, arrived) = cost(form);
        let each = |bytes: u64| bytes as f64 / MESSAGES as f64;
        println!("{name:<9}{:>9.2}{:>9.2}{:>8.2}{bound:>8}", each(up), each(down), each(up + down));
        assert!(up + down <= bound * MESSAGES, "{name}: {:.2} bytes a message", each(up + down));
        for (seq, publish) in (1..).zip(&arrived) {
            let identity = Identity { gateway: GATEWAY, lane: 1, epoch: EPOCH, seq };
            let expected = (form != IdentityForm::Off).then(|| identity.to_string());
            assert_eq!(identity_text(&publish.properties).as_deref(), expected.as_deref(), "{name}");
        }
    }
}

/// The hub's Maximum Packet Size is compared with the packet as it is, property and all: at that size it goes, above it is parked unsent.
#[test]
fn a_hubs_limit_counts_the_identity_in_each_form() {
    for (form, property) in [(IdentityForm::Text, 37), (IdentityForm::Binary, 16), (IdentityForm::Off, 0)] {
        // Without an alias: fixed header of 3 bytes, topic of 2 + 1, packet identifier 2, length of the properties 1.
        let most = 9 + property + PAYLOAD_BYTES;
        let mut hub = Hub::connected(form, &[(PropertyId::MaximumPacketSize, Value::U32(most as u32))]);
        hub.push("a".to_owned(), PAYLOAD_BYTES);
        hub.push("a".to_owned(), PAYLOAD_BYTES + 1);
        hub.push("a".to_owned(), PAYLOAD_BYTES);
        hub.drain();
        let sizes: Vec<usize> = hub.arrived.iter().map(|publish| publish.payload.len()).collect();
        assert_eq!(sizes, [PAYLOAD_BYTES; 2], "{form:?}");
        assert_eq!(hub.up_bytes, 2 * most as u64, "{form:?}: of exactly this size");
        assert_eq!(hub.core.stats().parked, 1, "{form:?}");
    }
}
