//! Promises 2 and 3: whatever damage does to a queue of many lanes and consumers, each receipted row is delivered to each
//! consumer, or it is in one gap record and in `dropped`; `accepted` never decreases; and the queue goes on.
//!
//! The oracle counts rows out, rows lost and rows reported, nothing else (`common/damage_rig/judge.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/damage_rig/mod.rs"]
mod damage_rig;

use edge_queue::StoreKind;
use edge_queue::testing::{Flaw, JudgeRule, Rng, budget_percent, seed};

use damage_rig::{Image, Outcome, QueueBug, Rule, Violation};

/// Cases at the full budget.
const CASES: u64 = 10_000;
/// Queues among which a control shows its bug.
const CONTROL_IMAGES: u64 = 500;
/// Cases for each queue that is made.
const PER_IMAGE: u64 = 5;
/// Seeds of a run, which share its cases, and the distance between two.
const SEEDS: u64 = 5;
const SEED_STEP: u64 = 1_000_000;

/// Outcome of a run.
#[derive(Default)]
struct Run {
    cases: u64,
    exact: u64,
    lost: u64,
    silent: u64,
    broken: Option<Violation>,
}

/// Runs cases until one breaks a rule.
fn run(kind: StoreKind, images: u64, bug: Option<QueueBug>) -> Run {
    let mut run = Run::default();
    for nth in 0..images {
        let seed = seed() + nth % SEEDS * SEED_STEP + nth / SEEDS;
        let image = Image::new(kind, seed, bug);
        for case in 0..PER_IMAGE {
            let mut rng = Rng::new(seed << 16 | case);
            match image.case(&mut rng) {
                Ok(Outcome { exact, lost, silent, .. }) => {
                    run.exact += u64::from(exact);
                    run.lost += lost;
                    run.silent += silent;
                }
                Err(violation) => {
                    run.broken = Some(violation.at(format_args!("image {nth} of seed {seed}, case {case}")));
                    return run;
                }
            }
            run.cases += 1;
        }
    }
    run
}

#[test]
fn every_receipted_row_is_delivered_or_told_whatever_is_damaged() {
    let images = (CASES * budget_percent() / 100).div_ceil(PER_IMAGE);
    let Run { cases, exact, lost, silent, broken } = run(StoreKind::Ring, images, None);
    if let Some(broken) = broken {
        panic!("{broken}");
    }
    println!(
        "executed queue.damage: {cases} cases, {exact} exact, {lost} rows lost, {silent} after a kill without a word"
    );
    assert!(exact * 2 > cases && lost > cases, "{exact} exact of {cases}, {lost} lost");
}

/// redb panics on damaged pages, behind a fence: its messages would bury those of this test.
fn quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let of_redb = |file: &str| file.contains("/redb-") || file.starts_with("/rustc/");
        if !info.location().is_some_and(|at| of_redb(at.file())) {
            usual(info);
        }
    }));
}

/// Damage to the redb file: what that store promises, and that the queue on it counts right and goes on.
#[test]
fn redb_under_the_same_damage_goes_on_and_its_records_agree_with_its_ledger() {
    quiet();
    let images = (CASES / 20 * budget_percent() / 100).div_ceil(PER_IMAGE);
    let Run { cases, lost, silent, broken, .. } = run(StoreKind::Redb, images, None);
    if let Some(broken) = broken {
        panic!("{broken}");
    }
    println!(
        "executed queue.damage.redb: {cases} cases, {lost} rows lost, {silent} of them in no gap record"
    );
}

/// Bug of the queue that is judged.
#[derive(Clone, Copy, Debug)]
enum Plant {
    Flaw(Flaw),
    Queue(QueueBug),
}

impl Plant {
    fn violation(self) -> Option<Violation> {
        match self {
            Plant::Flaw(flaw) => flaw.during(|| run(StoreKind::Ring, CONTROL_IMAGES, None)).broken,
            Plant::Queue(bug) => run(StoreKind::Ring, 25, Some(bug)).broken,
        }
    }
}

/// A bug, and rules that would see it first.
type Control = (Plant, &'static [Rule]);

/// The bugs that a rule convicts. A rule without one does not compile.
fn controls(rule: Rule) -> &'static [Control] {
    const ENDS_UNKNOWN: Plant = Plant::Flaw(Flaw::EndsUnknown);
    match rule {
        Rule::Opens => &[(Plant::Queue(QueueBug::OpenRefused), &[])],
        Rule::Panic => &[(Plant::Queue(QueueBug::Panics), &[])],
        Rule::WrongRow => &[(Plant::Queue(QueueBug::NumbersSwapped), &[])],
        // An end that only the lane itself knows; a loss told to one consumer alone.
        Rule::Silent => {
            &[(ENDS_UNKNOWN, &[Rule::Accepted, Rule::Twice]), (Plant::Flaw(Flaw::LossOfOneConsumer), &[])]
        }
        Rule::Twice => &[(Plant::Queue(QueueBug::AckedComesAgain), &[])],
        // Acknowledged rows counted as lost.
        Rule::Count => &[(Plant::Flaw(Flaw::LossOfWholeFrame), &[])],
        Rule::Accepted => &[(ENDS_UNKNOWN, &[])],
        Rule::Balance => &[(Plant::Queue(QueueBug::AcceptedTwice), &[])],
        // Rows that count as queued and are not there.
        Rule::Wedge => &[
            (Plant::Queue(QueueBug::RoomKept), &[]),
            (Plant::Flaw(Flaw::EndsIgnored), &[Rule::Silent, Rule::Twice, Rule::Count, Rule::Accepted]),
        ],
        Rule::Reopen => &[(Plant::Queue(QueueBug::GapsForgotten), &[])],
    }
}

#[test]
fn every_rule_convicts_its_bugs_and_not_once_it_is_switched_off() {
    for &rule in Rule::ALL {
        assert!(!controls(rule).is_empty(), "{rule:?}");
        for &(plant, aside) in controls(rule) {
            rule.convicts(plant, aside, || plant.violation());
        }
    }
}
