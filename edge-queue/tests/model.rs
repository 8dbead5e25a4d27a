//! Promises 1, 3, 4 and 7: the whole public engine against a queue of plain vectors, on every store, with the same
//! histories. The ledger must be exact after every step. Planted bugs that only such histories find are at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/random/mod.rs"]
mod random;
mod reference;

use edge_queue::StoreKind;
use edge_queue::testing::{Flaw, budget_percent};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use random::{Op, Rig, Setup, op, setup};

type Found = Result<(), TestError<(Setup, Vec<Op>)>>;

/// The same histories on each store: the generator's seed does not depend on it.
fn histories(kind: StoreKind, cases: u32, max_shrink_iters: u32) -> Found {
    let seed = edge_queue::testing::seed();
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let history = (setup(), proptest::collection::vec(op(), 1..150));
    runner.run(&history, |(setup, ops)| {
        let mut rig = Rig::new(kind, &setup);
        for (at, op) in ops.iter().enumerate() {
            rig.step(op).map_err(|e| TestCaseError::fail(format!("step {at} {op:?}: {e}")))?;
        }
        Ok(())
    })
}

fn run(kind: StoreKind, cases_full: u32) {
    let cases = (cases_full * budget_percent() as u32 / 100).max(10);
    let result = histories(kind, cases, 4_000);
    println!("executed model_{kind:?}: {cases} cases");
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (setup, ops))) => panic!("{reason}\n{setup:?}\n{ops:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// A planted bug is convicted by one of the rules that it breaks, and by no other.
fn caught(kind: StoreKind, flaw: Flaw, rules: &[&str]) {
    let found = flaw.during(|| histories(kind, 4_000, 0));
    let Err(TestError::Fail(reason, _)) = found else { panic!("{kind:?}, {flaw:?}: not caught: {found:?}") };
    let reason = reason.to_string();
    assert!(
        rules.iter().any(|rule| reason.contains(rule)),
        "{kind:?}, {flaw:?}: for another reason: {reason}"
    );
    println!("{kind:?}, {flaw:?}: {reason}");
}

const STORES: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

#[test]
fn the_memory_queue_behaves_like_the_reference() {
    run(StoreKind::Memory, 12_000);
}

#[test]
fn the_redb_queue_behaves_like_the_reference() {
    run(StoreKind::Redb, 1_200);
}

#[test]
fn the_ring_queue_behaves_like_the_reference() {
    run(StoreKind::Ring, 1_200);
}

#[test]
fn rows_evicted_for_a_push_that_is_refused_are_caught() {
    for kind in STORES {
        caught(kind, Flaw::EvictedForNothing, &["messages of lane", "but expected", "push gave"]);
    }
}

#[test]
fn a_byte_limit_judged_by_the_lanes_mean_row_after_a_restart_is_caught() {
    for kind in STORES {
        caught(kind, Flaw::OwnBytesGuessed, &["messages of lane", "but expected"]);
    }
}

/// redb keeps the pages of so few rows in RAM: no read of its medium can fail. `recount.rs` has enough for it.
#[test]
fn totals_that_a_read_error_leaves_uncounted_are_caught() {
    caught(StoreKind::Ring, Flaw::RecountForgotten, &["messages of lane"]);
}

#[test]
fn rows_that_a_failed_registration_leaves_counted_are_caught() {
    for kind in STORES {
        caught(kind, Flaw::RegistrationKeptCounted, &["messages of lane"]);
    }
}

/// The ring would forget it with the next segment, which so few rows never begin: `lanes.rs` has enough for it.
#[test]
fn a_lane_that_goes_and_takes_its_losses_along_is_caught() {
    caught(StoreKind::Redb, Flaw::LaneForgotten, &["of an absent lane", "but expected"]);
}

#[test]
fn a_receipt_of_an_earlier_open_that_takes_rows_of_a_later_one_is_caught() {
    for kind in STORES {
        caught(kind, Flaw::AckedWithoutEpoch, &["acknowledged by identity"]);
    }
}

#[test]
fn a_row_that_a_receipt_names_and_that_counts_as_leased_all_the_same_is_caught() {
    for kind in STORES {
        caught(kind, Flaw::AckedLeaseKept, &["but expected", "messages of lane", "left == right"]);
    }
}
