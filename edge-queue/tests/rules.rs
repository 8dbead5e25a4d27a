//! Every rule of the stores' judges (crash rig, lives, failing media) convicts: for each rule and each judge that has it a
//! planted bug is convicted by that very rule, and by no rule of that name once it is switched off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;

use Judge::{Crash, CrashWhileRecorded, FailingMedium, PowerCuts};
use edge_queue::medium::Dir;
use edge_queue::testing::{
    Bug, Call, CrashRig, Fault, FaultError, JudgeRule, Lives, Plan, Planted, Rule, SimDir, Violation, seed,
    survive,
};

/// Which judge looks, and when the bug is there.
#[derive(Clone, Copy, Debug)]
enum Judge {
    /// The crash rig, while the history is recorded.
    CrashWhileRecorded,
    /// The crash rig, when what a power cut left is opened.
    Crash,
    /// Power cuts in a row.
    PowerCuts,
    /// A call that fails.
    FailingMedium,
}

/// The bugs that a rule convicts. A rule without one does not compile.
fn controls(rule: Rule) -> &'static [(Judge, Bug)] {
    match rule {
        Rule::Refusal => &[(CrashWhileRecorded, Bug::Refuses), (PowerCuts, Bug::Refuses)],
        Rule::Panic => {
            &[(Crash, Bug::ReadPanics), (PowerCuts, Bug::ReadPanics), (FailingMedium, Bug::ReadPanics)]
        }
        Rule::ReadOrder => {
            &[(Crash, Bug::RowsReversed), (PowerCuts, Bug::RowsReversed), (FailingMedium, Bug::RowsReversed)]
        }
        Rule::ReadProgress => &[
            (Crash, Bug::ReadStandsStill),
            (PowerCuts, Bug::ReadStandsStill),
            (FailingMedium, Bug::ReadStandsStill),
        ],
        Rule::LossReported => {
            &[(Crash, Bug::LossClaimed), (PowerCuts, Bug::LossClaimed), (FailingMedium, Bug::LossClaimed)]
        }
        Rule::Damage => &[(Crash, Bug::DamageClaimed), (PowerCuts, Bug::DamageClaimed)],
        Rule::SetAside => &[(PowerCuts, Bug::QuarantineClaimed)],
        Rule::CloseMark => &[
            (CrashWhileRecorded, Bug::CleanClaimed),
            (Crash, Bug::CleanClaimed),
            (PowerCuts, Bug::CleanClaimed),
        ],
        Rule::Gateway => &[(Crash, Bug::GatewayForgotten), (PowerCuts, Bug::GatewayForgotten)],
        Rule::Epoch => &[(Crash, Bug::EpochKept), (PowerCuts, Bug::EpochKept)],
        Rule::Bookkeeping => &[(Crash, Bug::CountedTwice), (PowerCuts, Bug::CountedTwice)],
        Rule::OtherBytes => &[(Crash, Bug::RowAltered), (PowerCuts, Bug::RowAltered)],
        Rule::Ghost => &[(Crash, Bug::RowInvented), (PowerCuts, Bug::RowInvented)],
        Rule::HighestSeq => &[(Crash, Bug::HighestForgotten), (PowerCuts, Bug::HighestForgotten)],
        Rule::ReceiptedRow => &[(Crash, Bug::RowHidden), (PowerCuts, Bug::RowHidden)],
        Rule::ToldRow => {
            &[(CrashWhileRecorded, Bug::BookkeepingBeforeRows), (PowerCuts, Bug::BookkeepingBeforeRows)]
        }
        Rule::LiveRow => &[(CrashWhileRecorded, Bug::RowHidden), (FailingMedium, Bug::RowHidden)],
        Rule::LiveGhost => &[(FailingMedium, Bug::RowInvented)],
        Rule::NextLifeRow => &[(Crash, Bug::ReceiptOneCommitEarly)],
        Rule::NextLifeGhost => &[(Crash, Bug::RowDoubled)],
        Rule::FalseOk => &[(FailingMedium, Bug::FailureSwallowed)],
        Rule::Healing => &[(FailingMedium, Bug::RefusesForGood)],
    }
}

/// The first violation that the judge finds in a store with the bug.
fn violation(judge: Judge, bug: Bug) -> Option<Violation> {
    let ring = stores::TIGHT[0].1;
    let honest = |dir: Box<dyn Dir>| ring(dir);
    let planted = |dir: Box<dyn Dir>| ring(dir).map(|opened| Planted::wrap(opened, bug));
    let crash = |nth: u64, while_recorded: bool| {
        let plan = Plan { seed: seed() + nth, rows: 600, rows_per_commit_max: 40, reopens: nth % 2 == 1 };
        let dir = SimDir::new();
        let mut rig = if while_recorded {
            CrashRig::record(&dir, &planted, &plan)
        } else {
            CrashRig::record(&dir, &honest, &plan)
        }?;
        if while_recorded { rig.judge(&honest, nth, 30) } else { rig.judge(&planted, nth, 30) }
    };
    match judge {
        CrashWhileRecorded => (0..4).find_map(|nth| crash(nth, true).err()),
        Crash => (0..4).find_map(|nth| crash(nth, false).err()),
        PowerCuts => (0..4).find_map(|nth| {
            let lives = match Lives::begin(&planted, seed() + nth, 5 * nth) {
                Ok(lives) => lives,
                Err(why) => return Some(why),
            };
            (0..15).find_map(|trial| lives.trial(&planted, seed() + trial).err())
        }),
        FailingMedium => (0..30).find_map(|after| {
            let fault = Fault { call: Call::Sync, after, error: FaultError::Io, sticky: false };
            survive(&planted, fault, after).err()
        }),
    }
}

/// Rules that see most bugs too: the crash rig's at one state of four, which it takes one step further, and that of a medium
/// that fails, which cuts the power after each commit.
const SEE_MOST: [Rule; 3] = [Rule::NextLifeRow, Rule::NextLifeGhost, Rule::FalseOk];

#[test]
fn every_rule_convicts_its_bugs_and_none_once_it_is_switched_off() {
    for &rule in Rule::ALL {
        let aside: &[Rule] = if SEE_MOST.contains(&rule) { &[] } else { &SEE_MOST };
        assert!(!controls(rule).is_empty(), "{rule:?}");
        for &(judge, bug) in controls(rule) {
            rule.convicts((judge, bug), aside, || violation(judge, bug));
        }
    }
}

#[test]
fn without_a_bug_no_rule_convicts() {
    let (ring, plan) =
        (stores::TIGHT[0].1, Plan { seed: seed(), rows: 600, rows_per_commit_max: 40, reopens: true });
    let judged = CrashRig::record(&SimDir::new(), &ring, &plan).and_then(|mut rig| rig.judge(&ring, 1, 30));
    assert!(judged.as_ref().is_ok_and(|cases| *cases > 100), "{judged:?}");
    let lives = Lives::begin(&ring, seed(), 5).unwrap();
    (0..15).for_each(|trial| drop(lives.trial(&ring, seed() + trial).unwrap()));
    for after in 0..30 {
        let fault = Fault { call: Call::Sync, after, error: FaultError::Io, sticky: false };
        survive(&ring, fault, after).unwrap();
    }
}
