#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Counts of a converter that somebody scales to engineering units, without rounding to a decimal, take little more
//! than the counts themselves (promise 9), and comes back bit for bit, in Rust and elsewhere.

#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{Limits, Reading, SensorTable, Value};
use session::{Reader, Session};
use support::{Rng, cases, seed};

/// A scaling, and the bits of the converter.
type Scaling = (&'static str, u32, fn(f64) -> f64);

const SCALINGS: [Scaling; 8] = [
    ("volts", 12, |c| c * 10.0 / 4095.0),
    ("volts by a factor", 12, |c| c * (10.0 / 4095.0)),
    ("percent", 12, |c| c / 4095.0 * 100.0),
    ("degrees with an offset", 12, |c| -50.0 + c * 300.0 / 4095.0),
    ("percent of 27648", 15, |c| c * 100.0 / 27648.0),
    ("4-20 mA", 16, |c| c * 16.0 / 65535.0 + 4.0),
    ("a shunt", 16, |c| (c * 16.0 / 65535.0 + 4.0) * std::f64::consts::SQRT_2),
    ("psi from hundredths of a bar", 10, |c| c / 100.0 * 14.503_773_773),
];
/// Bytes per reading over those of the counts: what the last places of the doubles need.
const MORE: f64 = 0.55;
const N: usize = 3000;
const SIZE: usize = 1000;

/// Counts that wander about the middle of a range.
fn counts(bits: u32, rng: &mut Rng) -> Vec<f64> {
    let middle = f64::from(1_u32 << (bits - 1));
    let mut at = middle;
    let mut step = || {
        let noise = (0..4).map(|_| rng.below(33) as f64).sum::<f64>() - 64.0;
        at += noise / 4.0 + (middle - at) / 64.0;
        at.round()
    };
    (0..N).map(|_| step()).collect()
}

fn readings(values: impl Iterator<Item = Value<'static>>) -> Vec<Reading<'static>> {
    let reading = |(n, value): (i64, _)| Reading { sensor: 1, time: n * 1000, value, quality: 0 };
    (0..).zip(values).map(reading).collect()
}

/// Bytes per reading of what comes after the first batch, by a table learned from that one, and without a table.
fn sizes(all: &[Reading<'static>]) -> [f64; 2] {
    let mut names = SensorTable::new();
    names.insert(1, "line2/ai1", "");
    let (sample, rest) = all.split_at(SIZE);
    let session = Session::learn(1, &names, sample);
    let (reader, bare) = (session.reader(), Reader::without_table());
    let limits = Limits::default();
    let mut with = session.encoder(Level::Fast);
    let mut without: Encoder = Encoder::numbered();
    let (mut bytes, mut own) = (0, 0);
    for rows in rest.chunks_exact(SIZE) {
        rows.iter().for_each(|r| with.push(r).unwrap());
        rows.iter().for_each(|r| without.push(r).unwrap());
        let (batch, alone) =
            (with.finish_under(usize::MAX).unwrap(), without.finish_under(usize::MAX).unwrap());
        (bytes, own) = (bytes + batch.len(), own + alone.len());
        for read in [reader.decode(&batch, &limits).unwrap(), bare.decode(&alone, &limits).unwrap()] {
            assert_eq!(read.len(), rows.len());
            assert!(read.zip(rows).all(|(read, sent)| read.unwrap().same(sent)));
        }
    }
    [bytes, own].map(|bytes| bytes as f64 / (all.len() - SIZE) as f64)
}

/// The scaling's bytes per reading over the counts', by the table and without.
fn more((_, bits, scaled): Scaling, rng: &mut Rng) -> [f64; 2] {
    over(&counts(bits, rng), scaled)
}

fn over(counts: &[f64], scaled: fn(f64) -> f64) -> [f64; 2] {
    let raw = sizes(&readings(counts.iter().map(|c| Value::I64(*c as i64))));
    let scaled = sizes(&readings(counts.iter().map(|c| Value::F64(scaled(*c)))));
    [scaled[0] - raw[0], scaled[1] - raw[1]]
}

#[test]
fn scaled_counts_take_little_more_than_the_counts() {
    let mut rng = Rng(seed());
    let rounds = cases(20).max(2);
    for scaling in SCALINGS {
        for _ in 0..rounds {
            let more = more(scaling, &mut rng);
            assert!(more.iter().all(|more| *more < MORE), "{}: {more:.3?} bytes more", scaling.0);
        }
    }
    println!("executed codec.compact.scaled: {} cases", rounds * SCALINGS.len() as u64);
}

/// Steps of two and of three counts lie on the grid of one count, though no two values are one count apart.
#[test]
fn scaled_counts_without_neighbours_take_little_more_than_the_counts() {
    let mut rng = Rng(seed());
    for (name, bits, scaled) in SCALINGS {
        let sparse: Vec<f64> = counts(bits, &mut rng).iter().map(|c| (c * 2.5).floor()).collect();
        let more = over(&sparse, scaled);
        assert!(more.iter().all(|more| *more < MORE), "{name}: {more:.3?} bytes more");
    }
}

/// Negative control: doubles that no grid holds are over the bound.
#[test]
fn what_is_on_no_grid_is_over_the_bound() {
    let mut rng = Rng(seed());
    let counts = counts(12, &mut rng);
    let raw = sizes(&readings(counts.iter().map(|c| Value::I64(*c as i64))));
    let mut off = |c: &f64| c * 10.0 / 4095.0 * (1.0 + rng.below(1 << 20) as f64 * 1e-9);
    let noisy = sizes(&readings(counts.iter().map(|c| Value::F64(off(c)))));
    assert!(noisy[0] > raw[0] + 4.0 * MORE && noisy[1] > raw[1] + 4.0 * MORE, "{noisy:?}, {raw:?}");
}

/// A sensor that says NaN or -9999 now and then still gives decimals between.
#[test]
fn a_missing_value_costs_itself_and_not_the_column() {
    let mut rng = Rng(seed());
    let counts = counts(10, &mut rng);
    let odd = |n: usize| if n.is_multiple_of(2) { f64::NAN } else { -9999.25 };
    let with = |every: usize| {
        let value = |(n, c): (usize, &f64)| {
            Value::F64(if n % every == every - 1 { odd(n / every) } else { c / 10.0 })
        };
        sizes(&readings(counts.iter().enumerate().map(value)))
    };
    let (clean, holes) = (with(usize::MAX), with(200));
    // Ten bytes each, and half a byte of probability for all others at most.
    let most = 0.5 + 12.0 / 200.0;
    assert!(holes[0] < clean[0] + most && holes[1] < clean[1] + most, "{holes:?} over {clean:?}");
}
