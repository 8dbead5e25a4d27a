//! Negative controls: the rig that finds no violation in the stores finds every planted one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::medium::Dir;
use edge_queue::store::Store;
use edge_queue::testing::conformance::{self, Kind};
use edge_queue::testing::{Bug, CrashRig, Plan, Planted, SimDir, seed};

/// Without reopens: what is caught is the power cut's doing. Long enough for the regions of the ring to be used again.
fn plan() -> Plan {
    Plan { seed: seed(), rows: 12_000, rows_per_commit_max: 300, reopens: false }
}

fn violation(open: stores::OpenStore, dir: &SimDir, bug: Option<Bug>) -> Option<String> {
    let planted = |dir| planted(open, dir, bug);
    let mut rig = CrashRig::record(dir, &planted, &plan()).expect("the history itself runs");
    rig.judge(&open, seed(), 10).err()
}

fn planted(open: stores::OpenStore, dir: Box<dyn Dir>, bug: Option<Bug>) -> stores::Opened {
    let (store, found) = open(dir)?;
    let store = match bug {
        Some(bug) => Box::new(Planted::new(store, bug)) as Box<dyn Store>,
        None => store,
    };
    Ok((store, found))
}

#[test]
fn the_same_runs_without_a_planted_bug_show_no_violation() {
    for (name, open) in stores::DURABLE {
        assert_eq!(violation(open, &SimDir::new(), None), None, "{name}");
    }
}

#[test]
fn a_sync_that_does_nothing_is_caught() {
    for (name, open) in stores::DURABLE {
        // Made honestly: what is missing afterwards are rows, not the file.
        let dir = SimDir::new();
        drop(open(Box::new(dir.clone())).unwrap());
        dir.plant_lying_sync();
        let found = violation(open, &dir, None).unwrap_or_else(|| panic!("{name}: not caught"));
        println!("{name}: {found}");
    }
}

#[test]
fn a_receipt_one_commit_early_is_caught() {
    caught(Bug::ReceiptOneCommitEarly);
}

#[test]
fn rows_given_up_before_they_are_acknowledged_are_caught() {
    // Not by the crash rig for every store: the ring uses the longest free segment first and its region is twice the
    // limit, so what was given up too early stays on the medium for a lap. Reading in the same run shows it.
    for (name, open) in stores::DURABLE {
        let planted = |dir| planted(open, dir, Some(Bug::AdvanceTooFar));
        let found = conformance::the_same_history_gives_the_same_answers(&planted, Kind::Durable, seed())
            .expect_err("not caught");
        println!("{name}: {found}");
    }
}

#[test]
fn an_ack_before_its_time_is_caught() {
    caught(Bug::AckBeforeItsTime);
}

fn caught(bug: Bug) {
    for (name, open) in stores::DURABLE {
        let found =
            violation(open, &SimDir::new(), Some(bug)).unwrap_or_else(|| panic!("{name}: not caught"));
        println!("{name}, {bug:?}: {found}");
    }
}
