#![allow(clippy::unwrap_used, missing_docs, reason = "test program")]
//! Length and CRC-32 of what is written of the real series in every format: run on two kinds of machine, the outputs
//! must be the same (docs/testing.md, "ARM64 and ARMv7").
//!
//! Not run by the tests.

#[path = "../tests/support/sets.rs"]
mod sets;

use edge_codec::compact::{self, Level, Table};
use edge_codec::protobuf::columns;
use edge_codec::{BatchEncoder, Reading, SensorTable, cbor, influx, json, protobuf, senml, sparkplug};
use sets::{SETS, load};
use std::sync::Arc;

const SIZES: [usize; 4] = [1, 10, 100, 1000];
/// The most that is written of each set, size and format, spread over the set: in an emulator it takes a minute.
const READINGS_MAX: usize = 30_000;
const BATCHES_MAX: usize = 1000;

fn written(label: &str, readings: &[Reading<'_>], size: usize, encoder: &mut dyn BatchEncoder) {
    let (mut bytes, mut crc) = (0, flate2::Crc::new());
    let batches = (READINGS_MAX / size).min(BATCHES_MAX);
    let step = (readings.len() / size).div_ceil(batches);
    for rows in readings.chunks_exact(size).step_by(step) {
        rows.iter().for_each(|r| encoder.push(r).unwrap());
        let batch = encoder.finish_under(usize::MAX).unwrap();
        bytes += batch.len();
        crc.update(&batch);
    }
    println!("{label} b{size}: {bytes} bytes, CRC-32 {:08x}", crc.sum());
}

fn standard(name: &str, sensors: &SensorTable<'_>, readings: &[Reading<'_>], size: usize) {
    let encoders: [(&str, &mut dyn BatchEncoder); 9] = [
        ("json", &mut json::Encoder::new(sensors)),
        ("cbor", &mut cbor::Encoder::new(sensors)),
        ("protobuf", &mut protobuf::Encoder::new(sensors)),
        ("columns", &mut columns::Encoder::new(sensors)),
        ("senml json", &mut senml::json::Encoder::new(sensors)),
        ("senml cbor", &mut senml::cbor::Encoder::new(sensors)),
        ("senml cbor decimal", &mut senml::cbor::Encoder::new(sensors).decimal_fractions(true)),
        ("sparkplug", &mut sparkplug::Encoder::new(sensors).aliases()),
        ("influx", &mut influx::Encoder::new(sensors)),
    ];
    for (format, encoder) in encoders {
        written(&format!("{name} {format}"), readings, size, encoder);
    }
}

fn main() {
    for set in SETS.into_iter().map(load) {
        let (first, rest) = set.parts();
        let table = Arc::new(Table::learn(1, &set.sensors, first));
        let mut crc = flate2::Crc::new();
        crc.update(table.bytes());
        println!("{} table: {} bytes, CRC-32 {:08x}", set.name, table.bytes().len(), crc.sum());
        for size in SIZES {
            standard(set.name, &set.sensors, rest, size);
            for level in [Level::Fast, Level::Small] {
                let label = format!("{} compact {level:?}", set.name);
                let names = &mut compact::Encoder::new(&set.sensors).level(level);
                written(&format!("{label} names"), rest, size, names);
                let session = &mut compact::Encoder::with_table(table.clone()).level(level);
                written(&format!("{label} table"), rest, size, session);
            }
        }
    }
}
