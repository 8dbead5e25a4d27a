//! Crash states through the public API (promises 1 to 4 and 7): a power cut at every write and sync of recorded lives of a
//! queue, five outcomes each, leaves one of the states that the reference queue says it may: rows with their bytes,
//! identity and order, the ledger of each consumer and lane, the gap records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/cores.rs"]
mod cores;
#[path = "common/queue_rig/mod.rs"]
mod queue_rig;
mod reference;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{budget_percent, seed};
use queue_rig::{Rig, Setup};

#[test]
fn a_power_cut_anywhere_leaves_what_the_reference_says() {
    run("crash_queue", budget_percent(), Setup::any);
}

#[test]
fn drop_oldest_keeps_the_leased_and_the_newest_of_the_rest_at_every_power_cut() {
    run("crash_queue_drop_oldest", budget_percent().div_ceil(4), Setup::drop_oldest);
}

fn run(what: &str, lives: u64, setup: fn(u64, usize) -> Setup) {
    // States of redb take twice as long.
    for (name, steps, lives) in [("ring", 400, lives), ("redb", 120, lives.div_ceil(2))] {
        let [cases, cut_short] = cores::sum_of(lives, |nth| {
            let mut rig = Rig::new(name, setup(seed() + nth, steps), None);
            rig.live(seed() + nth).unwrap_or_else(|why| panic!("{name}, life {nth}: {why}"));
            let cut_short = u64::from(rig.is_cut_short());
            let judged = rig.judge(seed() + nth, 100);
            [judged.unwrap_or_else(|why| panic!("{name}, life {nth}: {why}")), cut_short]
        });
        println!("executed {what}.{name}: {cases} cases of {lives} lives");
        assert!(cases > 50, "{name}: {cases}");
        assert!(cut_short <= lives / 20, "{name}: {cut_short} lives of {lives} are too short");
    }
}
