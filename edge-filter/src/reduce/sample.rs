//! Sample: limits the rate of readings, by passing one of each group.

use super::holding::{Holding, used_alone};
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, Settlement, Verdict};
use crate::error::{ParamError, interval};
use crate::snapshot_serde::as_array;
use crate::{Cost, DropReason, EmitReason, ErrorBound, LossBound, Quality};

/// Stage that passes one reading of every group of `n`, or of every interval of event time.
///
/// It limits the traffic, not the error: between two picked readings the value may have been anything. The first reading and every change of
/// status or class passes at once, after the held reading, and begins a new group; so do changes of booleans and texts. While the status is bad
/// nothing passes.
///
/// **Error bound**: none is given. **Loss bound**: nothing with [`Pick::First`], else one held reading per sensor.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{Sample, SampleState, Verdict};
/// let mut state = SampleState::default();
/// let limit = Sample::min_interval_ms(1000)?;
/// let passes = |time| limit.check(&mut state, time as f64, Quality::GOOD, time, &mut |_| ()) != Verdict::Drop(edge_filter::DropReason::RateLimit);
/// assert_eq!([0, 500, 999, 1000, 1500].map(passes), [true, false, false, true, false]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    group: Group,
    pick: Pick,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Group {
    Readings(u32),
    IntervalMs(i64),
}

/// Choice of the reading that passes for its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Pick {
    /// The first reading, at once.
    #[default]
    First,
    /// The last reading, when the group is complete.
    Last,
    /// The reading furthest from the last emitted value, when the group is complete, so that peaks are kept.
    MaxAbsDev,
}

/// State of a [`Sample`] per sensor when it is used alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct SampleState {
    last: LastEmitted,
    group: OpenGroup,
}

/// Group that still takes readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OpenGroup {
    start: i64,
    readings: u32,
    pub(crate) held: Option<Point>,
}

as_array!(OpenGroup { start, readings, held });

impl OpenGroup {
    /// Moves all times by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.held.is_some() {
            self.start = self.start.wrapping_add(by_ms);
        }
        self.held.iter_mut().for_each(|held| held.shift(by_ms));
    }
}

impl Sample {
    /// Creates a stage that passes one of every `n` readings.
    ///
    /// # Errors
    /// If `n` is 0.
    pub fn every_n(n: u32) -> Result<Self, ParamError> {
        if n == 0 {
            return Err(ParamError::new("every_n", "1 or more", n));
        }
        Ok(Sample { group: Group::Readings(n), pick: Pick::First })
    }

    /// Creates a stage that passes at most one reading in `ms` of event time.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn min_interval_ms(ms: i64) -> Result<Self, ParamError> {
        Ok(Sample { group: Group::IntervalMs(interval("min_interval_ms", ms)?), pick: Pick::First })
    }

    /// Sets the reading that passes for its group; the first by default.
    #[must_use]
    pub fn pick(mut self, pick: Pick) -> Self {
        self.pick = pick;
        self
    }

    pub(crate) fn holds(&self) -> bool {
        self.pick != Pick::First
    }

    fn first(&self, last: &LastEmitted, group: &mut OpenGroup, point: Point) -> Verdict {
        let complete = match self.group {
            Group::Readings(n) => group.readings >= n,
            Group::IntervalMs(ms) => last.elapsed(point.time) >= ms,
        };
        group.readings = if complete { 1 } else { group.readings.saturating_add(1) };
        if complete { Verdict::Emit(EmitReason::Picked) } else { Verdict::Drop(DropReason::RateLimit) }
    }

    /// Returns whether `point` should be held instead of the held reading.
    fn better(&self, last: &LastEmitted, held: Option<Point>, point: Point) -> bool {
        let Some(held) = held else { return true };
        let reference = last.number().map_or(0.0, Number::as_f64);
        let deviation = |p: Point| (p.value().as_f64() - reference).abs();
        self.pick == Pick::Last || deviation(point) > deviation(held)
    }
}

used_alone!(Sample, SampleState { group });

impl Cost for Sample {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::NoneStated
    }

    fn loss_bound(&self) -> LossBound {
        if self.holds() { LossBound::Readings(1) } else { LossBound::Nothing }
    }
}

impl Holding for Sample {
    type State = OpenGroup;

    fn usable(&self, quality: Quality) -> bool {
        !quality.is_bad()
    }

    fn newest_held(group: &OpenGroup) -> Option<i64> {
        group.held.map(|held| held.time)
    }

    fn number(
        &self,
        last: &mut LastEmitted,
        group: &mut OpenGroup,
        point: Point,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        if self.pick == Pick::First {
            // Restored from a run with another choice.
            if group.held.is_some() {
                self.close(last, group, Some(EmitReason::Picked), on);
            }
            return self.first(last, group, point);
        }
        if let Group::IntervalMs(ms) = self.group
            && group.readings > 0
            && point.time.saturating_sub(group.start) >= ms
        {
            self.close(last, group, Some(EmitReason::Picked), on);
        }
        if group.readings == 0 {
            group.start = point.time;
        }
        group.readings = group.readings.saturating_add(1);
        let better = self.better(last, group.held, point);
        if better && group.held.is_some() {
            on(Settlement::Drop(DropReason::RateLimit, 1));
        }
        let complete = matches!(self.group, Group::Readings(n) if group.readings >= n);
        match (complete, better) {
            (true, true) => {
                *group = OpenGroup::default();
                Verdict::Emit(EmitReason::Picked)
            }
            (true, false) => {
                self.close(last, group, Some(EmitReason::Picked), on);
                Verdict::Drop(DropReason::RateLimit)
            }
            (false, true) => {
                group.held = Some(point);
                Verdict::Held
            }
            (false, false) => Verdict::Drop(DropReason::RateLimit),
        }
    }

    fn close(
        &self,
        last: &mut LastEmitted,
        group: &mut OpenGroup,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Settlement),
    ) {
        if let Some(held) = group.held {
            on(held.released(why.unwrap_or(EmitReason::Picked)));
            last.emitted(&held.value().into(), held.quality, held.time, true);
        }
        // What is emitted next is the first of its group.
        *group = OpenGroup { readings: u32::from(!self.holds()), ..OpenGroup::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stage: &Sample, rows: &[(i64, f64)]) -> Vec<i64> {
        let (mut state, mut kept) = (SampleState::default(), Vec::new());
        for &(time, value) in rows {
            let verdict = stage.check(&mut state, value, Quality::GOOD, time, &mut |r| kept.push(r.time));
            if let Verdict::Emit(_) = verdict {
                kept.push(time);
            }
        }
        stage.flush(&mut state, &mut |r| kept.push(r.time));
        kept
    }

    const ROWS: [(i64, f64); 8] =
        [(0, 0.0), (1, 1.0), (2, 9.0), (3, 2.0), (4, 2.0), (5, -8.0), (6, 3.0), (7, 3.5)];

    #[test]
    fn every_third_by_each_choice() -> Result<(), ParamError> {
        let stage = Sample::every_n(3)?;
        assert_eq!(run(&stage, &ROWS), [0, 3, 6]);
        assert_eq!(
            run(&stage.pick(Pick::Last), &ROWS),
            [0, 3, 6, 7],
            "the first passes, then 1 2 3, 4 5 6, 7"
        );
        assert_eq!(run(&stage.pick(Pick::MaxAbsDev), &ROWS), [0, 2, 5, 7]);
        assert_eq!(run(&Sample::every_n(1)?.pick(Pick::Last), &ROWS).len(), 8);
        assert!(Sample::every_n(0).is_err() && Sample::min_interval_ms(0).is_err());
        Ok(())
    }

    #[test]
    fn at_most_one_in_three_ms_by_each_choice() -> Result<(), ParamError> {
        let stage = Sample::min_interval_ms(3)?;
        assert_eq!(run(&stage, &ROWS), [0, 3, 6]);
        assert_eq!(run(&stage.pick(Pick::Last), &ROWS), [0, 3, 6, 7]);
        assert_eq!(run(&stage.pick(Pick::MaxAbsDev), &ROWS), [0, 2, 5, 7]);
        Ok(())
    }

    #[test]
    fn what_is_older_than_the_held_reading_is_out_of_order() -> Result<(), ParamError> {
        for stage in [Sample::every_n(9)?, Sample::min_interval_ms(1_000)?] {
            let stage = stage.pick(Pick::Last);
            let mut state = SampleState::default();
            let mut at = |time| stage.check(&mut state, time as f64, Quality::GOOD, time, &mut |_| ());
            // The first of all passes, the second opens a group.
            assert_eq!([0, 1, 5].map(&mut at)[1..], [Verdict::Held, Verdict::Held]);
            assert_eq!([3, 5].map(&mut at), [Verdict::Drop(DropReason::OutOfOrder); 2]);
            assert_eq!(at(6), Verdict::Held);
        }
        Ok(())
    }

    /// A snapshot may be of a run whose rule held readings.
    #[test]
    fn a_reading_that_another_choice_held_goes_before_the_next() -> Result<(), ParamError> {
        for stage in [Sample::every_n(3)?, Sample::min_interval_ms(10)?] {
            let (mut state, mut kept) = (SampleState::default(), Vec::new());
            let held = stage.pick(Pick::Last);
            for time in [0, 1, 2] {
                let _ = held.check(&mut state, time as f64, Quality::GOOD, time, &mut |r| kept.push(r.time));
            }
            assert!(kept.is_empty(), "the first passed at once, the third is held");
            let _ = stage.check(&mut state, 3.0, Quality::GOOD, 3, &mut |r| kept.push(r.time));
            assert_eq!(kept, [2], "before the next is judged");
            stage.flush(&mut state, &mut |r| kept.push(r.time));
            assert_eq!(kept, [2], "and once");
        }
        Ok(())
    }

    #[test]
    fn a_crash_costs_the_candidate_that_is_held_and_no_more() -> Result<(), ParamError> {
        for (pick, bound) in [(Pick::First, LossBound::Nothing), (Pick::Last, LossBound::Readings(1))] {
            assert_eq!(Sample::every_n(3)?.pick(pick).loss_bound(), bound, "{pick:?}");
        }
        Ok(())
    }
}
