//! Skeleton of the stages that hold readings: the treatment of an offered reading that all of them share.

use super::last_emitted::LastEmitted;
use super::number::{Number, Point, ReleasedReading, Settlement, Verdict};
use crate::value::Tolerance;
use crate::{DropReason, EmitReason, Quality, Value};

/// Passes emitted readings on to `sink`. A stage that is used alone has no counters for the dropped ones.
pub(crate) fn released(event: Settlement, sink: &mut impl FnMut(ReleasedReading)) {
    if let Settlement::Emit(released) = event {
        sink(released);
    }
}

/// Stage that holds readings. All of them share this: the first reading, changes of status and of class, booleans and texts pass at once, after
/// the held readings; further bad and non-finite readings are dropped.
pub(crate) trait Holding {
    type State;

    fn usable(&self, quality: Quality) -> bool;

    /// Returns the time of the newest held reading; `None` if none is held.
    fn newest_held(state: &Self::State) -> Option<i64>;

    /// Returns whether a reading is held.
    fn has_held(state: &Self::State) -> bool {
        Self::newest_held(state).is_some()
    }

    /// Tells the state about a reading that passed whatever its value.
    fn passed(_: &mut Self::State, _: &Value<'_>, _: Quality, _: i64) {}

    /// Returns whether the stage can compute with this number. Others pass on any change, as texts do.
    fn takes(&self, _: Number) -> bool {
        true
    }

    /// Returns whether a number that the stage does not take is emitted although it did not change, so long after the last one.
    fn is_overdue(&self, _elapsed_ms: i64) -> bool {
        false
    }

    /// Filters a usable number that is later than everything before it.
    fn number(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        point: Point,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict;

    /// Emits the held readings, for the reason `why` if it is given, and starts again.
    fn close(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Settlement),
    );

    /// Filters one reading. With `forced` it passes for this reason, whatever its value.
    fn offer(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        let usable = self.usable(quality);
        let why = match forced.or_else(|| last.transition(value, quality, usable)) {
            Some(why) => why,
            None => {
                if let Some(reason) = LastEmitted::silence(value, quality, usable) {
                    return Verdict::Drop(reason);
                }
                match Number::of(value) {
                    Some(_)
                        if Self::newest_held(state).max(last.time()).is_some_and(|newest| time <= newest) =>
                    {
                        return Verdict::Drop(DropReason::OutOfOrder);
                    }
                    Some(value) if self.takes(value) => {
                        let verdict = self.number(last, state, Point::new(time, value, quality), on);
                        if let Verdict::Emit(_) = verdict {
                            last.emitted(&value.into(), quality, time, true);
                        }
                        return verdict;
                    }
                    // What is held is newer than what was emitted last, and what it takes is none of these.
                    _ if Self::has_held(state) || last.moved(&Tolerance::ZERO, value) => EmitReason::Change,
                    Some(_) if self.is_overdue(last.elapsed(time)) => EmitReason::MaxInterval,
                    _ => return Verdict::Drop(DropReason::Unchanged),
                }
            }
        };
        self.close(last, state, None, on);
        last.emitted(value, quality, time, usable);
        Self::passed(state, value, quality, time);
        Verdict::Emit(why)
    }
}

/// Methods of a holding stage that is used alone, without a pipeline.
macro_rules! used_alone {
    ($stage:ident, $state:ident { $held:ident }) => {
        impl $stage {
            /// Filters a reading. `sink` gets the readings that must be sent before it. A reading that is not later
            /// than the last one is dropped as out of order.
            pub fn check<'v>(
                &self,
                state: &mut $state,
                value: impl Into<crate::Value<'v>>,
                quality: impl Into<crate::Quality>,
                time: i64,
                sink: &mut impl FnMut($crate::reduce::ReleasedReading),
            ) -> $crate::reduce::Verdict {
                let offered = (&value.into(), quality.into(), time);
                self.offer(&mut state.last, &mut state.$held, None, offered, &mut |settlement| {
                    $crate::reduce::holding::released(settlement, sink)
                })
            }

            /// Emits the held readings and starts again: at a stop, or before a gap.
            pub fn flush(&self, state: &mut $state, sink: &mut impl FnMut($crate::reduce::ReleasedReading)) {
                let why = Some(crate::EmitReason::Flush);
                self.close(&mut state.last, &mut state.$held, why, &mut |settlement| {
                    $crate::reduce::holding::released(settlement, sink)
                });
                state.last = LastEmitted::default();
            }
        }
    };
}

pub(crate) use used_alone;
