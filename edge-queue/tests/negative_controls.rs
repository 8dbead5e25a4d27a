//! Negative controls of the stores' crash rig: what finds no violation in the stores finds every planted bug, each in a
//! test of its own that names the rule that convicts and prints after how many crash states. That every rule convicts a bug
//! is in `rules.rs`; bugs that only the queue can have, or that it shows better,
//! are in `negative_controls_queue.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use edge_queue::medium::Dir;
use edge_queue::testing::{
    Bug, Call, CrashRig, Fault, FaultError, Flaw, JudgeRule, Plan, Planted, Rule, SimDir, SyncBug, Violation,
    seed,
};

/// Planted bug, or none.
#[derive(Clone, Copy, Debug)]
enum Plant {
    Nothing,
    Store(Bug),
    Sync(SyncBug),
    Flaw(Flaw),
}

const STORES: [&str; 2] = ["ring", "redb"];
const RING: [&str; 1] = ["ring"];
/// A history that no bug survives is found among so many.
const HISTORIES: u64 = 12;

/// The first violation in histories with the bug, and in how many states before there was none.
fn violation(name: &str, plant: Plant) -> Option<Violation> {
    let histories = if matches!(plant, Plant::Nothing) { 2 } else { HISTORIES };
    (0..histories)
        .find_map(|nth| history(name, plant, nth).err().map(|why| why.at(format_args!("history {nth}"))))
}

/// Histories with reopens, or without: of an unclean stop the disk is the power cut's own. Every other one is full.
fn history(name: &str, plant: Plant, nth: u64) -> Result<u64, Violation> {
    let open = stores::TIGHT.into_iter().find(|(known, _)| *known == name).expect("a known store").1;
    let full = nth % 2 == 1;
    let plan = Plan {
        seed: seed() + nth,
        rows: if full { 8_000 } else { 2_500 },
        rows_per_commit_max: if full { 1_100 } else { 60 },
        reopens: nth % 4 > 1,
    };
    let dir = SimDir::new();
    if let Plant::Sync(bug) = plant {
        // Made honestly: what is missing afterwards are rows, not the file.
        drop(open(Box::new(dir.clone())).unwrap());
        dir.plant(bug);
        if bug == SyncBug::Retried {
            dir.fail(Fault { call: Call::Sync, after: 9, error: FaultError::Io, sticky: false });
        }
    }
    let buggy = |dir: Box<dyn Dir>| match plant {
        Plant::Store(bug) => open(dir).map(|opened| Planted::wrap(opened, bug)),
        _ => open(dir),
    };
    let backlog_bytes = if full { 250 * 1024 } else { 64 * 1024 };
    let record = || CrashRig::record_with(&dir, &buggy, &plan, backlog_bytes);
    let judge = |mut rig: CrashRig| rig.judge(&open, seed() + nth, if full { 30 } else { 20 });
    match plant {
        // Code that is wrong is wrong after the power cut too.
        Plant::Flaw(flaw) => flaw.during(|| record().and_then(judge)),
        _ => record().and_then(judge),
    }
}

/// Rules that may see a loss before [`Rule::ReceiptedRow`] does: while the store lives, or because the store says so itself.
const SEEN_FIRST: [Rule; 6] =
    [Rule::Refusal, Rule::LiveRow, Rule::LossReported, Rule::Damage, Rule::Epoch, Rule::Bookkeeping];

/// The bug is found by `rule`.
fn caught(names: &[&str], plant: Plant, rule: Rule) {
    for name in names {
        let found = violation(name, plant).unwrap_or_else(|| panic!("{name}, {plant:?}: not caught"));
        println!("{name}, {plant:?}: {found}");
        assert_eq!(found.rule, rule, "{name}, {plant:?}: for another reason: {found}");
    }
}

/// A receipted row is lost, and would be missed if nothing else showed it.
fn loss_is_caught(names: &[&str], plant: Plant) {
    Rule::without(&SEEN_FIRST, || caught(names, plant, Rule::ReceiptedRow));
}

#[test]
fn the_same_runs_without_a_planted_bug_show_no_violation() {
    for name in STORES {
        assert_eq!(violation(name, Plant::Nothing), None, "{name}");
    }
}

#[test]
fn a_receipt_one_commit_early_is_caught() {
    loss_is_caught(&STORES, Plant::Store(Bug::ReceiptOneCommitEarly));
}

#[test]
fn rows_given_up_before_they_are_acknowledged_are_caught() {
    loss_is_caught(&STORES, Plant::Store(Bug::AdvanceTooFar));
}

#[test]
fn an_ack_before_its_time_is_caught() {
    // The checksum that redb has of the bookkeeping says so first.
    let caught = || caught(&STORES, Plant::Store(Bug::AckBeforeItsTime), Rule::Bookkeeping);
    Rule::without(&[Rule::Damage], caught);
}

#[test]
fn space_reused_before_the_floor_is_durable_is_caught() {
    loss_is_caught(&RING, Plant::Store(Bug::SpaceReusedTooEarly));
}

#[test]
fn bookkeeping_that_is_durable_before_its_rows_is_caught() {
    caught(&STORES, Plant::Store(Bug::BookkeepingBeforeRows), Rule::ToldRow);
}

#[test]
fn a_close_mark_kept_by_later_commits_is_caught() {
    caught(&STORES, Plant::Store(Bug::CloseMarkKept), Rule::CloseMark);
}

#[test]
fn a_sync_that_does_nothing_is_caught() {
    loss_is_caught(&STORES, Plant::Sync(SyncBug::Nothing));
}

#[test]
fn a_sync_that_leaves_out_the_last_lane_is_caught() {
    // The ring's first lane ends there; redb's second half begins.
    loss_is_caught(&STORES, Plant::Sync(SyncBug::OnlyBelow(6 * 128 * 1024)));
}

#[test]
fn a_failed_sync_called_again_instead_of_written_anew_is_caught() {
    loss_is_caught(&STORES, Plant::Sync(SyncBug::Retried));
}

#[test]
fn a_tail_page_overwritten_in_place_is_caught() {
    loss_is_caught(&RING, Plant::Flaw(Flaw::TailInPlace));
}

#[test]
fn a_torn_frame_whose_header_is_whole_is_caught() {
    caught(&RING, Plant::Flaw(Flaw::BodyUnchecked), Rule::OtherBytes);
}

#[test]
fn an_epoch_that_is_not_raised_is_caught() {
    caught(&RING, Plant::Flaw(Flaw::EpochNotRaised), Rule::Epoch);
}

#[test]
fn changes_of_a_torn_commit_that_are_applied_are_caught() {
    caught(&RING, Plant::Flaw(Flaw::TornChangesApplied), Rule::ToldRow);
}
