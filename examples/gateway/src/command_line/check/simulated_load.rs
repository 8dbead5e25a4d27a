//! Simulation of a route under load: generated messages go through the route's real encoders, and the resulting bytes are counted. Pure: the
//! readings are generated, the byte counts are those of a running gateway.

use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId, Leased};
use edge_bridge::bridge::{Pack, Packed, Packing};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{Packet, PacketId, QoS, Utf8, Version, encoded_len};
use edge_codec::Value;
use outage_drill::Rng;

use crate::config::{Config, Format, Protocol, Route};
use crate::run::filters::reading_row::ReadingRow;
use crate::run::filters::readings::Kept;
use crate::run::hub::compact::{Compact, EchoedTables, KeptTables, table_topics, version_of};
use crate::run::hub::formats::row_format;
use crate::run::hub::pack::{BatchPack, RouteEncoder};
use crate::run::route::Destination;

/// Messages that are sent until a session table is learned, and those by which it replaces the one before, whose pauses grow to an hour; with the
/// number that is counted after that.
const WARM: u64 = 5_000;
const RENEWED: u64 = 1_500;
const TABLE_PAUSE_MS: f64 = 3_600_000.0;
const COUNTED: u64 = 2_000;
/// Number of messages in the simulated backlog whose bytes are counted.
const BEHIND: u64 = 8_000;
/// Most sensors; a session table has no more.
const SENSORS_MAX: u32 = 4_096;
/// Bytes of a PUBACK without properties.
const PUBACK: u64 = 4;
/// Bytes of a TLS 1.3 record beside its payload.
const TLS_RECORD: u64 = 22;
/// Bytes of a TCP segment beside its payload, with its IPv4 header.
const SEGMENT: u64 = 40;
/// Most bytes of payload in a TCP segment.
const SEGMENT_MAX: u64 = 1_400;
/// Most bytes of payload in a TLS record.
const RECORD_MAX: u64 = 16_384;
/// Bytes of the topic alias property, which replaces the topic.
const ALIAS: u64 = 3;
/// Most topics that get an alias at the hub; Mosquitto accepts ten.
const ALIASES: u32 = 10;
/// Largest packet that every hub is expected to accept, in bytes.
const PACKET_MAX: usize = 256 * 1024;
/// Sequence number of the first message, as a queue has it after some weeks.
const SEQ: u64 = 10_000_000;

/// Measurement at a running gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) over: Duration,
    /// Rate of the busiest five minutes.
    pub(crate) busiest_per_s: f64,
    /// Set if raw messages came, so that their payload is measured, too.
    pub(crate) has_payload: bool,
}

/// Load of a site, for which costs are predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) messages_per_s: f64,
    /// Bytes of a message's payload.
    pub(crate) payload_bytes: u64,
    pub(crate) sensors: u32,
    /// Least bytes of a sensor's topic. Shorter ones of a route's filter are lengthened; 0: none is.
    pub(crate) topic_bytes: u16,
    /// Measurement from which the rate is. `None`: it was given.
    pub(crate) measured: Option<Measured>,
}

impl Load {
    /// Typical load in the field.
    pub(crate) const USUAL: Self =
        Self { messages_per_s: 30.0, payload_bytes: 200, sensors: 100, topic_bytes: 0, measured: None };
}

/// Costs of one message of a route, or of one reading if the route has readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RouteLoad {
    /// Bytes of payload and metadata of a row in the queue.
    pub(super) row_bytes: u64,
    /// Bytes on the link for a live message, while the hub answers.
    pub(super) live: LinkBytes,
    /// Bytes on the link after an outage, in full batches.
    pub(super) backlog: LinkBytes,
}

/// Bytes on the link for one message, to the hub and back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LinkBytes {
    pub(super) mqtt: f64,
    /// Bytes with the overhead of TCP, and with that of TLS if the hub's address has TLS.
    pub(super) wire: f64,
}

impl LinkBytes {
    /// Returns the bytes on the wire while more messages wait, of which as many go together as fill a segment.
    pub(super) fn in_full_segments(self) -> f64 {
        let full = 1.0 + (SEGMENT as f64 / SEGMENT_MAX as f64) + (TLS_RECORD as f64 / RECORD_MAX as f64);
        (self.mqtt * full).min(self.wire)
    }
}

/// A route with its encoder, run in virtual time.
struct Rig<'a> {
    config: &'a Config,
    route: &'a Route,
    load: Load,
    pack: BatchPack,
    echoed: EchoedTables,
    tables: Vec<String>,
    rng: Rng,
    sent: u64,
    now_ms: f64,
}

/// Sums over the messages to the hub.
#[derive(Default)]
struct Sum {
    rows: u64,
    mqtt: u64,
    wire: u64,
}

impl Sum {
    fn each(&self) -> LinkBytes {
        let rows = self.rows.max(1) as f64;
        LinkBytes { mqtt: self.mqtt as f64 / rows, wire: self.wire as f64 / rows }
    }
}

impl RouteLoad {
    /// Returns the costs if all messages of the load use this route, and its filter suppresses none. The simulation has `1 / share` of its full
    /// length, and its figures are the rougher.
    pub(super) fn of(config: &Config, route: &Route, load: Load, share: u64) -> Self {
        let mut rig = Rig::new(config, route, load);
        let row_bytes = rig.row().map_or(0, |row| row.payload.len() + row.to_meta().len()) as u64;
        let apart_ms = 1_000.0 / load.messages_per_s;
        // A table is the better the longer it was learned.
        rig.run(WARM / share, apart_ms);
        rig.now_ms += TABLE_PAUSE_MS;
        rig.run(RENEWED / share, apart_ms);
        let live = rig.run((COUNTED / share).max(1), apart_ms).each();
        let backlog = rig.run((BEHIND / share).max(1), 0.0).each();
        Self { row_bytes, live, backlog }
    }
}

impl<'a> Rig<'a> {
    fn new(config: &'a Config, route: &'a Route, load: Load) -> Self {
        let (echoed, kept) = (EchoedTables::default(), KeptTables::default());
        let routes = std::slice::from_ref(route);
        let compact = Compact::new(routes, &config.id, config.queue.max_age, echoed.clone(), &kept, &[]);
        let pack = BatchPack::new(RouteEncoder::new(routes, compact)).with_identity(config.hub.identity);
        let tables: Vec<String> =
            table_topics(routes, &config.id).into_iter().map(|(_, tables)| tables).collect();
        tables.iter().for_each(|topic| echoed.ask(topic));
        Self { config, route, load, pack, echoed, tables, rng: Rng::new(1), sent: 0, now_ms: 1.0 }
    }

    fn now(&self) -> Now {
        let up_ms = self.now_ms as u64;
        Now { up_ms, wall_ms: 1_790_000_000_000 + i64::try_from(up_ms).unwrap_or(i64::MAX) }
    }

    /// Simulates `messages` messages at intervals of `apart_ms`. Returns the sums over the messages sent to the hub.
    fn run(&mut self, messages: u64, apart_ms: f64) -> Sum {
        let mut sum = Sum::default();
        for _ in 0..messages {
            self.now_ms += apart_ms;
            self.take(&mut sum);
            let Some(row) = self.row() else { continue };
            self.sent += 1;
            let seq = SEQ + self.sent;
            let identity = Identity { gateway: 0x5f0c_9d2a_b1e8_4733, lane: 1, epoch: 3, seq };
            self.pack.add(self.now(), Leased::new(LeaseId(seq), row, self.now().up_ms, 0, Some(identity)));
        }
        // The rest of an open batch.
        self.now_ms += self.route.batch_age.as_secs_f64() * 1_000.0 + 1.0;
        self.take(&mut sum);
        sum
    }

    fn take(&mut self, sum: &mut Sum) {
        while let Some(packing) = self.pack.poll(self.now(), PACKET_MAX) {
            let Packing::Message(packed) = packing else { continue };
            let topic = packed.publish.topic.as_str();
            let table = self.tables.iter().find_map(|tables| Some((tables, version_of(tables, topic)?)));
            match table {
                Some((tables, id)) => {
                    self.echoed.note(tables, id, &packed.publish.payload, true);
                }
                None => self.count(packed, sum),
            }
        }
    }

    fn count(&self, packed: Packed, sum: &mut Sum) {
        let (rows, mut publish) = (packed.rows.len().max(1) as u64, packed.publish);
        let version = if self.config.hub.protocol == Protocol::V311 { Version::V311 } else { Version::V5 };
        let topic_bytes = publish.topic.as_bytes().len() as u64;
        publish.packet_id = PacketId::new(1).filter(|_| publish.qos != QoS::AtMostOnce);
        let is_answered = publish.packet_id.is_some();
        let has_alias = self.route.format != Format::Raw || self.load.sensors <= ALIASES;
        let length = encoded_len(&Packet::Publish(publish), version).unwrap_or_default() as u64;
        let of_v5 = match version {
            Version::V5 => length - if has_alias { topic_bytes.saturating_sub(ALIAS) } else { 0 },
            Version::V311 => length,
        };
        let answer = if is_answered { PUBACK } else { 0 };
        let segments = of_v5.div_ceil(SEGMENT_MAX) + if is_answered { 2 } else { 0 };
        let records = match self.config.hub.url.starts_with("mqtts://") {
            true => of_v5.div_ceil(RECORD_MAX) + u64::from(is_answered),
            false => 0,
        };
        sum.rows += rows;
        sum.mqtt += of_v5 + answer;
        sum.wire += of_v5 + answer + segments * SEGMENT + records * TLS_RECORD;
    }

    /// Returns a message of one of the sensors as the route's row. `None`: the topic is too long.
    fn row(&mut self) -> Option<Row> {
        let sensor = self.rng.next_u64() % u64::from(self.load.sensors.clamp(1, SENSORS_MAX));
        let wildcards = self.route.filter_topic.split('/').filter(|part| matches!(*part, "+" | "#")).count();
        // A wildcard of one character has a name of four at least.
        let shortest = self.route.filter_topic.len() + 3 * wildcards;
        // Longer names make up for a short filter.
        let missing = usize::from(self.load.topic_bytes).saturating_sub(shortest);
        let width = 3 + missing.div_ceil(wildcards.max(1));
        let name = format!("s{sensor:0width$}");
        let parts = self.route.filter_topic.split('/').map(|part| match part {
            "+" | "#" => name.as_str(),
            part => part,
        });
        let topic = parts.collect::<Vec<_>>().join("/");
        if self.route.format == Format::Raw {
            let payload =
                vec![b'x'; usize::try_from(self.load.payload_bytes).unwrap_or(usize::MAX).min(PACKET_MAX)];
            let mut row =
                Row::new(Utf8::try_from(format!("{}{topic}", self.route.to)).ok()?, Bytes::from(payload));
            row.qos = QoS::new(self.route.qos).unwrap_or(QoS::AtLeastOnce);
            return Some(row);
        }
        // A slow swing with the last digit noisy, as a sensor of a hundredth of a degree has it.
        let swing = (self.now_ms / 60_000.0 + sensor as f64).sin() * 500.0;
        let noise = (self.rng.next_u64() % 5) as f64;
        let value = Value::F64((2_000.0 + swing + noise).round() / 100.0);
        let time = self.now().wall_ms;
        let reading = ReadingRow { sensor: topic.into(), unit: "Cel".into(), time, value, quality: 0 };
        let kept = Kept { row: reading.encode()?, alarm: false, may_be_copy: false };
        let format = row_format(self.route.format).0;
        Destination { to: self.route.to.clone(), format, lane: self.route.lane, qos: self.route.qos }
            .row(kept)
    }
}
