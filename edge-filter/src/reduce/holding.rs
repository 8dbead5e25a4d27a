//! Reducer skeleton: the treatment of an offered reading that all stages have in common which hold some back.

use super::last_emitted::LastEmitted;
use super::number::{Event, Number, Point, Released, Verdict};
use crate::value::Tolerance;
use crate::{DropReason, EmitReason, Quality, Value};

/// Hands on what is emitted; alone, a stage has no accounts to keep.
pub(crate) fn released(event: Event, sink: &mut impl FnMut(Released)) {
    if let Event::Emit(released) = event {
        sink(released);
    }
}

/// A stage that holds readings. What all of them have in common is here: the first reading, changes of status and of
/// class, booleans and texts pass at once, after what was held; bad and non-finite readings say no more than that.
pub(crate) trait Holding {
    type State;

    fn usable(&self, quality: Quality) -> bool;

    /// Returns whether a reading is kept back.
    fn has_held(state: &Self::State) -> bool;

    /// A usable number, later than everything before it.
    fn number(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        point: Point,
        on: &mut impl FnMut(Event),
    ) -> Verdict;

    /// Emits what is held, if `why` is given for this reason, and starts again.
    fn close(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Event),
    );

    /// One reading of a stage that is used alone.
    fn offer_alone(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        (value, quality, time): (Value<'_>, Quality, i64),
        sink: &mut impl FnMut(Released),
    ) -> Verdict {
        self.offer(last, state, None, (&value, quality, time), &mut |event| released(event, sink))
    }

    /// Emits what a stage holds that is used alone, and starts again.
    fn flush_alone(&self, last: &mut LastEmitted, state: &mut Self::State, sink: &mut impl FnMut(Released)) {
        self.close(last, state, Some(EmitReason::Flush), &mut |event| released(event, sink));
        *last = LastEmitted::default();
    }

    /// One reading; `forced` passes for this reason, whatever its value.
    fn offer(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Event),
    ) -> Verdict {
        let usable = self.usable(quality);
        let why = match forced.or_else(|| last.transition(value, quality, usable)) {
            Some(why) => why,
            None => {
                if let Some(reason) = LastEmitted::silence(value, quality, usable) {
                    return Verdict::Drop(reason);
                }
                match Number::of(value) {
                    Some(value) => {
                        let verdict = self.number(last, state, Point::new(time, value, quality), on);
                        if let Verdict::Emit(_) = verdict {
                            last.emitted(&value.into(), quality, time, true);
                        }
                        return verdict;
                    }
                    // What is held is newer than what was emitted last, and no text is the same as a number.
                    None if Self::has_held(state) || last.moved(&Tolerance::ZERO, value) => {
                        EmitReason::Change
                    }
                    None => return Verdict::Drop(DropReason::Unchanged),
                }
            }
        };
        self.close(last, state, None, on);
        last.emitted(value, quality, time, usable);
        Verdict::Emit(why)
    }
}
