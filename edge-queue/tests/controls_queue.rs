//! Negative controls of the queue's crash rig: bugs that only the queue can have, or that its ledger shows best. Each is
//! found, and each test prints after how many crash states. The stores' own are in `controls.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_rig/mod.rs"]
mod queue_rig;
mod reference;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{Bug, Call, Fault, FaultError, Flaw, SyncBug, seed};
use queue_rig::{Plant, Rig, Setup};

/// A life that no bug survives is found among so many.
const LIVES: u64 = 12;

fn violation(name: &'static str, plant: Option<Plant>, setup: fn(u64) -> Setup) -> Option<String> {
    (0..LIVES).find_map(|nth| {
        let mut rig = Rig::new(name, setup(seed() + nth), plant);
        let found = rig.live(seed() + nth).and_then(|()| rig.judge(seed() + nth, 25));
        found.err().map(|why| format!("life {nth}: {why}"))
    })
}

fn caught(names: &[&'static str], plant: Plant, setup: fn(u64) -> Setup) {
    for name in names {
        let found = violation(name, Some(plant), setup);
        let found = found.unwrap_or_else(|| panic!("{name}, {plant:?}: not caught"));
        assert!(!found.contains("open failed"), "{name}, {plant:?}: for the wrong reason: {found}");
        println!("{name}, {plant:?}: found in {found}");
    }
}

const STORES: [&str; 2] = ["ring", "redb"];

fn any(seed: u64) -> Setup {
    Setup::any(seed, 80)
}

/// Without a reopen the power cut is the first to see what is on the disk.
fn one_run(seed: u64) -> Setup {
    Setup { reopens: false, ..Setup::any(seed, 80) }
}

fn drop_oldest(seed: u64) -> Setup {
    Setup { reopens: false, ..Setup::drop_oldest(seed, 80) }
}

#[test]
fn the_same_lives_without_a_planted_bug_show_no_violation() {
    for name in STORES {
        assert_eq!(violation(name, None, any), None, "{name}");
        assert_eq!(violation(name, None, drop_oldest), None, "{name}");
    }
}

#[test]
fn rows_counted_twice_after_a_reopen_are_caught() {
    caught(&STORES, Plant::Store(Bug::CountedTwice), any);
}

#[test]
fn numbers_that_restart_after_all_rows_were_elided_are_caught() {
    caught(&STORES, Plant::Store(Bug::SeqRestarts), any);
}

#[test]
fn a_leased_row_that_is_evicted_is_caught() {
    caught(&STORES, Plant::Flaw(Flaw::LeasedEvicted), drop_oldest);
}

#[test]
fn a_receipt_one_commit_early_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::ReceiptOneCommitEarly), one_run);
}

#[test]
fn an_ack_before_its_time_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::AckBeforeItsTime), one_run);
}

#[test]
fn bookkeeping_that_is_durable_before_its_rows_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::BookkeepingBeforeRows), one_run);
}

#[test]
fn a_sync_that_does_nothing_is_caught_by_the_queue() {
    caught(&STORES, Plant::Sync(SyncBug::Nothing, None), any);
}

#[test]
fn a_failed_sync_called_again_is_caught_by_the_queue() {
    let fault = Fault { call: Call::Sync, after: 5, error: FaultError::Io, sticky: false };
    caught(&STORES, Plant::Sync(SyncBug::Retried, Some(fault)), any);
}
