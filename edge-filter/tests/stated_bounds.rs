//! Promise 13: what each stage and each rule says that it may cost.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::check::{Alignment, Hampel, JumpReject, OutlierAction, RangeAction};
use edge_filter::qartod::{Spike, SpikeMethod};
use edge_filter::reduce::{Deadband, Dedup, OnChange, Pick, Reducer, Sample, SegmentHold, SwingingDoor};
use edge_filter::time::{TimeGuard, TimePolicy};
use edge_filter::window::{Aggregate, Window};
use edge_filter::{Cost, ErrorBound, LossBound, ParamError, Pipeline, Quality, Reading, Rule, Value};

#[test]
fn promise_13_each_reducing_stage_states_its_error_and_its_loss() -> Result<(), ParamError> {
    let (deadband, door, segment) =
        (Deadband::absolute(0.5)?, SwingingDoor::new(0.25)?, SegmentHold::new(0.5)?);
    let window = Window::tumbling_ms(1_000)?;
    let absolute = ErrorBound::Absolute(0.5);
    let (nothing, one) = (LossBound::Nothing, LossBound::Readings(1));
    let open = |span_ms| LossBound::Open { span_ms, more: 0 };
    let after = |max_error, min_interval_ms| ErrorBound::AbsoluteAfter { max_error, min_interval_ms };
    for (stage, error, loss) in [
        (Reducer::from(deadband), absolute, nothing),
        (deadband.send_previous(true).into(), absolute, one),
        (deadband.min_interval_ms(100)?.into(), after(0.5, 100), nothing),
        (Deadband::percent_of_range(10.0, 20.0, 70.0)?.into(), ErrorBound::Absolute(5.0), nothing),
        (Deadband::on_status().into(), ErrorBound::NoneStated, nothing),
        (OnChange::new().into(), ErrorBound::Exact, nothing),
        (OnChange::new().min_interval_ms(100)?.into(), after(0.0, 100), nothing),
        (Dedup::within_ms(1_000)?.into(), ErrorBound::Exact, nothing),
        (door.into(), ErrorBound::Linear(0.25), one),
        (door.best_effort_min_interval_ms(100)?.into(), ErrorBound::NoneStated, one),
        (segment.into(), absolute, open(None)),
        (segment.max_interval_ms(1_000)?.into(), absolute, open(Some(1_000))),
        (Sample::every_n(3)?.into(), ErrorBound::NoneStated, nothing),
        (Sample::every_n(3)?.pick(Pick::Last).into(), ErrorBound::NoneStated, one),
        (Sample::min_interval_ms(9)?.pick(Pick::MaxAbsDev).into(), ErrorBound::NoneStated, one),
        (Reducer::Window(window, Aggregate::Mean), ErrorBound::Aggregate, open(Some(1_000))),
        (
            Reducer::Window(window.allowed_lateness_ms(50)?, Aggregate::Mean),
            ErrorBound::Aggregate,
            open(Some(1_050)),
        ),
    ] {
        assert_eq!((stage.error_bound(), stage.loss_bound()), (error, loss), "{stage:?}");
        let rule = Rule::new().reducer(stage.clone());
        assert_eq!((rule.error_bound(), rule.loss_bound()), (error, loss), "{stage:?} in a rule");
    }
    Ok(())
}

/// Readings that a stage only marks go on, and are no loss.
#[test]
fn promise_13_a_rule_states_what_its_other_stages_refuse_hold_and_replace() -> Result<(), ParamError> {
    let jumps = JumpReject::new(5.0)?.accept_after(Some(2));
    let guard = TimeGuard::default().out_of_order(TimePolicy::Drop).confirm(4)?;
    let centered = Hampel::new(9, 3.0, Alignment::Centered)?;
    let causal = Hampel::new(9, 3.0, Alignment::Causal)?;
    let spike = Spike::new(SpikeMethod::Average, None, Some(6.0))?;
    let (mark, drop) = (RangeAction::Mark, RangeAction::Drop);
    let (exact, none) = (ErrorBound::Exact, ErrorBound::NoneStated);
    let (nothing, readings) = (LossBound::Nothing, LossBound::Readings);
    let step = |more| LossBound::Open { span_ms: Some(60_000), more };
    for (rule, error, refused, held) in [
        (Rule::new(), exact, nothing, nothing),
        (Rule::new().jump_reject(jumps, mark), exact, nothing, nothing),
        (Rule::new().jump_reject(jumps, drop), exact, readings(2), nothing),
        (Rule::new().time_guard(guard), exact, step(3), nothing),
        (Rule::new().time_guard(guard).jump_reject(jumps, drop), exact, step(5), nothing),
        (Rule::new().hampel(causal, OutlierAction::Replace), none, nothing, nothing),
        (Rule::new().hampel(centered, OutlierAction::Replace), none, nothing, readings(4)),
        (Rule::new().hampel(centered, OutlierAction::Drop), exact, nothing, readings(4)),
        (Rule::new().spike(spike, drop), exact, nothing, readings(1)),
        (
            Rule::new().spike(spike, drop).reducer(SwingingDoor::new(0.5)?),
            ErrorBound::Linear(0.5),
            nothing,
            readings(2),
        ),
        // What waits to be judged is lost beside what is open, and need not be of its time.
        (
            Rule::new().hampel(centered, OutlierAction::Drop).reducer(SegmentHold::new(0.5)?),
            ErrorBound::Absolute(0.5),
            nothing,
            LossBound::Open { span_ms: None, more: 4 },
        ),
        (
            Rule::new()
                .spike(spike, drop)
                .reducer(Reducer::Window(Window::tumbling_ms(10)?, Aggregate::Mean)),
            ErrorBound::Aggregate,
            nothing,
            LossBound::Open { span_ms: Some(10), more: 1 },
        ),
    ] {
        let stated = (rule.error_bound(), rule.refusal_loss_bound(), rule.reducer_loss_bound());
        assert_eq!(stated, (error, refused, held), "{rule:?}");
    }
    // The readings of a step of the clock, and beside them those of an open segment.
    let segment = SegmentHold::new(0.5)?;
    for (segment, span_ms) in [(segment, None), (segment.max_interval_ms(1_000)?, Some(61_000))] {
        let rule = Rule::new().time_guard(guard).reducer(segment);
        assert_eq!(rule.loss_bound(), LossBound::Open { span_ms, more: 3 });
    }
    Ok(())
}

/// One window of a second, and two readings before it that wait to be judged: all three are gone after a crash, 20 s of them.
#[test]
fn promise_13_no_more_is_held_beside_an_open_window_than_is_stated() -> Result<(), ParamError> {
    let rule = Rule::new()
        .hampel(Hampel::new(5, 3.0, Alignment::Centered)?, OutlierAction::Drop)
        .reducer(Reducer::Window(Window::tumbling_ms(1_000)?, Aggregate::Mean));
    let stated = rule.reducer_loss_bound();
    let mut pipeline = Pipeline::builder().rule("#", rule).unwrap().build();
    let sensor = pipeline.intern("a");
    for time in (10_000..100_000).step_by(10_000) {
        let reading = Reading { sensor, time, value: Value::F64(1.0), quality: Quality::GOOD };
        let _ = pipeline.process(reading, time, &mut |_| ());
        let LossBound::Open { span_ms: Some(1_000), more } = stated else { panic!("{stated}") };
        assert!(pipeline.stats().held <= 1 + u64::from(more), "{:?} at {time}", pipeline.stats());
    }
    assert_eq!(pipeline.stats().held, 3);
    Ok(())
}

#[test]
fn losses_are_told_in_words() {
    for (bound, words) in [
        (LossBound::Open { span_ms: None, more: 0 }, "the readings of one open segment per sensor"),
        (
            LossBound::Open { span_ms: None, more: 1 },
            "the readings of one open segment and 1 more per sensor",
        ),
        (
            LossBound::Open { span_ms: Some(10), more: 4 },
            "the readings of at most 10 ms and 4 more per sensor",
        ),
    ] {
        assert_eq!(bound.to_string(), words);
    }
}
