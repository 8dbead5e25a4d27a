#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Plans that are kept from batch to batch cost at most 3 % of size against plans that are looked for anew (promise 9):
//! real series, each through one encoder that lives on and through a new encoder per batch.

#[path = "support/sets.rs"]
mod sets;

use edge_codec::Reading;
use edge_codec::compact::{Encoder, Level, Table};
use sets::{SETS, load};
use std::sync::Arc;

const BATCHES: usize = 120;

fn size(encoder: &mut Encoder, rows: &[Reading<'_>]) -> usize {
    rows.iter().for_each(|r| encoder.push(r).unwrap());
    encoder.finish_under(usize::MAX).unwrap().len()
}

/// What the encoder that lives on takes, as a share of what new ones take.
fn ratio(rows: &[Reading<'_>], n: usize, new: impl Fn() -> Encoder) -> f64 {
    let mut lasting = new();
    let batches = || rows.chunks_exact(n).take(BATCHES);
    let kept: usize = batches().map(|batch| size(&mut lasting, batch)).sum();
    let fresh: usize = batches().map(|batch| size(&mut new(), batch)).sum();
    kept as f64 / fresh as f64
}

#[test]
fn plans_that_are_kept_cost_at_most_3_percent() {
    for set in SETS.map(load) {
        let (sample, rest) = set.parts();
        let table = Arc::new(Table::learn(1, &set.sensors, sample));
        for n in [1000, 100] {
            let with = ratio(rest, n, || Encoder::new(Level::Fast).table(Arc::clone(&table)));
            let without = ratio(rest, n, || Encoder::new(Level::Fast));
            println!("{} x {n}: {with:.4} with a table, {without:.4} without", set.name);
            assert!(with <= 1.03 && without <= 1.03, "{} x {n}: {with} {without}", set.name);
        }
    }
}
