#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "compact", feature = "zstd"))]
//! Compact batches of real series stay under the bytes per reading that README states (promise 9), and come back bit for
//! bit. The first 30 % of a set make the session table, whose bytes are spread over a day of a batch each 10 s; batches
//! are consecutive readings of all sensors in time order, without identity.

#[path = "support/session.rs"]
mod session;
#[path = "support/sets.rs"]
mod sets;
mod support;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{Limits, Reading, SensorTable};
use session::{Reader, Session};
use sets::{SETS, Set, load};

const BATCHES_PER_DAY: f64 = 8640.0;

fn bytes_per_reading(set: &Set, level: Level, session: Option<&Session>, size: usize) -> f64 {
    let rest = set.parts().1;
    let most = match size {
        1 => 1500,
        10 => 600,
        100 => 250,
        _ => 70,
    };
    let step = (rest.len() / size).div_ceil(most);
    let (mut bytes, mut readings) = (0, 0);
    let reader = session.map_or_else(Reader::without_table, Session::reader);
    let mut measure = |batch: &[u8], rows: &[Reading<'_>]| {
        let decoded = reader.decode(batch, &Limits::default());
        let same = decoded.unwrap().zip(rows).filter(|(got, sent)| got.as_ref().unwrap().same(sent)).count();
        assert_eq!(same, rows.len(), "{}", set.name);
        bytes += batch.len();
        readings += rows.len();
    };
    let empty: SensorTable<'static> = set.sensors.clone();
    let mut encoder = match session {
        Some(session) => session.encoder(level),
        None => Encoder::new(empty).level(level),
    };
    for rows in rest.chunks_exact(size).step_by(step) {
        rows.iter().for_each(|r| encoder.push(r).unwrap());
        measure(&encoder.finish_under(usize::MAX).unwrap(), rows);
    }
    let table = session.map_or(0.0, |s| s.announced().len() as f64 / BATCHES_PER_DAY / size as f64);
    bytes as f64 / readings as f64 + table
}

fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// Level, whether with a table, readings per batch, and the most bytes per reading.
const GOALS: [(Level, bool, usize, f64); 11] = [
    (Level::Fast, true, 1000, 1.34),
    (Level::Fast, true, 100, 1.70),
    (Level::Fast, true, 10, 3.95),
    (Level::Fast, true, 1, 18.5),
    (Level::Small, true, 1000, 1.33),
    (Level::Small, true, 100, 1.70),
    (Level::Small, true, 10, 3.95),
    (Level::Small, true, 1, 18.5),
    (Level::Small, false, 1000, 1.52),
    (Level::Small, false, 100, 3.1),
    (Level::Fast, false, 10, 11.8),
];

#[test]
fn compact_batches_of_real_series_stay_under_the_stated_bytes() {
    let sets: Vec<Set> = SETS.into_iter().map(load).collect();
    let tables: Vec<_> = sets.iter().map(|s| Session::learn(1, &s.sensors, s.parts().0)).collect();
    for (level, with_table, size, goal) in GOALS {
        let each = sets.iter().zip(&tables);
        let sizes: Vec<f64> = each
            .map(|(set, table)| bytes_per_reading(set, level, with_table.then_some(table), size))
            .collect();
        let mean = geomean(&sizes);
        println!("{level:?} table {with_table} × {size}: {mean:.3} of {goal} bytes per reading, {sizes:.3?}");
        assert!(mean <= goal, "{level:?} table {with_table} × {size}: {mean:.3}");
    }
}
