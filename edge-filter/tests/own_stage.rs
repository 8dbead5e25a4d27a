//! Stages of users in a pipeline: accounts, snapshots, what passes unasked, deadlines that never move.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "test code; the example is a program"
)]

#[path = "../examples/own_stage.rs"]
mod example;

use edge_filter::reduce::{Number, ReleasedReading, Settlement, Stage, Verdict};
use edge_filter::{
    Cost, DropReason, EmitReason, ErrorBound, LossBound, Outcome, Pipeline, Quality, Reading, Rule, Snapshot,
    Value,
};
use example::TurningPoints;

fn pipeline(rule: Rule) -> (Pipeline, u32) {
    let mut pipeline = Pipeline::builder().rule("#", rule).unwrap().build();
    let sensor = pipeline.intern("a");
    (pipeline, sensor)
}

fn turning() -> (Pipeline, u32) {
    pipeline(Rule::new().reducer(TurningPoints::default()))
}

/// Times and reasons of all that one reading brings out.
fn give(pipeline: &mut Pipeline, sensor: u32, time: i64, value: Value<'static>) -> Vec<(i64, EmitReason)> {
    let mut out = Vec::new();
    let reading = Reading { sensor, time, value, quality: Quality::GOOD };
    if let Outcome::Emit(emit) =
        pipeline.process(reading, time, &mut |emit| out.push((emit.time, emit.reason)))
    {
        out.push((emit.time, emit.reason));
    }
    assert!(pipeline.stats().is_balanced(), "{:?}", pipeline.stats());
    out
}

#[test]
fn the_example_runs() {
    example::main().unwrap();
}

#[test]
fn a_rule_states_the_cost_of_an_own_stage() {
    let (pipeline, sensor) = turning();
    let rule = pipeline.rule(sensor).unwrap();
    assert_eq!(
        (rule.error_bound(), rule.reducer_loss_bound()),
        (ErrorBound::NoneStated, LossBound::Readings(1))
    );
    assert_eq!(rule.clone(), *rule);
}

#[test]
fn what_is_no_number_passes_after_what_is_held_and_the_stage_begins_again() {
    let (mut p, sensor) = turning();
    assert_eq!(give(&mut p, sensor, 0, 0.0.into()), [(0, EmitReason::First)]);
    assert!(give(&mut p, sensor, 1, 5.0.into()).is_empty());
    assert_eq!(p.stats().held, 1);
    assert_eq!(give(&mut p, sensor, 2, f64::NAN.into()), [(1, EmitReason::Flush), (2, EmitReason::NanEnter)]);
    assert!(give(&mut p, sensor, 3, f64::NAN.into()).is_empty(), "never asked about it");
    assert_eq!(give(&mut p, sensor, 4, 1.0.into()), [(4, EmitReason::NanExit)]);
    assert!(give(&mut p, sensor, 5, 2.0.into()).is_empty());
    assert_eq!(give(&mut p, sensor, 6, "stop".into()), [(5, EmitReason::Flush), (6, EmitReason::Change)]);
    assert_eq!((p.stats().held, p.stats().dropped_by(DropReason::BadQuality)), (0, 1));
}

#[test]
fn each_sensor_has_a_state_of_its_own() {
    let (mut p, a) = turning();
    let b = p.intern("b");
    give(&mut p, a, 0, 0.0.into());
    give(&mut p, b, 0, 0.0.into());
    give(&mut p, a, 1, 5.0.into());
    give(&mut p, b, 1, (-5.0).into());
    assert_eq!(give(&mut p, a, 2, 3.0.into()), [(1, EmitReason::Change)]);
    assert!(give(&mut p, b, 2, (-6.0).into()).is_empty());
    let mut copy = p.clone();
    assert_eq!(give(&mut copy, b, 3, 0.0.into()), [(2, EmitReason::Change)]);
    assert_eq!(give(&mut p, b, 3, 0.0.into()), [(2, EmitReason::Change)], "a copy shares nothing");
}

#[test]
fn what_an_own_stage_holds_survives_a_clean_stop() {
    let (mut first, sensor) = turning();
    give(&mut first, sensor, 0, 0.0.into());
    give(&mut first, sensor, 1, 5.0.into());
    let snapshot = first.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    for snapshot in [snapshot, serde_json::from_str::<Snapshot>(&text).unwrap()] {
        let (mut second, sensor) = turning();
        second.restore(snapshot.clone()).unwrap();
        assert_eq!((second.stats().held, second.stats().restored), (1, 1));
        assert_eq!(second.snapshot(), first.snapshot());
        assert_eq!(give(&mut second, sensor, 2, 1.0.into()), [(1, EmitReason::Change)], "{snapshot:?}");
    }
}

#[test]
fn a_state_that_the_stage_refuses_or_does_not_know_begins_cold() {
    let (mut first, sensor) = pipeline(Rule::new().reducer(Careless::default()));
    give(&mut first, sensor, 0, 0.0.into());
    let (mut second, sensor) = turning();
    second.restore(first.snapshot()).unwrap();
    assert!(give(&mut second, sensor, 1, 5.0.into()).is_empty());
    assert_eq!(give(&mut second, sensor, 2, 1.0.into()), [(1, EmitReason::Change)]);
    let (mut other, sensor) = pipeline(Rule::new());
    other.restore(second.snapshot()).unwrap();
    assert_eq!((other.stats().held, give(&mut other, sensor, 3, 1.0.into()).len()), (0, 1));
}

/// Sends a synthetic zero at each tick, and says that it is due at a time that is over.
#[derive(Clone, Debug, Default)]
struct Careless {
    is_started: bool,
}

impl Cost for Careless {}

impl Stage for Careless {
    fn process(&mut self, _: i64, _: Number, _: Quality, _: &mut dyn FnMut(Settlement)) -> Verdict {
        Verdict::Drop(DropReason::RateLimit)
    }

    fn passed(&mut self, _: i64, _: &Value<'_>, _: Quality) {
        self.is_started = true;
    }

    fn next_deadline(&self) -> Option<i64> {
        self.is_started.then_some(100)
    }

    fn tick(&mut self, now_ms: i64, out: &mut dyn FnMut(Settlement)) {
        let zero = ReleasedReading::new(now_ms, Number::I64(0), Quality::GOOD, EmitReason::Picked);
        out(Settlement::Emit(zero.synthetic()));
    }

    fn snapshot(&self) -> Vec<u8> {
        vec![7]
    }

    fn copied(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

#[test]
fn a_deadline_that_never_moves_is_due_once() {
    let (mut p, sensor) = pipeline(Rule::new().reducer(Careless::default()));
    assert_eq!(p.next_deadline(), None);
    give(&mut p, sensor, 0, 1.0.into());
    assert_eq!(p.next_deadline(), Some(100));
    let mut out = Vec::new();
    p.tick(99, &mut |emit| out.push(emit.time));
    p.tick(150, &mut |emit| out.push(emit.time));
    p.tick(200, &mut |emit| out.push(emit.time));
    assert_eq!((out, p.next_deadline()), (vec![150], None));
    assert_eq!(p.stats().synthetic, 1);
    assert!(give(&mut p, sensor, 151, 1.0.into()).is_empty());
}

#[test]
fn promise_13_what_an_own_stage_made_up_is_told_as_such_and_counted_apart() {
    let (mut p, sensor) = pipeline(Rule::new().reducer(Careless::default()));
    give(&mut p, sensor, 0, 1.0.into());
    let mut out = Vec::new();
    p.tick(150, &mut |emit| out.push((emit.value.as_f64(), emit.synthetic)));
    assert_eq!(out, [(Some(0.0), true)]);
    assert_eq!((p.stats().synthetic, p.stats().emitted(), p.stats().dropped()), (1, 1, 0));
    assert!(p.stats().is_balanced());
}

#[test]
fn a_text_that_was_there_before_passes_after_what_is_held() {
    let (mut p, sensor) = turning();
    assert_eq!(give(&mut p, sensor, 0, "stop".into()), [(0, EmitReason::First)]);
    assert!(give(&mut p, sensor, 1, 5.0.into()).is_empty());
    assert_eq!(give(&mut p, sensor, 2, "stop".into()), [(1, EmitReason::Flush), (2, EmitReason::Change)]);
    assert!(give(&mut p, sensor, 3, "stop".into()).is_empty());
}
