//! What the integration tests share: seeded random numbers, budgets, recorded series, one-sensor runs.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod history;
pub(crate) mod judge;

use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, Value};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::io::Read;

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// Seeded from `EDGE_SEED`.
    pub(crate) fn from_env() -> Self {
        Rng(seed())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// `EDGE_SEED`, or the one that is used otherwise.
fn seed() -> u64 {
    std::env::var("EDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5EED)
}

/// So many cases from `EDGE_SEED`: the same ones each time.
pub(crate) fn config(cases: u32) -> Config {
    let rng_seed = RngSeed::Fixed(seed());
    Config { cases, rng_seed, failure_persistence: None, max_shrink_iters: 300, ..Config::default() }
}

/// The same for strategies that a test runs itself.
pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(config(cases))
}

/// `full` cases scaled by `EDGE_TEST_BUDGET` percent, default 10.
pub(crate) fn budget(full: u32) -> u32 {
    let percent = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|s| s.parse().ok()).unwrap_or(10_u32);
    (full / 100 * percent.clamp(1, 100)).max(1)
}

/// Feeds one reading with `now` = event time and gives everything it emitted, in order.
pub(crate) fn feed(
    p: &mut Pipeline,
    sensor: u32,
    row: (i64, Value<'static>, Quality),
    now: i64,
) -> Vec<Emit<'static>> {
    let (time, value, quality) = row;
    let mut out = Vec::new();
    match p.process(Reading { sensor, time, value, quality }, now, &mut |e| out.push(e)) {
        Outcome::Emit(e) => out.push(e),
        Outcome::Held | Outcome::Drop(_) => {}
    }
    out
}

/// A recorded series of `tests/data`: (time, value) in the order of the file.
pub(crate) fn series(name: &str) -> Vec<(i64, f64)> {
    let path = format!("{}/tests/data/{name}.csv.gz", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let mut cells = line.split(',');
        let (time, _sensor, value) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        assert_eq!(cells.next(), Some("0"), "the series are all good");
        (time.parse().unwrap(), value.parse().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}
