//! The stages alone: a round of readings, the sensors in turn, to how many are emitted.

use edge_filter::reduce::{
    Deadband, DeadbandState, Dedup, OnChange, OnChangeState, Sample, SampleState, SegmentHold,
    SegmentHoldState, SwingingDoor, SwingingDoorState, Verdict,
};
use edge_filter::window::{Window, WindowState};
use edge_filter::{ParamError, Quality};

/// Values, and the time of the first: every sensor has a reading a second.
pub(crate) type Run = Box<dyn FnMut(&[f64], i64) -> usize>;

pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// The same as a stage of a rule.
    pub(crate) toml: &'static str,
    /// For so many sensors.
    pub(crate) run: fn(usize) -> Run,
}

pub(crate) const STAGES: [Stage; 7] = [
    Stage { name: "on_change", toml: "on_change = {}", run: on_change },
    Stage { name: "deadband", toml: "deadband = { absolute = 0.5 }", run: deadband },
    Stage { name: "swinging_door", toml: "swinging_door = { deviation = 0.5 }", run: swinging_door },
    Stage { name: "segment_hold", toml: "segment_hold = { deviation = 0.5 }", run: segment_hold },
    Stage { name: "window", toml: "window = { width_ms = 10000, agg = \"mean\" }", run: window },
    Stage { name: "sample", toml: "sample = { every_n = 10 }", run: sample },
    Stage { name: "dedup", toml: "dedup = { within_ms = 60000 }", run: dedup },
];

/// Calls a stage with the state of each sensor in turn, nothing else in the loop; a parameter that was refused would
/// keep nothing, which is noticed.
fn each<Stage: 'static, State: Clone + Default + 'static>(
    stage: Result<Stage, ParamError>,
    sensors: usize,
    mut check: impl FnMut(&Stage, &mut State, f64, i64) -> usize + 'static,
) -> Run {
    let mut states = vec![State::default(); sensors];
    let Ok(stage) = stage else { return Box::new(|_, _| 0) };
    Box::new(move |values, start| {
        let mut kept = 0;
        for (row, time) in values.chunks(sensors).zip((start..).step_by(1000)) {
            for (state, &value) in states.iter_mut().zip(row) {
                kept += check(&stage, state, value, time);
            }
        }
        kept
    })
}

fn emitted(verdict: Verdict) -> usize {
    usize::from(matches!(verdict, Verdict::Emit(_)))
}

fn on_change(sensors: usize) -> Run {
    each(Ok(OnChange::new()), sensors, |stage, state: &mut OnChangeState, value, time| {
        usize::from(stage.check(state, value, Quality::GOOD, time).is_some())
    })
}

fn dedup(sensors: usize) -> Run {
    each(Dedup::within_ms(60_000), sensors, |stage, state: &mut OnChangeState, value, time| {
        usize::from(stage.check(state, value, Quality::GOOD, time).is_some())
    })
}

fn deadband(sensors: usize) -> Run {
    each(Deadband::absolute(0.5), sensors, |stage, state: &mut DeadbandState, value, time| {
        usize::from(stage.check(state, value, Quality::GOOD, time).is_some())
    })
}

fn swinging_door(sensors: usize) -> Run {
    each(SwingingDoor::new(0.5), sensors, |stage, state: &mut SwingingDoorState, value, time| {
        let mut kept = 0;
        let verdict = stage.check(state, value, Quality::GOOD, time, &mut |_| kept += 1);
        kept + emitted(verdict)
    })
}

fn segment_hold(sensors: usize) -> Run {
    each(SegmentHold::new(0.5), sensors, |stage, state: &mut SegmentHoldState, value, time| {
        let mut kept = 0;
        let verdict = stage.check(state, value, Quality::GOOD, time, &mut |_| kept += 1);
        kept + emitted(verdict)
    })
}

fn sample(sensors: usize) -> Run {
    each(Sample::every_n(10), sensors, |stage, state: &mut SampleState, value, time| {
        emitted(stage.check(state, value, Quality::GOOD, time, &mut |_| ()))
    })
}

fn window(sensors: usize) -> Run {
    each(Window::tumbling_ms(10_000), sensors, |stage, state: &mut WindowState, value, time| {
        let mut kept = 0;
        let _ = stage.check(state, value, Quality::GOOD, time, &mut |_| kept += 1);
        kept
    })
}
