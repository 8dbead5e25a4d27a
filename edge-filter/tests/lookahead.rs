//! Promise 13: the stages that look ahead delay what they judge by what they state, lose and reorder nothing, and give
//! the verdicts of the stages alone; the check of it finds planted bugs.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::check::{Alignment, Hampel, HampelState};
use edge_filter::qartod::{QartodFlag, Spike, SpikeMethod, SpikeState};
use edge_filter::time::{TimeGuard, TimeGuardState};
use edge_filter::{Emit, ErrorBound, LossBound, Outcome, Pipeline, Quality, Reading, Value};
use support::history::{Row, START, history};
use support::judge::{Judge, Violation, convicts, first_violation, verdict};
use support::{budget, feed, runner};

/// These tests are about the stages: what the guard would let pass beside them is dropped.
const STRICT: &str = "[defaults]\nfuture = \"drop\"\nout_of_order = \"drop\"\nsame_time = \"drop\"\n";

fn pipeline(stages: &str) -> Pipeline {
    Pipeline::from_toml(&format!("{STRICT}[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")).unwrap()
}

/// Every 10 s; what leaves until the stop, in order, as text, and what was dropped.
fn run(stages: &str, values: &[f64]) -> (Vec<String>, u64) {
    let mut p = pipeline(stages);
    let sensor = p.intern("s");
    let mut out: Vec<Emit<'static>> = Vec::new();
    for (time, &value) in (0..).step_by(10_000).zip(values) {
        out.extend(feed(&mut p, sensor, (time, value.into(), Quality::GOOD), time));
        assert!(p.stats().is_balanced(), "{:?}", p.stats());
    }
    p.flush(&mut |e| out.push(e));
    assert!(p.stats().is_balanced() && p.stats().held == 0, "{:?}", p.stats());
    let text = |e: &Emit<'_>| format!("{} {} {}", e.time / 10_000, e.value.as_f64().unwrap(), e.quality);
    (out.iter().map(text).collect(), p.stats().dropped())
}

#[test]
fn spikes_and_outliers_are_marked_dropped_or_replaced_late() {
    let good = |rows: &[&str]| rows.iter().map(|row| format!("{row} Good 0x00000000")).collect::<Vec<_>>();
    let values = [1.0, 2.0, 9.0, 2.0, 1.5];
    let (kept, dropped) = run("{ spike = { suspect = 3.0, fail = 6.0, action = \"drop\" } }", &values);
    let expected = good(&["0 1", "1 2"]).into_iter();
    let expected = expected.chain(["3 2 Uncertain 0x40940000".to_owned()]).chain(good(&["4 1.5"]));
    assert_eq!((kept, dropped), (expected.collect(), 1));
    let (kept, _) = run("{ spike = { method = \"differential\", fail = 6.0 } }", &values);
    assert_eq!((kept.len(), kept[2].as_str()), (5, "2 9 Bad 0x803C0000"));

    let values = [1.0, 2.0, 3.0, 100.0, 4.0, 5.0, 6.0];
    let centred = |action: &str| format!("{{ hampel = {{ window = 3, alignment = \"centered\"{action} }} }}");
    let (kept, _) = run(&centred(""), &values);
    assert_eq!((kept.len(), kept[3].as_str()), (7, "3 100 Bad 0x803C0000"));
    let (kept, dropped) = run(&centred(", action = \"drop\""), &values);
    assert_eq!((kept, dropped), (good(&["0 1", "1 2", "2 3", "4 4", "5 5", "6 6"]), 1));
    let (kept, _) = run(&centred(", action = \"replace\""), &values);
    assert_eq!(
        (kept.len(), kept[3].as_str()),
        (7, "3 4 Uncertain 0x40910000"),
        "hampel 1.0.2: the median is 4"
    );
    let causal = "{ hampel = { window = 3, action = \"replace\" } }";
    let (kept, _) = run(causal, &[1.0, 2.0, 1.5, 100.0, 1.8]);
    assert_eq!((kept.len(), kept[3].as_str()), (5, "3 2 Uncertain 0x40910000"));
}

#[test]
fn bounds_and_delay_are_stated() {
    let mut p = pipeline(
        "{ hampel = { window = 9, alignment = \"centered\", action = \"replace\" } }, { spike = { fail = 6.0 } }, \
         { swinging_door = { deviation = 0.5 } }",
    );
    let sensor = p.intern("s");
    let rule = p.rule(sensor).unwrap();
    assert_eq!((rule.delay(), rule.reducer_loss_bound()), (4, LossBound::Readings(5)));
    assert_eq!(rule.error_bound(), ErrorBound::NoneStated, "a median in the place of a value");
}

#[test]
fn what_cannot_be_judged_does_not_wait_and_nothing_overtakes() {
    let mut p = pipeline(
        "{ spike = { fail = 6.0 } }, { deadband = { absolute = 0.1 } }, { stale = { timeout_ms = 5000 } }",
    );
    let s = p.intern("s");
    let mut seen = Vec::new();
    for (time, value, quality) in [
        (1000, Value::F64(1.0), Quality::GOOD),
        (2000, Value::F64(2.0), Quality::GOOD),
        (3000, Value::F64(2.0), Quality::BAD),
        (4000, Value::F64(3.0), Quality::GOOD),
        (4500, Value::from("text"), Quality::GOOD),
        (5000, Value::F64(4.0), Quality::GOOD),
    ] {
        seen.push(feed(&mut p, s, (time, value, quality), time).iter().map(|e| e.time).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec![], vec![1000], vec![2000, 3000], vec![], vec![4000, 4500], vec![]]);
    let mut out = Vec::new();
    p.tick(10_000, &mut |e| out.push((e.time, e.reason.as_str())));
    assert_eq!(out, [(5000, "deadband"), (5001, "stale")], "silence ends the wait");

    let mut p = pipeline("{ spike = { fail = 6.0 } }, { deadband = { absolute = 0.1 } }");
    let s = p.intern("s");
    assert_eq!(feed(&mut p, s, (1000, 4.0.into(), Quality::GOOD), 1000), []);
    let before = feed(&mut p, s, (5_000_000, 4.0.into(), Quality::GOOD), 5_000_000);
    assert_eq!(
        (before.len(), before[0].time, before[0].reason.as_str()),
        (1, 1000, "first"),
        "so does a gap"
    );
    let mut out = Vec::new();
    p.unit_changed(s, &mut |e| out.push((e.time, e.reason.as_str())));
    assert_eq!(out, [(5_000_000, "first_after_gap")], "so does another unit");
}

/// Effect of a planted bug on the emitted readings, and on the verdicts of the stage alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    LosesTheLast,
    Overtakes,
    JudgesOneTooEarly,
    ReplacesNothing,
}

/// The caller's clock when a row comes: the newest time so far, capped, so that the far future stays the future.
fn clock(now: i64, row: &Row) -> i64 {
    now.max(row.time.min(START + 1_000_000_000))
}

/// The emitted rows of a pipeline that only looks ahead.
fn emitted(stages: &str, rows: &[Row]) -> Vec<Row> {
    let mut p = pipeline(stages);
    let (sensor, mut now, mut out) = (p.intern("s"), START, Vec::new());
    let row = |e: &Emit<'_>| Row { time: e.time, value: e.value.as_f64().unwrap(), quality: e.quality };
    for r in rows {
        now = clock(now, r);
        let reading = Reading { sensor, time: r.time, value: Value::F64(r.value), quality: r.quality };
        if let Outcome::Emit(e) = p.process(reading, now, &mut |e| out.push(row(&e))) {
            out.push(row(&e));
        }
        assert!(p.stats().is_balanced(), "{:?}", p.stats());
        assert!(p.stats().held <= p.rule(sensor).unwrap().delay() as u64, "no more wait than stated");
    }
    p.flush(&mut |e| out.push(row(&e)));
    assert!(p.stats().is_balanced() && p.stats().held == 0);
    out
}

/// Readings that the time guard alone lets pass, as they came. Its own verdict on each row, since a time does not name a row: after
/// a clock was set back, one that was refused may come again.
fn passed(rows: &[Row]) -> Vec<Row> {
    let (guard, mut state, mut now) = (TimeGuard::strict(), TimeGuardState::default(), START);
    let mut passes = |r: &Row| {
        now = clock(now, r);
        guard.check(&mut state, &Value::F64(r.value), r.quality, r.time, now).is_ok()
    };
    rows.iter().copied().filter(|row| passes(row)).collect()
}

fn good(row: &Row) -> bool {
    row.value.is_finite() && !row.quality.is_bad()
}

/// The verdicts of the stages alone over each run of readings without a gap, a reset or a reading that is none.
fn expected(accepted: &[Row], centred: bool, bug: Bug) -> Vec<Row> {
    let (spike, hampel) = (
        Spike::new(SpikeMethod::Average, Some(1.0), Some(5.0)).unwrap(),
        Hampel::new(5, 2.0, Alignment::Centered).unwrap(),
    );
    let (mut spikes, mut windows) = (SpikeState::default(), HampelState::default());
    let (mut out, mut begin, mut last) = (accepted.to_vec(), 0, i64::MIN);
    for (i, row) in accepted.iter().enumerate() {
        let restart = last == i64::MIN || row.time <= last || row.time - last > 3_600_000;
        last = row.time;
        if restart || !good(row) {
            (spikes, begin) = (SpikeState::default(), i);
        }
        if restart {
            windows = HampelState::default();
        }
        if !good(row) {
            let nan_is_bad = if row.quality.is_bad() { row.quality } else { Quality::BAD };
            (out[i].quality, begin) = (nan_is_bad, i + 1);
            continue;
        }
        let early = usize::from(bug == Bug::JudgesOneTooEarly);
        if centred {
            let verdict = hampel.check(&mut windows, row.value).filter(|verdict| verdict.outlier);
            if let (Some(verdict), Some(judged)) =
                (verdict, (i + early).checked_sub(2).filter(|j| *j >= begin))
            {
                let value = if bug == Bug::ReplacesNothing { out[judged].value } else { verdict.median };
                out[judged] = Row { value, quality: Quality::UNCERTAIN_SUBSTITUTE, ..out[judged] };
            }
        } else if let Some(flag) = spike.check(&mut spikes, row.value)
            && let Some(judged) = (i + early).checked_sub(1).filter(|j| *j >= begin)
        {
            out[judged].quality = flag.mark(out[judged].quality);
            assert_ne!(flag, QartodFlag::Missing);
        }
    }
    match bug {
        Bug::LosesTheLast => drop(out.pop()),
        Bug::Overtakes if out.len() > 1 => out.swap(0, 1),
        _ => {}
    }
    out
}

/// Rules of the comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// As many readings leave as came.
    Count,
    /// They leave in the order in which they came.
    Order,
    /// The status is the verdict of the stage alone.
    Verdict,
    /// The value is that of the reading, or the median where it is replaced.
    Replaced,
}

impl Bug {
    /// The bugs that a rule convicts.
    fn of(rule: Rule) -> Bug {
        match rule {
            Rule::Count => Bug::LosesTheLast,
            Rule::Order => Bug::Overtakes,
            Rule::Verdict => Bug::JudgesOneTooEarly,
            Rule::Replaced => Bug::ReplacesNothing,
        }
    }
}

fn same(left: &[Row], right: &[Row], judge: Judge<Rule>) -> Result<(), Violation<Rule>> {
    judge.require(Rule::Count, left.len() == right.len(), || format!("{} of {}", left.len(), right.len()))?;
    for (a, b) in left.iter().zip(right) {
        let values = a.value.to_bits() == b.value.to_bits() || (a.value.is_nan() && b.value.is_nan());
        let differ = || format!("{a:?} {b:?}");
        judge.require(Rule::Order, a.time == b.time, differ)?;
        judge.require(Rule::Verdict, a.quality == b.quality, differ)?;
        judge.require(Rule::Replaced, values, differ)?;
    }
    Ok(())
}

fn check(rows: &[Row], bug: Bug, judge: Judge<Rule>) -> Result<(), Violation<Rule>> {
    let passed = passed(rows);
    for (centred, stage) in [
        (false, "{ spike = { suspect = 1.0, fail = 5.0 } }"),
        (true, "{ hampel = { window = 5, n_sigma = 2.0, alignment = \"centered\", action = \"replace\" } }"),
    ] {
        same(&emitted(stage, rows), &expected(&passed, centred, bug), judge)?;
    }
    Ok(())
}

#[test]
fn promise_13_looking_ahead_gives_the_verdicts_of_the_stages_alone_in_order() {
    runner(budget(10_000))
        .run(&history(), |rows| verdict(check(&rows, Bug::None, Judge::All)))
        .unwrap_or_else(|error| panic!("{error}"));
    println!("executed lookahead against the stages alone: {} cases", budget(10_000));
}

#[test]
fn a_time_that_was_refused_may_come_again_after_the_clock_was_set_back() {
    for (refused, comes_again) in [(Quality::GOOD, Quality::BAD), (Quality::BAD, Quality::GOOD)] {
        let row = |back: i64, quality| Row { time: START - back, value: 20.0, quality };
        let rows = [
            row(0, Quality::GOOD),
            row(600_000, refused),
            row(610_000, Quality::GOOD),
            row(609_000, Quality::GOOD),
            row(608_000, Quality::GOOD), // the third in a row with a rising time: the clock was set back
            row(600_000, comes_again),
        ];
        let out = emitted("{ spike = { fail = 5.0 } }", &rows);
        let out: Vec<_> = out.iter().map(|row| (START - row.time, row.quality)).collect();
        assert_eq!(out, [(0, Quality::GOOD), (608_000, Quality::GOOD), (600_000, comes_again)]);
        check(&rows, Bug::None, Judge::All).unwrap();
    }
}

#[test]
fn every_rule_of_the_check_finds_its_planted_bug() {
    for rule in [Rule::Count, Rule::Order, Rule::Verdict, Rule::Replaced] {
        let bug = Bug::of(rule);
        let find = |judge| first_violation(200, &history(), |rows| check(&rows, bug, judge));
        convicts(rule, bug, find);
    }
}
