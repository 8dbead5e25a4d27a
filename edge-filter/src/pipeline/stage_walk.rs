//! Stage walk: takes a reading through the stages of its rule, at once or after a wait in the queue.

use super::alarms::Alarms;
use super::lookahead::{LookaheadState, QueuedReading};
use super::slot::Slot;
use super::{Rule, Stats, settle};
use crate::reduce::number::{Point, Settlement};
use crate::reduce::{Number, ReleasedReading, Verdict};
use crate::time::{Passage, TimePolicy};
use crate::{DropReason, Emit, EmitReason, Reading, Value};

/// Walk of one sensor's readings: the sensor's slot and rule, and the owners of alarms and counters.
pub(super) struct StageWalk<'p> {
    pub(super) sensor: u32,
    pub(super) slot: &'p mut Slot,
    pub(super) rule: &'p Rule,
    pub(super) alarms: &'p mut Alarms,
    pub(super) stats: &'p mut Stats,
}

impl StageWalk<'_> {
    /// Runs a reading through the stages up to the queue, or through all. They may alter it; its quality is then that of the outcome. `Err`: it
    /// is dropped.
    #[inline]
    pub(super) fn run<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        (now_ms, trusts_clock): (i64, bool),
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Result<Verdict, DropReason> {
        let rule = self.rule;
        let (quality, known) = rule.normalise.read(&reading.value, reading.quality);
        self.stats.unknown_quality += u64::from(!known);
        reading.quality = quality;
        let guard = &mut self.slot.guard;
        let (ahead, judged_by) = (guard.ahead(), if trusts_clock { now_ms } else { i64::MAX });
        let passage = rule.time_guard.check(guard, &reading.value, quality, reading.time, judged_by);
        if let Some(time) = ahead
            && guard.ahead() < ahead
        {
            self.slot.resume_after(rule, time);
        }
        let passage = passage?;
        // What waits from before a gap or a set clock goes on first.
        if rule.lookahead.is_some() && passage != Passage::InOrder && !passage.is_beside() {
            self.restart(sink);
        }
        self.slot.judge(rule, reading, passage)?;
        self.slot.seen_alive(rule, now_ms);
        if let (true, Some(reason)) = (passage.is_beside(), passage.reason()) {
            rule.transforms.apply(self.slot.transforms(), reading, true);
            // One of the last one's time may be the sensor's newest value. It does not overtake those that wait in line.
            if passage == Passage::SameTime && self.slot.waiting() == 0 {
                self.alarm(reading, now_ms);
            }
            // One from the future is the newest for as long as the guard says.
            if self.slot.guard.ahead() < Some(reading.time) {
                self.slot.resume_after(rule, reading.time);
            }
            return Ok(Verdict::Emit(reason));
        }
        if rule.lookahead.is_some() {
            return Ok(self.line_up(reading, passage == Passage::ClockReset, now_ms, sink));
        }
        Ok(self.finish(reading, now_ms, sink))
    }

    /// Adds a number to the queue, and passes on those numbers whose check is complete. A reading that cannot be
    /// checked passes on at once, after all in the queue.
    #[cold]
    fn line_up<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        clock_reset: bool,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        let number = Number::of(&reading.value).filter(|_| !reading.quality.is_bad());
        let (Some(number), Some(ahead)) = (number, self.slot.ahead()) else {
            self.release(sink);
            return self.finish(reading, now_ms, sink);
        };
        let point = Point::new(reading.time, number, reading.quality);
        self.rule.lookahead.take(ahead, point, clock_reset, now_ms);
        while let Some(judged) = self.slot.ahead().and_then(|ahead| self.rule.lookahead.next(ahead)) {
            self.settle_waiting(judged, now_ms, sink);
        }
        Verdict::Held
    }

    #[cold]
    fn restart<'a>(&mut self, sink: &mut impl FnMut(Emit<'a>)) {
        self.release(sink);
        self.slot.ahead().into_iter().for_each(LookaheadState::restart);
    }

    /// Lets all readings in the queue go on without the verdicts that are still open.
    pub(super) fn release<'a>(&mut self, sink: &mut impl FnMut(Emit<'a>)) {
        while let Some((waiting, now_ms)) = self.slot.ahead().and_then(|a| Some((a.give_up()?, a.now_ms()))) {
            self.settle_waiting(waiting, now_ms, sink);
        }
    }

    /// Runs a reading from the queue through the remaining stages, and passes on the outcome.
    fn settle_waiting<'a>(&mut self, waiting: QueuedReading, now_ms: i64, sink: &mut impl FnMut(Emit<'a>)) {
        let QueuedReading { point, fate, .. } = waiting;
        if let Some(reason) = fate.dropped() {
            return settle(self.sensor, Settlement::Drop(reason, 1), self.stats, sink);
        }
        let (sensor, time, quality) = (self.sensor, point.time, point.quality);
        let mut reading = Reading { sensor, time, value: point.value().into(), quality };
        match self.finish(&mut reading, now_ms, sink) {
            Verdict::Held => {}
            Verdict::Drop(reason) => settle(self.sensor, Settlement::Drop(reason, 1), self.stats, sink),
            Verdict::Emit(reason) => {
                let value = match reading.value {
                    // What the scale made too large for a number is bad, and stays what it is.
                    Value::F64(value) => Number::F64(value),
                    ref other => Number::of(other).unwrap_or(point.value()),
                };
                let quality = reading.quality;
                let emitted = ReleasedReading { time, value, quality, reason, synthetic: false };
                settle(self.sensor, Settlement::Emit(emitted), self.stats, sink);
            }
        }
    }

    /// Runs the transforms, the alarm and the reducer.
    #[inline]
    fn finish<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        if self.rule.transforms.is_some() {
            let forced = self.rule.transforms.apply(self.slot.transforms(), reading, false);
            self.slot.force(forced);
        }
        self.alarm(reading, now_ms);
        let (sensor, stats) = (self.sensor, &mut *self.stats);
        let verdict =
            self.slot.reduce(self.rule, reading, now_ms, &mut |event| settle(sensor, event, stats, sink));
        match verdict {
            // The stage has no place for its time: a window that the clock has completed, a group that was repeated.
            Verdict::Drop(DropReason::Late | DropReason::OutOfOrder)
                if self.rule.time_guard.late() == TimePolicy::Pass =>
            {
                self.slot.resume_after(self.rule, reading.time);
                Verdict::Emit(EmitReason::Late)
            }
            verdict => verdict,
        }
    }

    /// Shows a reading to the sensor's alarm.
    #[inline]
    fn alarm(&mut self, reading: &Reading<'_>, now_ms: i64) {
        if let Some(alarm) = self.slot.alarm() {
            self.alarms.check(alarm, reading, self.slot.is_after_clock_reset(), now_ms);
        }
    }
}
