//! Budget of seeded loops: the same variables for every package.

/// Percent of the full budget, 1 to 100, from `EDGE_TEST_BUDGET`; 10 unless set.
pub fn budget_percent() -> u64 {
    variable("EDGE_TEST_BUDGET").map_or(10, |percent| percent.clamp(1, 100))
}

/// Cases of a fuzz loop that makes up `share` of a million: all of them at the full budget, or as many as make
/// `EDGE_FUZZ_CASES` in all, whatever the budget.
pub fn fuzz_cases(share: u64) -> u64 {
    const ALL: u64 = 1_000_000;
    let all = variable("EDGE_FUZZ_CASES").unwrap_or(ALL / 100 * budget_percent());
    share.saturating_mul(all).div_ceil(ALL)
}

/// The seed of the run, from `EDGE_SEED`; fixed unless set.
pub fn seed() -> u64 {
    variable("EDGE_SEED").unwrap_or(0x5eed_2026)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
