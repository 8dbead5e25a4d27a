//! Crash states (promises 1, 2 and 4): a power cut after every write and sync of a recorded history of 10 000 rows in
//! commits of 1 to 300, five outcomes each. `EDGE_TEST_BUDGET` takes a seeded share of the boundaries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{CrashRig, Plan, SimDir, budget_percent, seed};

#[test]
fn no_power_cut_loses_a_receipted_row_or_wakes_a_ghost() {
    for (name, open) in stores::DURABLE {
        let plan = Plan { seed: seed(), rows: 10_000, rows_per_commit_max: 300, reopens: true };
        let mut rig = CrashRig::record(&SimDir::new(), &open, &plan).unwrap();
        let cases = rig.judge(&open, seed(), budget_percent()).unwrap_or_else(|why| panic!("{name}: {why}"));
        println!("executed crash_states.{name}: {cases} cases of {} boundaries", rig.operations());
        assert!(cases > 100, "{name}: {cases} cases");
    }
}
