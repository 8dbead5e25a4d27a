//! The judging stages that look ahead, the spike test and the centred Hampel test: readings wait in line until those
//! have come that judge them.

use std::collections::VecDeque;

use super::quality_checks::marked;
use crate::DropReason;
use crate::check::{Hampel, HampelState, HampelVerdict, OutlierAction, RangeAction};
use crate::qartod::{QartodFlag, Spike, SpikeState};
use crate::reduce::Number;
use crate::reduce::number::Point;
use crate::snapshot_serde::{as_array, as_number};

/// Stages of a rule that judge a reading by later ones. With none of them, no reading waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lookahead {
    pub(super) spike: Option<(Spike, RangeAction)>,
    pub(super) hampel: Option<(Hampel, OutlierAction)>,
}

/// Queue of one sensor: its readings that wait to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LookaheadState {
    line: VecDeque<QueuedReading>,
    spike: SpikeState,
    hampel: HampelState,
    /// Caller's clock `now` when the newest reading in the queue came.
    now_ms: i64,
}

as_array!(LookaheadState { line, spike, hampel, now_ms });

/// Reading in the queue, with the verdicts so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QueuedReading {
    pub(super) point: Point,
    pub(super) fate: Fate,
    /// True if the sensor's clock was set back before this reading. It is only written, for the form of the snapshot: the slot knows it too, also
    /// when this reading is dropped.
    pub(super) clock_reset: bool,
}

as_array!(QueuedReading { point, fate, clock_reset });

/// Fate of a reading when it leaves the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Fate {
    #[default]
    GoesOn,
    Spike,
    Outlier,
}

as_number!(Fate { GoesOn, Spike, Outlier });

impl Fate {
    /// Returns the reason for which the reading is dropped; `None` if the next stage gets it.
    pub(super) fn dropped(self) -> Option<DropReason> {
        match self {
            Fate::GoesOn => None,
            Fate::Spike => Some(DropReason::Spike),
            Fate::Outlier => Some(DropReason::Outlier),
        }
    }
}

impl Lookahead {
    /// Returns whether the rule has such a stage. Most rules have none, and their readings skip even the question for the delay.
    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.spike.is_some() || self.hampel.is_some()
    }

    /// Returns the most bytes that the queue and the window of a sensor take.
    pub(super) fn window_bytes(&self) -> usize {
        let queue = match self.delay() {
            0 => 0,
            delay => (delay + 1).next_power_of_two() * size_of::<QueuedReading>(),
        };
        queue + self.hampel.as_ref().map_or(0, |(test, _)| test.window_bytes())
    }

    /// Returns the number of readings that come between a reading and its verdict.
    pub(super) fn delay(&self) -> usize {
        let spike = usize::from(self.spike.is_some());
        self.hampel.map_or(spike, |(test, _)| test.delay().max(spike))
    }

    /// Adds a usable number to the queue, and checks those numbers in the queue that waited for it.
    pub(super) fn take(&self, state: &mut LookaheadState, point: Point, clock_reset: bool, now_ms: i64) {
        state.now_ms = now_ms;
        state.line.push_back(QueuedReading { point, fate: Fate::GoesOn, clock_reset });
        let value = point.value().as_f64();
        if let Some((test, action)) = &self.spike
            && let Some(flag) = test.check(&mut state.spike, value)
            && let Some(judged) = state.before(1)
        {
            judged.mark(flag, *action, Fate::Spike);
        }
        if let Some((test, action)) = &self.hampel
            && let Some(verdict) = test.check(&mut state.hampel, value)
            && let Some(judged) = state.before(test.delay())
        {
            judged.judge(verdict, *action);
        }
    }

    /// Takes the first reading of the queue; `None` if its verdict is still open.
    pub(super) fn next(&self, state: &mut LookaheadState) -> Option<QueuedReading> {
        (state.line.len() > self.delay()).then(|| state.line.pop_front())?
    }
}

impl LookaheadState {
    /// Takes the first reading of the queue, whether it is judged or not, because no later one will come. The next reading then counts as one
    /// without a neighbour before it.
    pub(super) fn give_up(&mut self) -> Option<QueuedReading> {
        self.spike = SpikeState::default();
        self.line.pop_front()
    }

    /// Empties the window of the centred Hampel test, after a gap or a set clock. The queue must be empty.
    pub(super) fn restart(&mut self) {
        self.hampel.restart();
    }

    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(super) fn is_sound(&self) -> bool {
        let line = self.line.len() <= Hampel::MAX_WINDOW && self.line.iter().all(|w| w.point.is_finite());
        line && self.hampel.is_sound()
    }

    /// Returns the reading that stands `readings` places before the last in the queue.
    fn before(&mut self, readings: usize) -> Option<&mut QueuedReading> {
        let place = self.line.len().checked_sub(readings + 1)?;
        self.line.get_mut(place)
    }
}

impl QueuedReading {
    fn mark(&mut self, flag: QartodFlag, action: RangeAction, fate: Fate) {
        match marked(flag, action, self.point.quality, DropReason::Spike) {
            Ok(quality) => self.point.quality = quality,
            Err(_) => self.fate = fate,
        }
    }

    fn judge(&mut self, verdict: HampelVerdict, action: OutlierAction) {
        match action.apply(verdict, self.point.quality) {
            None => self.fate = Fate::Outlier,
            Some((None, quality)) => self.point.quality = quality,
            Some((Some(median), quality)) => {
                self.point = Point::new(self.point.time, Number::F64(median), quality);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quality;

    #[test]
    fn a_line_that_no_readings_make_is_told() {
        let in_line = |value| {
            let point = Point::new(1, Number::F64(value), Quality::GOOD);
            QueuedReading { point, fate: Fate::GoesOn, clock_reset: false }
        };
        let line = |values: &[f64]| values.iter().copied().map(in_line).collect();
        let sound =
            |values: &[f64]| LookaheadState { line: line(values), ..LookaheadState::default() }.is_sound();
        assert!(sound(&[1.0, 2.0]) && !sound(&[1.0, f64::NAN]));
        assert!(sound(&[1.0; Hampel::MAX_WINDOW]) && !sound(&[1.0; Hampel::MAX_WINDOW + 1]));
    }
}
