#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Batches of one sensor, where a compressor for columns of numbers is at its best: ours (level `fast`, session table) take
//! at most 1.05 times what pco's values take in the same frame (promise 9). pco is not a dependency here: its bytes are
//! those that `cargo run --release -p edge-benches -- codec` finds for the same batches, level 12, one chunk per batch.

#[path = "support/session.rs"]
mod session;
#[path = "support/sets.rs"]
mod sets;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{Limits, Reading, Value};
use session::Session;
use sets::load;

const MOST: f64 = 1.05;

/// Bytes per reading of pco's values in batches of 1000, for every series that has one behind the first 30 % of its set,
/// and for one of 700 readings that was the worst: two values in no order.
const PCO: [(&str, &str, f64); 21] = [
    ("metropt3", "DV_pressure", 0.217),
    ("steel_energy", "usage", 1.528),
    ("steel_energy", "lag_reactive", 1.392),
    ("steel_energy", "lead_reactive", 1.063),
    ("steel_energy", "co2", 0.311),
    ("steel_energy", "lag_pf", 1.429),
    ("steel_energy", "lead_pf", 0.801),
    ("nab_counters", "network_in", 2.229),
    ("nab_counters", "disk_write", 0.910),
    ("nab_counters", "request_count", 1.067),
    ("nab_counters", "travel_time", 1.158),
    ("nab_counters", "speed", 0.734),
    ("nab_counters", "occupancy", 1.422),
    ("nab_temps", "machine_temp", 3.872),
    ("nab_temps", "ambient_temp", 3.773),
    ("occupancy", "Temperature", 0.809),
    ("occupancy", "Humidity", 1.017),
    ("occupancy", "Light", 0.778),
    ("occupancy", "CO2", 1.228),
    ("occupancy", "HumidityRatio", 3.116),
    ("occupancy", "Occupancy", 0.102),
];
/// Of all series together, for the sets whose series are shorter: 700 readings, and 181 to 710.
const PCO_SHORT: [(&str, f64); 2] = [("metropt3", 0.371), ("pv_weather", 2.900)];

/// Batches of one sensor: at most ten of `size`, or what there is.
fn batches<'s>(rest: &'s [Reading<'static>], sensor: u32, size: usize) -> Vec<Vec<&'s Reading<'static>>> {
    let of: Vec<_> = rest.iter().filter(|r| r.sensor == sensor).collect();
    let size = size.min(of.len()).max(1);
    of.chunks_exact(size).take(10).map(<[_]>::to_vec).collect()
}

/// Bytes of ours, and of the same frame without values. What is written reads back to the bit.
fn bytes(session: &Session, batches: &[Vec<&Reading<'static>>]) -> (usize, usize) {
    let (mut ours, mut frames) = (0, 0);
    let mut encoder = session.encoder(Level::Fast);
    let reader = session.reader();
    let mut empty: Encoder = Encoder::numbered();
    for batch in batches {
        batch.iter().for_each(|r| encoder.push(r).unwrap());
        let bytes = encoder.finish_under(usize::MAX).unwrap();
        let read = reader.decode(&bytes, &Limits::default()).unwrap();
        assert!(read.zip(batch).all(|(read, sent)| read.unwrap().same(sent)));
        ours += bytes.len();
        batch.iter().for_each(|r| empty.push(&Reading { value: Value::Null, ..(*r).clone() }).unwrap());
        frames += empty.finish_under(usize::MAX).unwrap().len();
    }
    (ours, frames)
}

#[test]
fn batches_of_one_sensor_take_no_more_than_pco_and_a_twentieth() {
    let mut seen = 0;
    for name in sets::SETS {
        let set = load(name);
        let (sample, rest) = set.parts();
        let session = Session::learn(1, &set.sensors, sample);
        let (mut all, mut all_frames, mut readings) = (0, 0, 0);
        for sensor in &set.sensors {
            let batches = batches(rest, sensor.id, 1000);
            let count = batches.iter().map(Vec::len).sum::<usize>();
            let (ours, frames) = bytes(&session, &batches);
            (all, all_frames, readings) = (all + ours, all_frames + frames, readings + count);
            let known = PCO
                .iter()
                .find(|(set, series, _)| (*set, sensor.name.strip_prefix("line2/")) == (name, Some(*series)));
            if let Some((.., pco)) = known {
                let ratio = ours as f64 / (frames as f64 + pco * count as f64);
                println!("{name} {}: {:.3} B, {ratio:.3} of pco", sensor.name, ours as f64 / count as f64);
                assert!(ratio <= MOST, "{name} {}: {ratio:.3}", sensor.name);
                seen += 1;
            }
        }
        if let Some((_, pco)) = PCO_SHORT.iter().find(|(set, _)| *set == name) {
            let ratio = all as f64 / (all_frames as f64 + pco * readings as f64);
            println!("{name}: {ratio:.3} of pco");
            assert!(ratio <= MOST, "{name}: {ratio:.3}");
            seen += 1;
        }
    }
    assert_eq!(seen, PCO.len() + PCO_SHORT.len(), "every series was measured");
}

/// Negative control: what a sample of another plant taught would be seen, if the encoder did not look again.
#[test]
fn values_that_no_plan_fits_are_over_the_bound() {
    let set = load("occupancy");
    let (sample, rest) = set.parts();
    let session = Session::learn(1, &set.sensors, sample);
    let noisy: Vec<Reading<'static>> = rest
        .iter()
        .filter(|r| r.sensor == 0)
        .take(1000)
        .enumerate()
        .map(|(n, r)| Reading { value: Value::F64((n as f64).sin()), ..r.clone() })
        .collect();
    let (ours, frames) = bytes(&session, &[noisy.iter().collect()]);
    assert!(PCO.iter().all(|(.., pco)| ours as f64 > MOST * (frames as f64 + pco * 1000.0)), "{ours}");
}
