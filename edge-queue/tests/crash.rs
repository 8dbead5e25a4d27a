//! Crash states (promises 1, 2 and 4): a power cut after every write and sync of a recorded history of 10 000 rows in
//! commits of 1 to 300, five outcomes each. `EDGE_TEST_BUDGET` takes a seeded share of the boundaries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{CrashRig, Plan, SimDir, budget_percent, seed};

#[test]
fn no_power_cut_loses_a_receipted_row_or_wakes_a_ghost() {
    for (name, open) in stores::DURABLE {
        let histories = budget_percent().div_ceil(34);
        let mut cases = 0;
        for nth in 0..histories {
            let plan = Plan { seed: seed() + nth, rows: 10_000, rows_per_commit_max: 300, reopens: true };
            let mut rig = CrashRig::record(&SimDir::new(), &open, &plan).unwrap();
            let judged = rig.judge(&open, seed() + nth, budget_percent());
            cases += judged.unwrap_or_else(|why| panic!("{name}, history {nth}: {why}"));
        }
        println!("executed crash_states.{name}: {cases} cases");
        assert!(cases > 100, "{name}: {cases} cases");
    }
}
