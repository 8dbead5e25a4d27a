//! The second half of a reading's way: from what the judging stages said of it to what becomes of it, at once or after it
//! waited in line.

use super::alarms::Alarms;
use super::lookahead::{LookaheadState, Waiting};
use super::slot::Slot;
use super::{Rule, Stats, settle};
use crate::held::{Event, Number, Point, Released, Verdict};
use crate::{DropReason, Emit, Passage, Quality, Reading, Value};

/// One sensor, and all that its readings meet.
pub(super) struct Course<'p> {
    pub(super) sensor: u32,
    pub(super) slot: &'p mut Slot,
    pub(super) rule: &'p Rule,
    pub(super) alarms: &'p mut Alarms,
    pub(super) stats: &'p mut Stats,
}

impl Course<'_> {
    /// What the time guard let pass. What waits from before a gap or a set clock goes on first.
    #[inline]
    pub(super) fn judge<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        quality: Quality,
        passage: Passage,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Result<Quality, DropReason> {
        if self.rule.lookahead.is_some() && !matches!(passage, Passage::InOrder | Passage::Late) {
            self.restart(sink);
        }
        let mut quality = self.slot.judge(self.rule, reading, quality, passage)?;
        if passage == Passage::Late {
            self.rule.transforms.apply(self.slot.transforms(), reading, &mut quality, true);
        }
        Ok(quality)
    }

    /// A reading that passed the judging stages, but for those that look ahead. It may come back altered.
    #[inline]
    pub(super) fn offer<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        quality: &mut Quality,
        passage: Passage,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        let clock_reset = passage == Passage::ClockReset;
        if self.rule.lookahead.is_some() {
            return self.line_up(reading, quality, clock_reset, now_ms, sink);
        }
        self.finish(reading, quality, clock_reset, now_ms, sink)
    }

    /// A number waits for its verdicts; what cannot be judged goes on at once, after all who wait.
    #[cold]
    fn line_up<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        quality: &mut Quality,
        clock_reset: bool,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        let number = Number::of(&reading.value).filter(|_| !quality.is_bad());
        let (Some(number), Some(ahead)) = (number, self.slot.ahead()) else {
            self.release(sink);
            return self.finish(reading, quality, clock_reset, now_ms, sink);
        };
        let point = Point::new(reading.time, number, *quality);
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

    /// Lets all who wait in line go on, without the verdicts that are out.
    pub(super) fn release<'a>(&mut self, sink: &mut impl FnMut(Emit<'a>)) {
        while let Some((waiting, now_ms)) = self.slot.ahead().and_then(|a| Some((a.give_up()?, a.now_ms()))) {
            self.settle_waiting(waiting, now_ms, sink);
        }
    }

    /// What was held as waiting becomes what it would have become, or is held by the reducer.
    fn settle_waiting<'a>(&mut self, waiting: Waiting, now_ms: i64, sink: &mut impl FnMut(Emit<'a>)) {
        let Waiting { point, fate, clock_reset } = waiting;
        if let Some(reason) = fate.dropped() {
            return settle(self.sensor, Event::Drop(reason, 1), self.stats, sink);
        }
        let (sensor, time, mut quality) = (self.sensor, point.time, point.quality);
        let mut reading = Reading { sensor, time, value: point.value().into(), quality };
        match self.finish(&mut reading, &mut quality, clock_reset, now_ms, sink) {
            Verdict::Held => {}
            Verdict::Drop(reason) => settle(self.sensor, Event::Drop(reason, 1), self.stats, sink),
            Verdict::Emit(reason) => {
                let value = match reading.value {
                    // What the scale made too large for a number is bad, and stays what it is.
                    Value::F64(value) => Number::F64(value),
                    ref other => Number::of(other).unwrap_or(point.value()),
                };
                let emitted = Released { time, value, quality, reason, synthetic: false };
                settle(self.sensor, Event::Emit(emitted), self.stats, sink);
            }
        }
    }

    /// Transforming stages, alarm, reducer.
    #[inline]
    fn finish<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        quality: &mut Quality,
        clock_reset: bool,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        let forced = self.rule.transforms.apply(self.slot.transforms(), reading, quality, false);
        self.slot.force(forced);
        if let Some(alarm) = self.slot.alarm() {
            self.alarms.check(alarm, reading, *quality, clock_reset, now_ms);
        }
        let (sensor, stats) = (self.sensor, &mut *self.stats);
        self.slot
            .reduce(self.rule, reading, *quality, now_ms, &mut |event| settle(sensor, event, stats, sink))
    }
}
