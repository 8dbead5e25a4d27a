#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Size of an encoder that lives on, and keeps what it found, against a new encoder per batch (promise 9): at
//! most 3 %, with a table and without; real series, each through both.

#[path = "support/session.rs"]
mod session;
#[path = "support/sets.rs"]
mod sets;

use edge_codec::Reading;
use edge_codec::compact::{Encoder, Level};
use session::Session;
use sets::{SETS, load};

const BATCHES: usize = 120;

fn size(encoder: &mut Encoder, rows: &[Reading<'_>]) -> usize {
    rows.iter().for_each(|r| encoder.push(r).unwrap());
    encoder.finish_under(usize::MAX).unwrap().len()
}

/// Returns what the encoder that lives on takes, as a share of what new ones take.
fn ratio(rows: &[Reading<'_>], n: usize, new: impl Fn() -> Encoder) -> f64 {
    let mut lasting = new();
    let batches = || rows.chunks_exact(n).take(BATCHES);
    let kept: usize = batches().map(|batch| size(&mut lasting, batch)).sum();
    let fresh: usize = batches().map(|batch| size(&mut new(), batch)).sum();
    kept as f64 / fresh as f64
}

/// The most for one set, with a table and without, at 1000 and 100 readings.
const MOST: [f64; 4] = [1.03, 1.03, 1.02, 1.02];
/// The same for the geometric mean of all sets.
const MEAN: [f64; 4] = [1.015, 1.01, 1.005, 1.01];

#[test]
fn plans_that_are_kept_cost_little() {
    let mut logs = [0.0; 4];
    for set in SETS.map(load) {
        let (sample, rest) = set.parts();
        let session = Session::learn(1, &set.sensors, sample);
        let with = |n| ratio(rest, n, || session.encoder(Level::Fast));
        let without = |n| ratio(rest, n, Encoder::numbered);
        let ratios = [with(1000), with(100), without(1000), without(100)];
        println!("{}: {ratios:.3?} at 1000 and 100 with a table, then without", set.name);
        assert!(ratios.iter().zip(MOST).all(|(ratio, most)| *ratio <= most), "{}: {ratios:?}", set.name);
        logs.iter_mut().zip(ratios).for_each(|(sum, ratio)| *sum += ratio.ln() / SETS.len() as f64);
    }
    let means = logs.map(f64::exp);
    println!("mean: {means:.3?}");
    assert!(means.iter().zip(MEAN).all(|(mean, most)| *mean <= most), "{means:?}");
}
