//! Crash states through the public API (promises 1, 2, 3, 4): whatever was receipted is there or was acknowledged, with
//! its bytes and its identity, once and in order; the ledger adds up; no row that was never pushed appears.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_rig.rs"]
mod queue_rig;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{Bug, budget_percent, seed};
use edge_queue::{OnFull, StoreKind};
use queue_rig::Rig;

const STEPS: usize = 400;

#[test]
fn every_receipted_row_is_there_or_was_acknowledged() {
    run("crash_queue", OnFull::Reject);
}

#[test]
fn a_queue_that_drops_its_oldest_says_how_many() {
    run("crash_queue_drop_oldest", OnFull::DropOldest);
}

fn run(what: &str, on_full: OnFull) {
    for (name, open) in stores::DURABLE {
        let histories = budget_percent().div_ceil(25);
        let mut cases = 0;
        for nth in 0..histories {
            let mut rig = Rig::new((kind(name), open), on_full);
            rig.live(seed() + nth, STEPS).unwrap_or_else(|why| panic!("{name}: {why}"));
            let judged = rig.judge(seed() + nth, budget_percent().max(20));
            cases += judged.unwrap_or_else(|why| panic!("{name}, history {nth}: {why}"));
        }
        println!("executed {what}.{name}: {cases} cases");
        assert!(cases > 50, "{name}: {cases}");
    }
}

#[test]
fn the_planted_bugs_are_caught_through_the_public_api_too() {
    for (name, open) in stores::DURABLE {
        for bug in [Bug::ReceiptOneCommitEarly, Bug::AdvanceTooFar, Bug::AckBeforeItsTime] {
            let mut rig = Rig::new((kind(name), open), OnFull::Reject);
            rig.plant(bug);
            let found = rig.live(seed(), 1500).and_then(|()| rig.judge(seed(), 20));
            let found = found.expect_err("not caught");
            assert!(!found.contains("open failed"), "{name}, {bug:?}: for the wrong reason: {found}");
            println!("{name}, {bug:?}: {found}");
        }
        let mut rig = Rig::new((kind(name), open), OnFull::Reject);
        rig.plant_lying_sync();
        let found = rig.live(seed(), STEPS).and_then(|()| rig.judge(seed(), 20));
        let found = found.expect_err("not caught");
        assert!(!found.contains("open failed"), "{name}: for the wrong reason: {found}");
        println!("{name}, a sync that does nothing: {found}");
    }
}

fn kind(name: &str) -> StoreKind {
    if name == "ring" { StoreKind::Ring } else { StoreKind::Redb }
}
