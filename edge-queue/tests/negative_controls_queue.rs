//! Negative controls of the queue's crash rig: bugs that only the queue can have, or that its ledger shows best. Each is
//! found by the rule that it names, and each test prints after how many crash states; every rule of the rig convicts one,
//! and does not once it is switched off. The stores' own are in `negative_controls.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/queue_rig/mod.rs"]
mod queue_rig;
mod reference;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::testing::{Bug, Call, Fault, FaultError, Flaw, JudgeRule, SyncBug, seed};
use queue_rig::{Plant, QueueBug, Rig, Rule, Setup, Violation};

/// A life that no bug survives is found among so many.
const LIVES: u64 = 12;

fn violation(name: &'static str, plant: Option<Plant>, setup: fn(u64) -> Setup) -> Option<Violation> {
    (0..LIVES).find_map(|nth| violation_in(nth, name, plant, setup))
}

fn violation_in(
    nth: u64,
    name: &'static str,
    plant: Option<Plant>,
    setup: fn(u64) -> Setup,
) -> Option<Violation> {
    let mut rig = Rig::new(name, setup(seed() + nth), plant);
    let found = rig.live(seed() + nth).and_then(|()| rig.judge(seed() + nth, 25));
    found.err().map(|why| why.at(format_args!("life {nth}")))
}

/// Rules that see a bug while the queue lives: most bugs are for the power cut to find.
const LIVE: [Rule; 3] = [Rule::LiveLedger, Rule::Receipt, Rule::LiveGaps];

/// The bug is found by `rule`, by itself.
fn caught(names: &[&'static str], plant: Plant, setup: fn(u64) -> Setup, rule: Rule) {
    for name in names {
        let found = rule.alone(|| violation(name, Some(plant), setup));
        let found = found.unwrap_or_else(|| panic!("{name}, {plant:?}: not caught by {rule:?}"));
        println!("{name}, {plant:?}: {found}");
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

/// A bug, the lives in which it shows, and rules that would see it first.
type Control = (Plant, fn(u64) -> Setup, &'static [Rule]);

/// The bug that a rule convicts. A rule without one does not compile.
fn control(rule: Rule) -> Control {
    const NONE: &[Rule] = &[];
    let queue = |bug| (Plant::Queue(bug), any as fn(u64) -> Setup, NONE);
    let store = |bug| (Plant::Store(bug), any as fn(u64) -> Setup, NONE);
    match rule {
        Rule::Refusal => store(Bug::Refuses),
        Rule::Panic => queue(QueueBug::Panics),
        Rule::Push => queue(QueueBug::BatchCutShort),
        Rule::Lease => (Plant::Store(Bug::AdvanceTooFar), any, &LIVE),
        Rule::Commit => (Plant::Queue(QueueBug::HalfStored), any, &LIVE),
        Rule::LiveLedger => store(Bug::AdvanceTooFar),
        Rule::Receipt => queue(QueueBug::OtherReceipt),
        Rule::LiveGaps => store(Bug::SeqRestarts),
        Rule::Ghost => queue(QueueBug::RowInvented),
        Rule::OtherBytes => queue(QueueBug::ByteFlipped),
        Rule::Identity => queue(QueueBug::OtherIdentity),
        Rule::Order => queue(QueueBug::RowsReversed),
        Rule::ReceiptedRow => (Plant::Store(Bug::ReceiptOneCommitEarly), one_run, NONE),
        Rule::NewestKept => (
            Plant::Store(Bug::ReceiptOneCommitEarly),
            drop_oldest,
            &[Rule::Committed, Rule::Rows, Rule::Figures, Rule::Reasons, Rule::Gaps],
        ),
        Rule::Damage => store(Bug::CloseMarkKept),
        Rule::TornOnce => queue(QueueBug::TornTwice),
        Rule::Consumers => queue(QueueBug::ConsumerForgotten),
        Rule::Committed => queue(QueueBug::CommittedTooHigh),
        Rule::Balance => (Plant::Store(Bug::CountedTwice), one_run, NONE),
        Rule::Rows => (
            Plant::Store(Bug::ReceiptOneCommitEarly),
            one_run,
            &[Rule::Committed, Rule::ReceiptedRow, Rule::NewestKept],
        ),
        Rule::Figures => (Plant::Store(Bug::AckBeforeItsTime), drop_oldest, &[Rule::Committed, Rule::Rows]),
        Rule::Reasons => (
            Plant::Queue(QueueBug::DiscardAcked),
            any,
            &[Rule::LiveLedger, Rule::Receipt, Rule::LiveGaps, Rule::Figures, Rule::Gaps],
        ),
        Rule::Gaps => queue(QueueBug::GapsForgotten),
    }
}

#[test]
fn every_rule_convicts_its_bug_and_not_once_it_is_switched_off() {
    for &rule in Rule::ALL {
        let (plant, setup, aside) = control(rule);
        let shows = Rule::without(aside, || {
            (0..LIVES).find(|nth| violation_in(*nth, "ring", Some(plant), setup).is_some())
        });
        let nth = shows.unwrap_or_else(|| panic!("{rule:?}: {plant:?} does not show"));
        rule.convicts(plant, aside, || violation_in(nth, "ring", Some(plant), setup));
    }
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
    caught(&STORES, Plant::Store(Bug::CountedTwice), any, Rule::Balance);
}

#[test]
fn numbers_that_restart_after_all_rows_were_elided_are_caught() {
    caught(&STORES, Plant::Store(Bug::SeqRestarts), any, Rule::Gaps);
}

#[test]
fn a_leased_row_that_is_evicted_is_caught() {
    caught(&STORES, Plant::Flaw(Flaw::LeasedEvicted), drop_oldest, Rule::Lease);
}

#[test]
fn a_receipt_one_commit_early_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::ReceiptOneCommitEarly), one_run, Rule::ReceiptedRow);
}

#[test]
fn an_ack_before_its_time_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::AckBeforeItsTime), one_run, Rule::ReceiptedRow);
}

#[test]
fn bookkeeping_that_is_durable_before_its_rows_is_caught_by_the_queue() {
    caught(&STORES, Plant::Store(Bug::BookkeepingBeforeRows), one_run, Rule::Balance);
}

#[test]
fn a_sync_that_does_nothing_is_caught_by_the_queue() {
    caught(&STORES, Plant::Sync(SyncBug::Nothing, None), any, Rule::ReceiptedRow);
}

#[test]
fn a_failed_sync_called_again_is_caught_by_the_queue() {
    let fault = Fault { call: Call::Sync, after: 5, error: FaultError::Io, sticky: false };
    caught(&STORES, Plant::Sync(SyncBug::Retried, Some(fault)), any, Rule::Figures);
}

/// The caller throws the receipt away then.
#[test]
fn rows_acknowledged_by_a_receipt_that_come_again_after_a_power_cut_are_caught() {
    caught(&STORES, Plant::Flaw(Flaw::AckedIdsUnwritten), any, Rule::Rows);
}
