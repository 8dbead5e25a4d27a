//! Compact batches with sensors that the hub's table lacks.

use std::collections::HashMap;
use std::path::Path;

use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId};
use edge_bridge::bridge::{Pack, Packed};
use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Limits, Value};

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;

use super::super::compact::{EchoedTables, KeptTables};
use super::*;
use outage_drill::Rng;

const CONFIG: &str = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub\"\n\
    [[route]]\nmatch = \"a/#\"\nto = \"out\"\nformat = \"compact\"\nbatch_age = \"300ms\"\n";
const TABLES: &str = "out/table/g";
/// Of a packet beside topic and payload: fixed header, identifier, lengths, content type, identity.
const PACKET_BYTES: usize = 96;

struct Rig {
    pack: BatchPack,
    hub: EchoedTables,
    /// The last that the hub has shown.
    tables: HashMap<u64, Table>,
    now: Now,
    seq: u64,
    values: HashMap<String, f64>,
    rng: Rng,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let (config, _) = Config::parse(Path::new("g.toml"), CONFIG, &|_| None).unwrap();
        let hub = EchoedTables::default();
        let compact =
            Compact::new(&config.routes, &config.id, None, hub.clone(), &KeptTables::default(), &[]);
        Self {
            pack: BatchPack::new(RouteEncoder::new(&config.routes, compact)),
            hub,
            tables: HashMap::new(),
            now: Now { up_ms: 0, wall_ms: 0 },
            seq: 0,
            values: HashMap::new(),
            rng: Rng::new(seed),
        }
    }

    /// A walk in steps of a tenth, a reading a second.
    fn add(&mut self, sensor: &str, is_marked: bool) {
        self.seq += 1;
        let value = self.values.entry(sensor.to_owned()).or_insert(200.0);
        *value += self.rng.between(0, 4) as f64 - 2.0;
        let row = ReadingRow {
            sensor: sensor.into(),
            unit: "Cel".into(),
            time: self.seq as i64 * 1_000,
            value: Value::F64(*value / 10.0),
            quality: 0,
        };
        let mut row = Row::new(Utf8::from_static("out"), row.encode().unwrap());
        (row.format, row.possible_duplicate) = (row_format(Format::Compact), is_marked);
        let identity = Identity { gateway: 1, lane: 1, epoch: 1, seq: self.seq };
        let row = Leased::new(LeaseId(self.seq), row, 0, 0, Some(identity));
        self.pack.add(self.now, row);
    }

    /// Everything that waits. The hub shows each table at once, or none.
    fn drain(&mut self, shows: bool) -> Vec<Packed> {
        self.now.up_ms += 120_000;
        let mut batches = Vec::new();
        while let Some(packing) = self.pack.poll(self.now, 1 << 20) {
            let Packing::Message(packed) = packing else { panic!("{packing:?}") };
            if !packed.rows.is_empty() {
                batches.push(packed);
                continue;
            }
            let table = packed.publish.payload;
            let decoded = Table::decode(&table, &Limits::default()).unwrap();
            if shows {
                self.hub.note(TABLES, decoded.id(), &table, true);
                self.tables.insert(decoded.id(), decoded);
            }
        }
        batches
    }

    /// Sensors with numbers, in the order in which a reader gets them.
    fn read(&self, packed: &Packed) -> Vec<(String, u64)> {
        let (payload, limits) = (&packed.publish.payload, Limits::default());
        let mut batch = match table_wanted(payload, &limits).unwrap() {
            Some(id) => self.tables[&id].decode_batch(payload, &limits).unwrap(),
            None => edge_codec::compact::decode(payload, &limits).unwrap(),
        };
        let names = batch.sensors().clone();
        let mut all = Vec::new();
        while let Some(seq) = batch.next_seq() {
            let reading = batch.next().unwrap().unwrap();
            all.push((names.get(reading.sensor).unwrap().name.to_string(), seq));
        }
        all
    }
}

fn name(n: u64) -> String {
    format!("plant/line-4/cell-{n:03}/temperature")
}

fn bytes(batches: &[Packed]) -> usize {
    batches.iter().map(|packed| PACKET_BYTES + packed.publish.payload.len()).sum()
}

/// The bytes of a batch of 100 known sensors with 8 readings each, and so many of new ones in between; and of those alone.
fn bytes_of(new: u64, per_round: u64) -> (usize, usize) {
    let known = |rig: &mut Rig| (0..100).for_each(|n| rig.add(&name(n), false));
    let mut rig = Rig::new(1);
    for _ in 0..40 {
        (0..8).for_each(|_| known(&mut rig));
        rig.drain(true);
    }
    for round in 0..8 {
        known(&mut rig);
        if round < per_round {
            (0..new).for_each(|n| rig.add(&name(1_000 + n), false));
        }
    }
    let batches = rig.drain(true);
    let readings: usize = batches.iter().map(|packed| packed.rows.len()).sum();
    assert_eq!(readings as u64, 800 + new * per_round);
    let mut alone = Rig::new(1);
    (0..per_round).for_each(|_| (0..new).for_each(|n| alone.add(&name(1_000 + n), false)));
    (bytes(&batches), bytes(&alone.drain(false)))
}

/// One reading of a sensor that the table lacks had all hundred others named.
#[test]
fn a_new_sensor_costs_its_own_bytes_and_not_those_of_the_others() {
    let (without, _) = bytes_of(0, 0);
    for (new, per_round) in [(1, 1), (1, 8), (5, 8)] {
        let (with, alone) = bytes_of(new, per_round);
        println!(
            "{new} new sensors, {per_round} readings each: {with} bytes, {without} without, {alone} alone"
        );
        assert!(with as f64 <= 1.05 * without as f64 + alone as f64, "{with} > 1.05 * {without} + {alone}");
    }
}

/// Promise 7: whatever is known when, every reading goes once under its number, and those of a sensor in their order.
#[test]
fn promise_7_split_batches_keep_the_order_of_each_sensor() {
    let mut split = 0;
    for seed in 0..12 {
        let mut rig = Rig::new(seed);
        let (mut sensors, mut last, mut total) = (8, HashMap::<String, u64>::new(), 0);
        for _ in 0..20 {
            sensors += rig.rng.between(0, 3);
            for _ in 0..rig.rng.between(1, 120) {
                let (sensor, is_marked) = (name(rig.rng.between(0, sensors)), rig.rng.between(0, 40) == 0);
                rig.add(&sensor, is_marked);
            }
            let shows = rig.rng.between(0, 2) == 0;
            let batches = rig.drain(shows);
            for packed in &batches {
                let read = rig.read(packed);
                let rows: Vec<u64> = packed.rows.iter().map(|row| row.0).collect();
                assert_eq!(read.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), rows, "seed {seed}");
                total += rows.len() as u64;
                for (sensor, seq) in read {
                    let before = last.insert(sensor.clone(), seq).unwrap_or(0);
                    assert!(before < seq, "seed {seed}: {sensor} {seq} after {before}");
                }
            }
            let overlap = |pair: &[Packed]| pair[0].rows.last() > pair[1].rows.first();
            split += batches.windows(2).filter(|pair| overlap(pair)).count();
        }
        assert_eq!(total, rig.seq, "seed {seed}");
    }
    assert!(split > 20, "{split}");
}
