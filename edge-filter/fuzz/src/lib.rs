//! Targets of edge-filter. Each takes one input and holds it against promise 12 with the asserts of the tests' own loops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "../../tests/support/any_input.rs"]
mod any_input;
#[path = "../../tests/support/mod.rs"]
mod support;

use edge_filter::Pipeline;
use support::Rng;

/// A configuration. A pipeline of it, if it is accepted, is given the same readings each time.
pub fn configuration(input: &[u8]) {
    any_input::configuration(input, &mut Rng(1));
}

/// A snapshot in CBOR, restored and used.
pub fn snapshot(input: &[u8]) {
    any_input::snapshot(input, &mut Rng(1));
}

/// Readings, ticks and restarts of a pipeline with a stage of each kind: eight bytes for each decision.
pub fn readings(mut input: &[u8]) {
    let steps = input.len() as u64 / 8;
    let mut pipeline = Pipeline::from_toml(any_input::SEED).unwrap();
    any_input::drive(&mut pipeline, &mut input, steps.min(500), None, None).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Vec<(&'static str, Vec<u8>)> {
        let mut rng = Rng(7);
        let numbers = (0..400).flat_map(|_| rng.next().to_le_bytes()).collect();
        let rules = any_input::SEED.as_bytes().to_vec();
        vec![
            ("configuration", rules),
            ("snapshot", any_input::whole_snapshot(&mut Rng(7))),
            ("readings", numbers),
        ]
    }
    #[test]
    fn the_committed_seeds_pass() {
        let targets: [fuzz_replay::Target; 3] =
            [("configuration", configuration), ("snapshot", snapshot), ("readings", readings)];
        fuzz_replay::replay_seeds(env!("CARGO_MANIFEST_DIR"), &targets, &made());
    }
}
