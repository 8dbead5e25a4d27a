//! Crash states of the stores (promises 1, 2 and 4): a power cut at every write and sync of recorded histories, five
//! outcomes each. `EDGE_TEST_BUDGET` is the number of histories; one in ten fills the store until it has no free
//! segment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{CrashRig, Plan, SimDir, budget_percent, seed};

#[test]
fn no_power_cut_loses_a_receipted_row_or_wakes_a_ghost() {
    for ((name, open), rows) in stores::TIGHT.into_iter().zip([2_500, 900]) {
        let (mut cases, histories) = (0, budget_percent());
        for nth in 0..histories {
            let full = nth % 10 == 3;
            let plan = Plan {
                seed: seed() + nth,
                rows,
                rows_per_commit_max: if full { 600 } else { 200 },
                reopens: true,
            };
            let backlog_bytes = if full { 400 * 1024 } else { 32 * 1024 };
            let rig = CrashRig::record_with(&SimDir::new(), &open, &plan, backlog_bytes);
            let judged = rig.and_then(|mut rig| rig.judge(&open, seed() + nth, 100));
            cases += judged.unwrap_or_else(|why| panic!("{name}, history {nth}: {why}"));
        }
        println!("executed crash_states.{name}: {cases} cases of {histories} histories");
        assert!(cases > 100, "{name}: {cases} cases");
    }
}
