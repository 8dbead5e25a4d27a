//! Seeded chance and the budget of the run.
#![allow(dead_code, reason = "each test program uses its part")]

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0..bound`; 0 for 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// `0..length`; 0 for 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }
}

/// `full` cases at `EDGE_TEST_BUDGET` percent, 10 unless set.
pub(crate) fn budget(full: u64) -> u64 {
    (full * percent() / 100).max(1)
}

/// `EDGE_TEST_BUDGET`: percent of the full number of cases, 10 unless set.
pub(crate) fn percent() -> u64 {
    variable("EDGE_TEST_BUDGET").unwrap_or(10).clamp(1, 100)
}

/// `EDGE_SEED`, or the seed of every ordinary run.
pub(crate) fn seed_or(usual: u64) -> u64 {
    replayed_seed().unwrap_or(usual)
}

/// `EDGE_SEED`, if set: one case is replayed.
pub(crate) fn replayed_seed() -> Option<u64> {
    variable("EDGE_SEED")
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
