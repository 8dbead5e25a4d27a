//! Promise 11, as an application sees it: one call of a queue's life fails, or that one and all after it until the medium
//! heals, with EIO, ENOSPC, half done, or because the file system became read-only. The queue says so, goes on, comes
//! back without a restart, and no power cut shows a receipt to have lied.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/faulty_life.rs"]
mod faulty_life;

use edge_queue::testing::{Call, Fault, FaultError, Rng, budget_percent, seed};
use edge_queue::{OnFault, StoreKind};
use faulty_life::{Case, live};

/// A life with more calls than this does not get to its end; none comes near it.
const CALLS_MAX: u64 = 20_000;
const ERRORS: [FaultError; 4] =
    [FaultError::Io, FaultError::NoSpace, FaultError::Short, FaultError::ReadOnly];

#[test]
fn every_call_of_a_ring_may_fail_and_the_queue_comes_back() {
    every_call(StoreKind::Ring);
}

#[test]
fn every_call_of_redb_may_fail_and_the_queue_comes_back() {
    every_call(StoreKind::Redb);
}

fn every_call(kind: StoreKind) {
    let mut rng = Rng::new(seed());
    let mut cases = 0;
    for error in ERRORS {
        for sticky in [false, true] {
            let fault = Fault { call: Call::Any, after: 0, error, sticky };
            let case = Case { kind, policy: OnFault::Withhold, fault, resync: false };
            cases += every_nth(case, &mut rng).unwrap_or_else(|why| panic!("{why}"));
        }
    }
    println!("executed faults_queue.{kind:?}: {cases} cases");
    assert!(cases > 50, "{cases} cases");
}

/// Plants the fault at the first, second, third … call (a seeded share of them), under one policy and the other in turn,
/// until the life has no such call.
fn every_nth(case: Case, rng: &mut Rng) -> Result<u64, String> {
    let mut cases = 0;
    for after in 0..CALLS_MAX {
        if after >= 6 && rng.below(100) >= budget_percent() {
            continue;
        }
        let policy = if after.is_multiple_of(2) { OnFault::Withhold } else { OnFault::Volatile };
        if !live(Case { fault: Fault { after, ..case.fault }, policy, ..case }, after)? {
            return Ok(cases);
        }
        cases += 1;
    }
    Err(format!("{case:?}: more than {CALLS_MAX} calls"))
}

/// The negative control: bytes that a failed sync may have dropped are synced again and believed. On both stores some
/// power cut right after the healing finds a `Stored` row gone, or damaged.
#[test]
fn a_failed_sync_that_is_asked_again_and_believed_is_caught() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let fault = Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false };
        let case = Case { kind, policy: OnFault::Withhold, fault, resync: true };
        let lie = (0..60).find_map(|after| {
            let fault = Fault { after, ..fault };
            live(Case { fault, ..case }, after).err()
        });
        let found = lie.unwrap_or_else(|| panic!("{kind:?}: not caught"));
        println!("{found}");
        assert!(found.contains("took it") || found.contains("quarantined"), "{found}");
    }
}
