//! Promises 2 and 3: whatever damage does to a queue of many lanes and consumers, each receipted row is delivered to each
//! consumer, or it is in one gap record and in `dropped`; `accepted` never decreases; and the queue goes on.
//!
//! The oracle counts rows out, rows lost and rows reported, nothing else (`common/damage_rig/judge.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/damage_rig/mod.rs"]
mod damage_rig;

use edge_queue::StoreKind;
use edge_queue::testing::{Flaw, Rng, budget_percent, seed};

use damage_rig::{Broken, Image, Outcome, Rule};

/// Cases at the full budget.
const CASES: u64 = 10_000;
/// Cases for each queue that is made.
const PER_IMAGE: u64 = 25;

/// What a run came to.
#[derive(Default)]
struct Run {
    cases: u64,
    exact: u64,
    lost: u64,
    silent: u64,
    broken: Option<Broken>,
}

/// Runs cases until one breaks a rule, or this one if it is given.
fn run(kind: StoreKind, images: u64, rule: Option<Rule>) -> Run {
    let mut run = Run::default();
    for nth in 0..images {
        let image = Image::new(kind, seed() + nth);
        for case in 0..PER_IMAGE {
            let mut rng = Rng::new((seed() + nth) << 16 | case);
            match image.case(&mut rng) {
                Ok(Outcome { exact, lost, silent, .. }) => {
                    run.exact += u64::from(exact);
                    run.lost += lost;
                    run.silent += silent;
                }
                Err(broken) if rule.is_none_or(|rule| rule == broken.rule) => {
                    let why = format!("image {nth}, case {case}: {}", broken.why);
                    run.broken = Some(Broken { why, ..broken });
                    return run;
                }
                Err(_) => {}
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

/// The control: with the bug some case breaks `rule`.
fn caught(flaw: Flaw, rule: Rule) {
    let Run { cases, broken, .. } = flaw.during(|| run(StoreKind::Ring, CASES / PER_IMAGE / 4, Some(rule)));
    let broken = broken.unwrap_or_else(|| panic!("{flaw:?} broke no {rule:?} in {cases} cases"));
    println!("{flaw:?}: found after {cases} cases, {broken}");
}

#[test]
fn an_end_that_only_the_lane_itself_knows_is_caught() {
    caught(Flaw::EndsUnknown, Rule::Accepted);
    caught(Flaw::EndsUnknown, Rule::Silent);
}

#[test]
fn rows_that_count_as_queued_and_are_not_there_are_caught() {
    caught(Flaw::EndsIgnored, Rule::Wedge);
}

#[test]
fn a_loss_told_to_one_consumer_alone_is_caught() {
    caught(Flaw::LossOfOneConsumer, Rule::Silent);
}

#[test]
fn acknowledged_rows_counted_as_lost_are_caught() {
    caught(Flaw::LossOfWholeFrame, Rule::Count);
}
