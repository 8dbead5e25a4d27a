//! Promise 11, as an application sees it: one call of a queue's life fails, or that one and all after it until the medium
//! heals, with EIO, ENOSPC, half done, or because the file system became read-only. The queue says so, goes on, comes
//! back without a restart, and no power cut shows a receipt to have lied.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/faulty_life.rs"]
mod faulty_life;

use edge_queue::testing::{Call, Fault, FaultError, JudgeRule, Rng, budget_percent, seed};
use edge_queue::{OnFault, StoreKind};
use faulty_life::{Bug, Case, Rule, Violation, live};

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
            let case = Case { kind, policy: OnFault::Withhold, fault, bug: None };
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

/// The bugs that a rule convicts, and rules that would see one first. A rule without a bug does not compile.
fn control(rule: Rule) -> (Bug, &'static [Rule]) {
    match rule {
        Rule::Refusal => (Bug::PushRefused, &[]),
        Rule::Panic => (Bug::Panics, &[]),
        Rule::Health => (Bug::HealthyAlways, &[]),
        Rule::Events => (Bug::EventsLost, &[]),
        Rule::Receipt => (Bug::OtherReceipt, &[]),
        Rule::Healing => (Bug::NeverRetries, &[Rule::ReceiptOwed]),
        Rule::ReceiptOwed => (Bug::ReceiptKept, &[]),
        // Bytes that a failed sync may have dropped are synced again and believed.
        Rule::StoredRow => (Bug::Resync, &[Rule::Quarantine]),
        Rule::EndedRow => (Bug::RowLost, &[Rule::StoredRow]),
        Rule::Order => (Bug::RowsReversed, &[]),
        Rule::Balance => (Bug::AcceptedTwice, &[]),
        Rule::Quarantine => (Bug::Resync, &[Rule::StoredRow]),
    }
}

/// The first violation in lives with the bug, each of which has a sync that fails once, or until the medium heals.
fn violation(kind: StoreKind, bug: Option<Bug>) -> Option<Violation> {
    (0..20).find_map(|after| {
        // A fault that passes is found out by the next commit.
        let sticky = bug == Some(Bug::NeverRetries);
        let fault = Fault { call: Call::Sync, after, error: FaultError::Io, sticky };
        live(Case { kind, policy: OnFault::Withhold, fault, bug }, after).err()
    })
}

#[test]
fn every_rule_convicts_its_bug_and_not_once_it_is_switched_off() {
    for &rule in Rule::ALL {
        let (bug, aside) = control(rule);
        rule.convicts(bug, aside, || violation(StoreKind::Ring, Some(bug)));
    }
}

#[test]
fn a_failed_sync_of_redb_that_is_asked_again_and_believed_is_caught() {
    let found = violation(StoreKind::Redb, Some(Bug::Resync)).expect("caught");
    println!("{found}");
    assert!([Rule::StoredRow, Rule::Quarantine].contains(&found.rule), "{found}");
}
