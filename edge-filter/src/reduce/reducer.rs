//! Reducer: the only reducing stage of a rule, and its state for one sensor.

use super::holding::Holding;
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, ReleasedReading, Settlement, Verdict};
use super::own_stage::{OwnStage, Skeleton, Stage};
use super::sample::OpenGroup;
use super::segment_hold::Segment;
use super::swinging_door::Door;
use super::{Deadband, Dedup, OnChange, Sample, SegmentHold, SwingingDoor};
use crate::window::{Admission, Aggregate, Window, WindowResult, WindowState};
use crate::{Cost, DropReason, EmitReason, ErrorBound, LossBound, Quality, Value};

/// Stage that decides which readings go on; a [`Rule`](crate::Rule) has at most one.
///
/// ```
/// use edge_filter::reduce::{Deadband, Reducer};
/// use edge_filter::{Cost, ErrorBound};
///
/// let reducer = Reducer::from(Deadband::absolute(0.5)?);
/// assert_eq!(reducer.error_bound(), ErrorBound::Absolute(0.5));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reducer {
    /// Passes values that differ from the last emitted one.
    OnChange(OnChange),
    /// Passes values that differ by more than a tolerance.
    Deadband(Deadband),
    /// Passes the corners of a trend.
    SwingingDoor(SwingingDoor),
    /// Replaces each run within a tolerance by the middle of its range.
    SegmentHold(SegmentHold),
    /// Emits one aggregate of each window.
    Window(Window, Aggregate),
    /// Passes one reading of each group.
    Sample(Sample),
    /// Drops repeats within a time.
    Dedup(Dedup),
    /// A [`Stage`] that a user of the crate wrote.
    Own(Box<OwnStage>),
}

macro_rules! from_stages {
    ($($stage:ident),*) => {
        $(impl From<$stage> for Reducer {
            fn from(stage: $stage) -> Self {
                Reducer::$stage(stage)
            }
        })*

        impl Reducer {
            fn cost(&self) -> &dyn Cost {
                match self {
                    $(Reducer::$stage(stage) => stage,)*
                    Reducer::Window(stage, _) => stage,
                    Reducer::Own(stage) => stage.cost(),
                }
            }
        }
    };
}

from_stages!(OnChange, Deadband, SwingingDoor, SegmentHold, Sample, Dedup);

impl<S: Stage + 'static> From<S> for Reducer {
    fn from(stage: S) -> Self {
        Reducer::Own(Box::new(OwnStage::new(Box::new(stage))))
    }
}

impl Cost for Reducer {
    fn error_bound(&self) -> ErrorBound {
        self.cost().error_bound()
    }

    fn loss_bound(&self) -> LossBound {
        self.cost().loss_bound()
    }
}

/// State of a reducing stage besides the last emitted reading, in 48 bytes; a window is stored elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum ReducerState {
    #[default]
    #[cfg_attr(feature = "config", serde(rename = "n"))]
    None,
    #[cfg_attr(feature = "config", serde(rename = "p"))]
    Previous(Option<Point>),
    #[cfg_attr(feature = "config", serde(rename = "d"))]
    Door(Door),
    #[cfg_attr(feature = "config", serde(rename = "s"))]
    Segment(Segment),
    #[cfg_attr(feature = "config", serde(rename = "g"))]
    Group(OpenGroup),
    #[cfg_attr(feature = "config", serde(rename = "w"))]
    Window(Box<WindowState>),
    #[cfg_attr(feature = "config", serde(rename = "o"))]
    Own(Box<OwnStage>),
}

impl ReducerState {
    /// Returns the number of held readings.
    pub(crate) fn held(&self) -> u64 {
        match self {
            ReducerState::None => 0,
            ReducerState::Previous(held) => u64::from(held.is_some()),
            ReducerState::Door(door) => u64::from(door.held.is_some()),
            ReducerState::Segment(segment) => segment.readings,
            ReducerState::Group(group) => u64::from(group.held.is_some()),
            ReducerState::Window(window) => window.readings(),
            ReducerState::Own(own) => own.held(),
        }
    }

    /// Shifts all times by `by_ms`, except for those of a window.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        match self {
            ReducerState::Previous(held) | ReducerState::Door(Door { held, .. }) => {
                held.iter_mut().for_each(|held| held.shift(by_ms));
            }
            ReducerState::Segment(segment) => segment.shift(by_ms),
            ReducerState::Group(group) => group.shift(by_ms),
            ReducerState::None | ReducerState::Window(_) | ReducerState::Own(_) => {}
        }
    }

    /// Returns whether a stage can have reached this state; that of a damaged snapshot may be another. `last`: the reading that the sensor
    /// emitted last.
    pub(crate) fn is_sound(&self, last: &LastEmitted) -> bool {
        // What is held waits for a reading that differs from the one before it.
        let follows = self.held() == 0 || last.status().is_some();
        match self {
            ReducerState::None | ReducerState::Own(_) => true,
            ReducerState::Previous(held) | ReducerState::Door(Door { held, .. }) => {
                follows && held.is_none_or(|held| held.is_sound())
            }
            ReducerState::Segment(segment) => follows && segment.is_sound(),
            ReducerState::Group(group) => follows && group.held.is_none_or(|held| held.is_sound()),
            ReducerState::Window(window) => window.is_sound(),
        }
    }

    /// Returns `old` if it is a state of the same stage, else the state of a sensor that was never seen.
    pub(crate) fn take_over(self, old: Self) -> Self {
        match (self, old) {
            (ReducerState::Own(cold), ReducerState::Own(old)) => {
                ReducerState::Own(Box::new(cold.take_over(&old)))
            }
            (cold, old) if std::mem::discriminant(&cold) == std::mem::discriminant(&old) => old,
            (cold, _) => cold,
        }
    }
}

impl Reducer {
    /// Returns whether an emitted value stands for the sensor's value until the next one.
    pub(crate) fn is_continued(&self) -> bool {
        !matches!(self, Reducer::Window(..) | Reducer::Sample(_))
    }

    /// Returns whether values of this quality are compared, and so are those that a silence repeats.
    pub(crate) fn usable(&self, quality: Quality) -> bool {
        match self {
            Reducer::Deadband(stage) => stage.usable(quality),
            Reducer::SwingingDoor(stage) => stage.usable(quality),
            Reducer::SegmentHold(stage) => stage.usable(quality),
            Reducer::OnChange(_)
            | Reducer::Window(..)
            | Reducer::Sample(_)
            | Reducer::Dedup(_)
            | Reducer::Own(_) => !quality.is_bad(),
        }
    }

    /// Creates the state of a sensor that was never seen.
    pub(crate) fn state(&self) -> ReducerState {
        match self {
            Reducer::Deadband(stage) if stage.holds() => ReducerState::Previous(None),
            Reducer::OnChange(_) | Reducer::Deadband(_) | Reducer::Dedup(_) => ReducerState::None,
            Reducer::SwingingDoor(_) => ReducerState::Door(Door::default()),
            Reducer::SegmentHold(_) => ReducerState::Segment(Segment::default()),
            Reducer::Sample(_) => ReducerState::Group(OpenGroup::default()),
            Reducer::Window(..) => ReducerState::Window(Box::default()),
            Reducer::Own(stage) => ReducerState::Own(stage.clone()),
        }
    }

    /// Filters one reading with a stage that holds nothing, and updates `last`. With `forced` the reading passes for
    /// this reason, whatever its value.
    #[inline]
    pub(crate) fn judge(
        &self,
        last: &mut LastEmitted,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
    ) -> Verdict {
        let usable = match self {
            Reducer::Deadband(stage) => stage.usable(quality),
            _ => true,
        };
        let decided = match (forced, self) {
            (Some(why), _) => Ok(why),
            (None, Reducer::Deadband(stage)) => stage.decide(last, value, quality, time),
            (None, Reducer::OnChange(stage)) => stage.decide(last, value, quality, time),
            (None, Reducer::Dedup(stage)) => stage.decide(last, value, quality, time),
            // The others have a state of their own, always: see `Slot::adopt`.
            (None, _) => Ok(EmitReason::Passthrough),
        };
        match decided {
            Ok(why) => {
                last.emitted(value, quality, time, usable);
                Verdict::Emit(why)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Filters one reading with any stage.
    pub(crate) fn offer(
        &self,
        last: &mut LastEmitted,
        state: &mut ReducerState,
        forced: Option<EmitReason>,
        offered: (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        match (self, state) {
            (Reducer::Deadband(stage), ReducerState::Previous(held)) => {
                stage.offer(last, held, forced, offered, on)
            }
            (Reducer::SwingingDoor(stage), ReducerState::Door(door)) => {
                stage.offer(last, door, forced, offered, on)
            }
            (Reducer::SegmentHold(stage), ReducerState::Segment(segment)) => {
                stage.offer(last, segment, forced, offered, on)
            }
            (Reducer::Sample(stage), ReducerState::Group(group)) => {
                stage.offer(last, group, forced, offered, on)
            }
            (Reducer::Own(_), ReducerState::Own(own)) => Skeleton.offer(last, own, forced, offered, on),
            (Reducer::Window(..), state) if matches!(offered.0, Value::Text(_)) => {
                self.pass_text(last, state, forced, offered, on)
            }
            (Reducer::Window(stage, aggregate), ReducerState::Window(window)) => {
                let (value, quality, time) = offered;
                let mut result = |w| window_closed(&w, *aggregate, last, on);
                match stage.check(window, value.clone(), quality, time, &mut result) {
                    Admission::In => Verdict::Held,
                    Admission::Not(reason) => Verdict::Drop(reason),
                }
            }
            // A state of another stage is never kept: see `Slot::adopt`.
            (_, _) => self.judge(last, forced, offered),
        }
    }

    /// Passes a text that came to a window, which cannot aggregate texts, after the held readings.
    #[cold]
    fn pass_text(
        &self,
        last: &mut LastEmitted,
        state: &mut ReducerState,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        if let (Reducer::Window(stage, aggregate), ReducerState::Window(window)) = (self, &mut *state) {
            stage.go_by(window, time, &mut |w| window_closed(&w, *aggregate, last, on));
        }
        self.close(last, state, EmitReason::Flush, on);
        last.emitted(value, quality, time, !quality.is_bad());
        Verdict::Emit(forced.unwrap_or(EmitReason::Passthrough))
    }

    /// Emits what the stage holds, for a silence, a gap, a clock reset or a stop.
    pub(crate) fn close(
        &self,
        last: &mut LastEmitted,
        state: &mut ReducerState,
        why: EmitReason,
        on: &mut impl FnMut(Settlement),
    ) {
        match (self, state) {
            (Reducer::Deadband(_), ReducerState::Previous(held)) => {
                if let Some(held) = held.take() {
                    on(held.released(why));
                    last.emitted(&held.value().into(), held.quality, held.time, true);
                }
            }
            (Reducer::SwingingDoor(stage), ReducerState::Door(door)) => {
                stage.close(last, door, Some(why), on);
            }
            (Reducer::SegmentHold(stage), ReducerState::Segment(segment)) => {
                stage.close(last, segment, Some(why), on);
            }
            (Reducer::Sample(stage), ReducerState::Group(group)) => stage.close(last, group, Some(why), on),
            (Reducer::Own(_), ReducerState::Own(own)) => Skeleton.close(last, own, Some(why), on),
            (Reducer::Window(stage, aggregate), ReducerState::Window(window)) => {
                stage.flush(window, &mut |w| window_closed(&w, *aggregate, last, on));
            }
            _ => {}
        }
    }

    /// Does what is due at `now_ms`.
    pub(crate) fn tick(
        &self,
        last: &mut LastEmitted,
        state: &mut ReducerState,
        now_ms: i64,
        on: &mut impl FnMut(Settlement),
    ) {
        match (self, state) {
            (Reducer::Window(stage, aggregate), ReducerState::Window(window)) => {
                stage.tick(window, now_ms, &mut |w| window_closed(&w, *aggregate, last, on));
            }
            (Reducer::Own(_), ReducerState::Own(own)) => own.tick(last, now_ms, on),
            _ => {}
        }
    }

    pub(crate) fn deadline(&self, state: &ReducerState) -> Option<i64> {
        match (self, state) {
            (Reducer::Window(stage, _), ReducerState::Window(window)) => stage.deadline(window),
            (_, ReducerState::Own(own)) => own.deadline(),
            _ => None,
        }
    }
}

/// Emits one aggregate of a completed window; a bad zero if it cannot be computed.
fn window_closed(
    w: &WindowResult,
    aggregate: Aggregate,
    last: &mut LastEmitted,
    on: &mut impl FnMut(Settlement),
) {
    match w.readings {
        // A text or a repeat was emitted within the window: times do not go back to say that it is empty.
        0 if last.time().is_some_and(|time| time >= w.start) => return,
        0 => {}
        readings => on(Settlement::Drop(DropReason::Compressed, readings)),
    }
    let (value, quality) = match w.get(aggregate) {
        Some(value) => (value, w.quality),
        None if w.quality.is_bad() => (0.0, w.quality),
        None => (0.0, Quality::BAD),
    };
    let (value, reason) = (Number::F64(value), EmitReason::WindowClosed);
    on(Settlement::Emit(ReleasedReading { time: w.start, value, quality, reason, synthetic: true }));
    // What was repeated in the window's silence is later than its first instant, and the next repeat is later than that.
    let time = last.time().map_or(w.start, |time| time.max(w.start));
    last.emitted(&value.into(), quality, time, !quality.is_bad());
}
