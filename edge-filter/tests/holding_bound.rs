//! Promise 13: the swinging door and the segment hold keep their error bounds over any history, what they hold comes
//! out in order, and the accounts balance; the check of it finds planted bugs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::reduce::{
    Reducer, Sample, SampleState, SegmentHold, SegmentHoldState, SwingingDoor, SwingingDoorState, Verdict,
};
use edge_filter::time::TimeGuard;
use edge_filter::{DropReason, Emit, EmitReason, Outcome, Pipeline, Quality, Reading, Rule, Value};
use proptest::prelude::*;
use support::history::{Row, START, history};
use support::judge::{Judge, Violation, convicts, first_violation, verdict};
use support::{budget, runner};

const DEVIATION: f64 = 1.0;

/// Actions of a filter, in order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Emitted {
        row: Row,
        restart: bool,
    },
    /// Held or suppressed: emitted readings have to stand for it.
    Taken(Row),
}

/// How a consumer reads what is emitted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Consumer {
    Line,
    Hold,
}

fn pipeline(reducer: impl Into<Reducer>) -> Pipeline {
    Pipeline::builder()
        .rule("#", Rule::new().time_guard(TimeGuard::strict()).reducer(reducer))
        .unwrap()
        .build()
}

fn emitted(e: &Emit<'_>) -> Step {
    let row = Row { time: e.time, value: e.value.as_f64().unwrap(), quality: e.quality };
    Step::Emitted { row, restart: e.reason == EmitReason::ClockReset }
}

fn ours(p: &mut Pipeline, rows: &[Row]) -> Vec<Step> {
    let (sensor, mut now, mut steps) = (p.intern("s"), START, Vec::new());
    for row in rows {
        now = now.max(row.time.min(START + 1_000_000_000));
        let reading = Reading { sensor, time: row.time, value: Value::F64(row.value), quality: row.quality };
        let outcome = p.process(reading, now, &mut |e| steps.push(emitted(&e)));
        let bad_or_same = |reason: edge_filter::DropReason| {
            use edge_filter::DropReason as D;
            matches!(reason, D::InDeadband | D::BadQuality | D::Unchanged | D::Compressed)
        };
        match outcome {
            Outcome::Emit(e) => steps.push(emitted(&e)),
            Outcome::Held => steps.push(Step::Taken(*row)),
            Outcome::Drop(reason) if bad_or_same(reason) => steps.push(Step::Taken(*row)),
            Outcome::Drop(_) => {}
        }
        assert!(p.stats().is_balanced(), "{:?}", p.stats());
    }
    p.flush(&mut |e| steps.push(emitted(&e)));
    assert!(p.stats().is_balanced() && p.stats().held == 0, "{:?}", p.stats());
    steps
}

fn status(row: &Row) -> Quality {
    if row.value.is_finite() || row.quality.is_bad() { row.quality } else { Quality::BAD }
}

/// Rules of the check.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Check {
    /// Emitted readings are in order of event time, unless the clock was set back.
    Order,
    /// A reading is taken in after something that was emitted.
    First,
    /// The reading that stands for another one has its status.
    Status,
    /// Its value is within the deviation.
    Bound,
}

/// Every reading that was taken in has, from what is emitted, its status and a value within the deviation.
fn check(steps: &[Step], consumer: Consumer, judge: Judge<Check>) -> Result<(), Violation<Check>> {
    let (mut before, mut open): (Option<Row>, Vec<Row>) = (None, Vec::new());
    for step in steps {
        match *step {
            Step::Taken(row) => open.push(row),
            Step::Emitted { row, restart } => {
                if let Some(before) = before {
                    let forward = restart || row.time > before.time;
                    judge.require(Check::Order, forward, || format!("{row:?} emitted after {before:?}"))?;
                    let (settled, rest): (Vec<Row>, Vec<Row>) =
                        open.iter().partition(|taken| restart || taken.time < row.time);
                    for taken in settled {
                        stands_for(&taken, &before, (!restart).then_some(&row), consumer, judge)?;
                    }
                    open = rest;
                }
                before = Some(row);
            }
        }
    }
    for taken in open {
        let Some(before) = before else {
            return judge.require(Check::First, false, || "taken in, and nothing emitted".to_owned());
        };
        stands_for(&taken, &before, None, consumer, judge)?;
    }
    Ok(())
}

fn stands_for(
    taken: &Row,
    before: &Row,
    after: Option<&Row>,
    consumer: Consumer,
    judge: Judge<Check>,
) -> Result<(), Violation<Check>> {
    let why = || format!("{before:?} and {after:?} stand for {taken:?}");
    judge.require(Check::Status, status(taken) == status(before), why)?;
    if status(taken).is_bad() {
        return Ok(());
    }
    let line = after.filter(|after| consumer == Consumer::Line && !status(after).is_bad());
    let estimate = match line {
        Some(after) => {
            let part = (taken.time - before.time) as f64 / (after.time - before.time) as f64;
            before.value + (after.value - before.value) * part
        }
        // A line needs two ends: the last reading before a gap or a change was emitted itself.
        None if consumer == Consumer::Line && taken.time > before.time => f64::NAN,
        None => before.value,
    };
    let error = (taken.value - estimate).abs();
    judge.require(Check::Bound, error <= DEVIATION * (1.0 + 1e-9), why)
}

fn property(reducer: impl Into<Reducer>, consumer: Consumer) {
    let reducer = reducer.into();
    let cases = budget(20_000);
    runner(cases)
        .run(&history(), |rows| {
            verdict(check(&ours(&mut pipeline(reducer.clone()), &rows), consumer, Judge::All))
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("executed error bound of {reducer:?}: {cases} cases");
}

#[test]
fn promise_13_the_swinging_door_keeps_its_bound_over_any_history() {
    property(SwingingDoor::new(DEVIATION).unwrap(), Consumer::Line);
    property(SwingingDoor::new(DEVIATION).unwrap().max_interval_ms(10_000).unwrap(), Consumer::Line);
}

#[test]
fn promise_13_the_segment_hold_keeps_its_bound_over_any_history() {
    property(SegmentHold::new(DEVIATION).unwrap(), Consumer::Hold);
    property(SegmentHold::new(DEVIATION).unwrap().max_interval_ms(10_000).unwrap(), Consumer::Hold);
}

/// The two filters as they are often written, for good readings in order, with one bug at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    ForgetsTheOlderReadings,
    EmitsTheNewestInsteadOfTheHeld,
    ParallelDoors,
    LosesTheHeldAtTheEnd,
    MeanInsteadOfMidrange,
    ToleranceInsteadOfTwice,
    TimeOfTheLast,
    EmitsNothing,
    EmitsTwice,
    StatusOfItsOwn,
}

/// Bugs that do not depend on the filter.
fn spoil(mut steps: Vec<Step>, bug: Bug) -> Vec<Step> {
    match bug {
        Bug::EmitsNothing => steps.retain(|step| matches!(step, Step::Taken(_))),
        Bug::EmitsTwice => steps = steps.into_iter().flat_map(|step| [step; 2]).collect(),
        Bug::StatusOfItsOwn => {
            for step in &mut steps {
                if let Step::Emitted { row, .. } = step {
                    row.quality = Quality::UNCERTAIN;
                }
            }
        }
        _ => {}
    }
    steps
}

fn walk() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((1..2_000_i64, prop_oneof![6 => -0.6..0.6, 1 => -9.0..9.0]), 2..80).prop_map(
        |steps| {
            let (mut time, mut value) = (START, 20.0);
            let row = |(dt, step): (i64, f64)| {
                (time, value) = (time + dt, value + step);
                Row { time, value, quality: Quality::GOOD }
            };
            steps.into_iter().map(row).collect()
        },
    )
}

fn planted_door(rows: &[Row], bug: Bug) -> Vec<Step> {
    let mut steps = vec![Step::Emitted { row: rows[0], restart: false }];
    let (mut anchor, mut held, mut low, mut high) = (rows[0], None::<Row>, f64::MIN, f64::MAX);
    for row in &rows[1..] {
        let slope = |v: f64, row: &Row, anchor: &Row| (v - anchor.value) / (row.time - anchor.time) as f64;
        let bounds = |anchor: &Row| {
            (slope(row.value - DEVIATION, row, anchor), slope(row.value + DEVIATION, row, anchor))
        };
        let fits = match bug {
            // The doors swing open until they are parallel.
            Bug::ParallelDoors => low.max(bounds(&anchor).0) <= high.min(bounds(&anchor).1),
            _ => (low..=high).contains(&slope(row.value, row, &anchor)),
        };
        if let (false, Some(corner)) = (fits, held) {
            let corner = if bug == Bug::EmitsTheNewestInsteadOfTheHeld { *row } else { corner };
            if corner.time == row.time {
                steps.push(Step::Emitted { row: corner, restart: false });
                (anchor, held, low, high) = (corner, None, f64::MIN, f64::MAX);
                continue;
            }
            steps.push(Step::Emitted { row: corner, restart: false });
            (anchor, low, high) = (corner, f64::MIN, f64::MAX);
        }
        let (l, h) = bounds(&anchor);
        let forgets = bug == Bug::ForgetsTheOlderReadings;
        (low, high) = if forgets { (l, h) } else { (low.max(l), high.min(h)) };
        held = Some(*row);
        steps.push(Step::Taken(*row));
    }
    if let Some(row) = held.filter(|_| bug != Bug::LosesTheHeldAtTheEnd) {
        steps.push(Step::Emitted { row, restart: false });
    }
    spoil(steps, bug)
}

fn planted_hold(rows: &[Row], bug: Bug) -> Vec<Step> {
    let mut steps = vec![Step::Emitted { row: rows[0], restart: false }];
    let mut run: Vec<Row> = Vec::new();
    let close = |run: &mut Vec<Row>| {
        let min = run.iter().map(|row| row.value).fold(f64::MAX, f64::min);
        let max = run.iter().map(|row| row.value).fold(f64::MIN, f64::max);
        let mean = run.iter().map(|row| row.value).sum::<f64>() / run.len() as f64;
        let value = if bug == Bug::MeanInsteadOfMidrange { mean } else { min / 2.0 + max / 2.0 };
        let at = if bug == Bug::TimeOfTheLast { run.len() - 1 } else { 0 };
        let row = Row { time: run[at].time, value, quality: Quality::GOOD };
        run.clear();
        Step::Emitted { row, restart: false }
    };
    for row in &rows[1..] {
        let wide = if bug == Bug::ToleranceInsteadOfTwice { 4.0 } else { 2.0 } * DEVIATION;
        if run.iter().any(|other| (other.value - row.value).abs() > wide) {
            steps.push(close(&mut run));
        }
        run.push(*row);
        steps.push(Step::Taken(*row));
    }
    if !run.is_empty() && bug != Bug::LosesTheHeldAtTheEnd {
        steps.push(close(&mut run));
    }
    spoil(steps, bug)
}

/// The bugs of a swinging door that a rule finds, and those of a segment hold.
fn bugs(rule: Check) -> (&'static [Bug], &'static [Bug]) {
    use Bug as B;
    match rule {
        Check::Order => (&[B::EmitsTwice], &[B::EmitsTwice]),
        Check::First => (&[B::EmitsNothing], &[B::EmitsNothing]),
        Check::Status => (&[B::StatusOfItsOwn], &[B::StatusOfItsOwn]),
        Check::Bound => (
            &[
                B::ForgetsTheOlderReadings,
                B::EmitsTheNewestInsteadOfTheHeld,
                B::ParallelDoors,
                B::LosesTheHeldAtTheEnd,
            ],
            &[
                B::MeanInsteadOfMidrange,
                B::ToleranceInsteadOfTwice,
                B::TimeOfTheLast,
                B::LosesTheHeldAtTheEnd,
            ],
        ),
    }
}

#[test]
fn every_rule_of_the_check_finds_its_planted_bugs_and_only_those() {
    let door = |bug, judge| {
        first_violation(400, &walk(), |rows| check(&planted_door(&rows, bug), Consumer::Line, judge))
    };
    let hold = |bug, judge| {
        first_violation(400, &walk(), |rows| check(&planted_hold(&rows, bug), Consumer::Hold, judge))
    };
    assert_eq!(door(Bug::None, Judge::All), None);
    assert_eq!(hold(Bug::None, Judge::All), None);
    let mut cases = 0;
    for rule in [Check::Order, Check::First, Check::Status, Check::Bound] {
        let (doors, holds) = bugs(rule);
        doors.iter().for_each(|bug| convicts(rule, bug, |judge| door(*bug, judge)));
        holds.iter().for_each(|bug| convicts(rule, bug, |judge| hold(*bug, judge)));
        cases += doors.len() + holds.len();
    }
    println!("executed planted bugs of holding filters: {cases} cases");
}

#[test]
fn a_walk_is_reduced_as_by_the_plain_forms() {
    let same = |rows: Vec<Row>| {
        let emits = |steps: Vec<Step>| -> Vec<(i64, u64)> {
            let emit = |step| match step {
                Step::Emitted { row, .. } => Some((row.time, row.value.to_bits())),
                Step::Taken(_) => None,
            };
            steps.into_iter().filter_map(emit).collect()
        };
        let door = ours(&mut pipeline(SwingingDoor::new(DEVIATION).unwrap()), &rows);
        prop_assert_eq!(emits(door), emits(planted_door(&rows, Bug::None)));
        let hold = ours(&mut pipeline(SegmentHold::new(DEVIATION).unwrap()), &rows);
        prop_assert_eq!(emits(hold), emits(planted_hold(&rows, Bug::None)));
        Ok(())
    };
    runner(budget(20_000)).run(&walk(), same).unwrap();
}

/// A stage that is used alone has no time guard before it, and what it emitted last counts while it holds nothing.
#[test]
fn what_is_not_later_than_what_was_emitted_last_is_out_of_order() {
    macro_rules! refuses {
        ($state:ident, $stage:expr) => {
            let (stage, mut state) = ($stage.unwrap(), $state::default());
            let mut at = |time| stage.check(&mut state, 1.0, Quality::GOOD, time, &mut |_| ());
            assert_eq!(at(5), Verdict::Emit(EmitReason::First));
            for time in [5, 4, -1_000] {
                assert_eq!(at(time), Verdict::Drop(DropReason::OutOfOrder), "{} {time}", stringify!($stage));
            }
        };
    }
    refuses!(SwingingDoorState, SwingingDoor::new(DEVIATION));
    refuses!(SegmentHoldState, SegmentHold::new(DEVIATION));
    refuses!(SampleState, Sample::every_n(2));
    refuses!(SampleState, Sample::min_interval_ms(2));
}
