#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! The standard formats waste nothing (promise 9): bytes per reading of real series beside those of writers made by
//! hand for each wire format, without any library's overhead.
//!
//! The figures of the hand-made writers were measured on the whole series, ours here on extracts, so digits
//! behind the point differ; sensors are named `line2/<column>`, readings of all sensors interleaved in time.

mod support;

use edge_codec::protobuf::columns;
use edge_codec::{BatchEncoder, Reading, SensorTable, Value, influx, senml, sparkplug};
use support::series;

const BATCHES: [usize; 3] = [100, 10, 1];

const NAMES: [&str; 2] = ["steel_energy", "metropt3"];
const SETS: [&str; 2] = [include_str!("data/steel_energy.csv"), include_str!("data/metropt3.csv")];

/// Bytes that ours may have more than the hand-made writer, and why.
struct Row {
    format: &'static str,
    encode: fn(&SensorTable<'_>, &[Reading<'_>]) -> usize,
    /// Steel and metro, batches of 100, 10 and 1.
    by_hand: [[f64; 3]; 2],
    /// Per batch, beside 2 % for the choice of the extract.
    more_bytes: f64,
}

fn encoded(encoder: &mut dyn BatchEncoder, readings: &[Reading<'_>]) -> usize {
    readings.iter().for_each(|r| encoder.push(r).unwrap());
    encoder.finish_under(usize::MAX).unwrap().len()
}

fn rows() -> [Row; 6] {
    [
        Row {
            format: "senml_cbor",
            encode: |table, readings| encoded(&mut senml::cbor::Encoder::new(table), readings),
            by_hand: [[26.8, 26.7, 37.8], [21.6, 20.8, 34.0]],
            more_bytes: 0.0,
        },
        Row {
            format: "senml_cbor_decfrac",
            encode: |table, readings| {
                encoded(&mut senml::cbor::Encoder::new(table).decimal_fractions(true), readings)
            },
            by_hand: [[24.2, 24.1, 35.2], [20.7, 19.96, 33.1]],
            more_bytes: 0.0,
        },
        Row {
            format: "pb_columns",
            encode: |table, readings| encoded(&mut columns::Encoder::new(table), readings),
            by_hand: [[11.70, 23.8, 43.3], [13.18, 30.8, 42.4]],
            // The version; numbers and kinds of the sensors if they are not 0, 1, 2, … and all doubles.
            more_bytes: 8.0,
        },
        Row {
            format: "sparkplug_alias",
            encode: |table, readings| encoded(&mut sparkplug::Encoder::new(table).aliases(), readings),
            by_hand: [[20.1, 20.9, 29.5], [16.36, 17.22, 25.8]],
            more_bytes: 0.0,
        },
        Row {
            format: "sparkplug_names",
            encode: |table, readings| encoded(&mut sparkplug::Encoder::new(table), readings),
            by_hand: [[35.8, 36.6, 45.2], [32.5, 33.3, 41.9]],
            more_bytes: 0.0,
        },
        Row {
            format: "influx_lp",
            encode: |table, readings| encoded(&mut influx::Encoder::new(table), readings),
            by_hand: [[69.7, 69.7, 69.7], [67.6, 67.6, 67.5]],
            more_bytes: 0.0,
        },
    ]
}

#[test]
fn standard_formats_take_what_writers_made_by_hand_take() {
    for (set, csv) in SETS.into_iter().enumerate() {
        let (table, readings) = series(csv, "line2/");
        for row in rows() {
            for (batch, by_hand) in BATCHES.into_iter().zip(row.by_hand[set]) {
                let bytes: usize = readings.chunks_exact(batch).map(|r| (row.encode)(&table, r)).sum();
                let ours = bytes as f64 / (readings.len() / batch * batch) as f64;
                let name = NAMES[set];
                println!("{} {name} b{batch}: {ours:.2} bytes per reading, by hand {by_hand}", row.format);
                let most = by_hand * 1.02 + row.more_bytes / batch as f64;
                assert!(ours <= most, "{} {name} b{batch}: {ours:.2} of at most {most:.2}", row.format);
            }
        }
    }
}

/// Negative control: a format that repeats a sensor's name and unit in every row is not let through.
#[test]
fn waste_is_seen() {
    let (table, readings) = series(SETS[0], "line2/");
    let wasteful: usize = (readings.iter())
        .map(|r| {
            let sensor = table.get(r.sensor).unwrap();
            assert!(matches!(r.value, Value::F64(_)));
            sensor.name.len() + sensor.unit.len() + 8 + 8
        })
        .sum();
    let columns = &rows()[2];
    assert!(
        wasteful as f64 / readings.len() as f64 > columns.by_hand[0][0] * 1.02 + columns.more_bytes / 100.0
    );
}
