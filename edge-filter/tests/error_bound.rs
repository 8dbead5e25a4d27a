//! Promise 13: the deadband keeps its error bound over any history, and the check of it finds planted bugs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::reduce::Deadband;
use edge_filter::time::TimeGuard;
use edge_filter::{DropReason, EmitReason, Outcome, Pipeline, Quality, Reading, Rule, Value};
use proptest::prelude::*;
use support::config;
use support::history::{Row, START, history};
use support::judge::{Judge, Violation, convicts, first_violation, verdict};

const TOLERANCE: f64 = 1.0;
/// Fate of a row in a filter: emitted, suppressed (the consumer's value has to stand for it), or refused
/// for its time (nothing stands for it).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    Emit { restart: bool },
    Suppress,
    Refuse,
}

/// Readings that would pass beside the stage are dropped: its bound is not about them.
fn strict() -> Rule {
    Rule::new().time_guard(TimeGuard::strict())
}

fn ours(rows: &[Row]) -> Vec<Did> {
    let rule = strict().reducer(Deadband::absolute(TOLERANCE).unwrap());
    let mut p = Pipeline::builder().rule("#", rule).unwrap().build();
    let sensor = p.intern("s");
    let mut now = START;
    let mut one = |row: &Row| {
        now = now.max(row.time.min(START + 1_000_000_000));
        let reading = Reading { sensor, time: row.time, value: Value::F64(row.value), quality: row.quality };
        match p.process(reading, now, &mut |e| panic!("{e:?}")) {
            Outcome::Emit(e) => Did::Emit { restart: e.reason == EmitReason::ClockReset },
            Outcome::Drop(DropReason::InDeadband | DropReason::BadQuality) => Did::Suppress,
            Outcome::Drop(_) => Did::Refuse,
            Outcome::Held => panic!("no stage holds"),
        }
    };
    let did = rows.iter().map(&mut one).collect();
    assert!(p.stats().is_balanced());
    did
}

/// Rules of the check.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Check {
    /// Emitted readings are in order of event time, unless the clock was set back.
    Order,
    /// The first reading is emitted.
    First,
    /// A suppressed reading has the status of the one that stands for it.
    Status,
    /// Its value is within the tolerance.
    Bound,
    /// It is newer.
    Newer,
}

/// The promise: whoever holds each emitted reading until the next one has, for every reading that was not refused,
/// the same status and, if it is usable, a value within the tolerance. By order of arrival and by event time.
fn check(rows: &[Row], did: &[Did], judge: Judge<Check>) -> Result<(), Violation<Check>> {
    let status =
        |row: &Row| if row.value.is_finite() || row.quality.is_bad() { row.quality } else { Quality::BAD };
    let mut held: Option<Row> = None;
    for (row, did) in rows.iter().zip(did) {
        match (did, held) {
            (Did::Emit { restart }, before) => {
                let forward = before.is_none_or(|before| row.time > before.time);
                judge.require(Check::Order, *restart || forward, || format!("{row:?} after {before:?}"))?;
                held = Some(*row);
            }
            (Did::Suppress, None) => {
                judge.require(Check::First, false, || {
                    format!("{row:?} suppressed, and nothing was emitted")
                })?;
            }
            (Did::Suppress, Some(held)) => {
                let stands_for = || format!("{held:?} stands for {row:?}");
                judge.require(Check::Status, status(row) == status(&held), stands_for)?;
                let usable = !status(row).is_bad();
                let error = (row.value - held.value).abs();
                judge.require(Check::Bound, !usable || error <= TOLERANCE * (1.0 + 1e-9), stands_for)?;
                judge.require(Check::Newer, row.time > held.time, stands_for)?;
            }
            (Did::Refuse, _) => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn promise_13_the_error_bound_holds_over_any_history(rows in history()) {
        verdict(check(&rows, &ours(&rows), Judge::All))?;
    }

    #[test]
    fn an_emitted_reading_is_never_a_nan_that_claims_to_be_good(rows in history()) {
        let mut p = Pipeline::builder().rule("#", strict()).unwrap().build();
        let sensor = p.intern("s");
        for row in rows {
            let reading = Reading { sensor, time: row.time, value: Value::F64(row.value), quality: row.quality };
            if let Outcome::Emit(e) = p.process(reading, row.time, &mut |_| ()) {
                prop_assert!(row.value.is_finite() || e.quality.is_bad());
            }
        }
    }
}

/// A deadband as it is often written, with one bug at a time. Only the time guard is right, and shared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    ComparesWithTheLastSample,
    BadMovesTheReference,
    IgnoresTheStatus,
    FrozenByNan,
    FreezesWhenTheClockGoesBack,
    ForgetsToRestart,
    HidesTheRestart,
    SuppressesTheFirst,
}

fn planted(rows: &[Row], bug: Bug) -> Vec<Did> {
    let guard = TimeGuard::strict();
    let mut guarded = edge_filter::time::TimeGuardState::default();
    let (mut reference, mut status, mut last_time) = (f64::NAN, None, i64::MIN);
    let mut now = START;
    let mut one = |row: &Row| {
        now = now.max(row.time.min(START + 1_000_000_000));
        let passed = guard.check(&mut guarded, &Value::F64(row.value), row.quality, row.time, now);
        let Ok(passage) = passed else { return Did::Refuse };
        let reset = passage == edge_filter::time::Passage::ClockReset;
        let quality = if row.value.is_finite() || row.quality.is_bad() { row.quality } else { Quality::BAD };
        let restart = passage.reason().is_some() && bug != Bug::ForgetsToRestart;
        let frozen = bug == Bug::FreezesWhenTheClockGoesBack && row.time < last_time;
        let changed = status != Some(quality) && (bug != Bug::IgnoresTheStatus || status.is_none());
        let moved = (row.value - reference).abs() > TOLERANCE && !quality.is_bad();
        let emit = if frozen { false } else { restart || changed || moved };
        let rebase = match bug {
            Bug::ComparesWithTheLastSample => !quality.is_bad(),
            Bug::BadMovesTheReference => quality.is_bad() || moved || restart || reference.is_nan(),
            // Once the reference is NaN, no difference is ever larger than the tolerance.
            Bug::FrozenByNan if reference.is_nan() && status.is_some() => false,
            Bug::FrozenByNan => emit && (row.value.is_nan() || !quality.is_bad()),
            _ => emit && !quality.is_bad(),
        };
        if rebase {
            reference = row.value;
        }
        if emit {
            (status, last_time) = (Some(quality), row.time);
        }
        if emit { Did::Emit { restart: reset && bug != Bug::HidesTheRestart } } else { Did::Suppress }
    };
    let mut did: Vec<Did> = rows.iter().map(&mut one).collect();
    if bug == Bug::SuppressesTheFirst
        && let Some(first) = did.first_mut()
    {
        *first = Did::Suppress;
    }
    did
}

/// The bugs that a rule finds.
fn bugs(rule: Check) -> &'static [Bug] {
    match rule {
        Check::Order => &[Bug::HidesTheRestart],
        Check::First => &[Bug::SuppressesTheFirst],
        Check::Status => &[Bug::IgnoresTheStatus, Bug::FreezesWhenTheClockGoesBack],
        Check::Bound => &[Bug::ComparesWithTheLastSample, Bug::BadMovesTheReference, Bug::FrozenByNan],
        Check::Newer => &[Bug::ForgetsToRestart],
    }
}

#[test]
fn every_rule_of_the_check_finds_its_planted_bugs_and_only_those() {
    let find =
        |bug: Bug, judge| first_violation(400, &history(), |rows| check(&rows, &planted(&rows, bug), judge));
    assert_eq!(find(Bug::None, Judge::All), None, "the planted filter without a bug must pass");
    let mut cases = 0;
    for rule in [Check::Order, Check::First, Check::Status, Check::Bound, Check::Newer] {
        for &bug in bugs(rule) {
            convicts(rule, bug, |judge| find(bug, judge));
            cases += 1;
        }
    }
    println!("executed planted filter bugs: {cases} cases");
}
