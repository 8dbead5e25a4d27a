//! Slot of one sensor: the states of its stages, and the order in which a reading visits them. It takes 80 bytes; states that only some stages
//! need are stored elsewhere.

use super::Rule;
use super::deadlines::earlier;
use super::heartbeat::Heartbeat;
use super::lookahead::LookaheadState;
use super::quality_checks::QualityCheckStates;
use super::transforms::TransformsState;
use crate::reduce::Verdict;
use crate::reduce::last_emitted::LastEmitted;
use crate::reduce::number::Settlement;
use crate::reduce::reducer::ReducerState;
use crate::snapshot_serde::as_array;
use crate::time::{Passage, Stale, StaleState, TimeGuardState};
use crate::{DropReason, Emit, EmitReason, Quality, Reading, Value};

/// States of the stages of one sensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slot {
    pub(super) guard: TimeGuardState,
    pub(super) last: LastEmitted,
    pub(super) stale: StaleState,
    pub(super) extra: Option<Box<RareStates>>,
    /// Reason for which the next reading that reaches the reducer passes whatever its value. It is kept here, because the reading that caused
    /// it may be dropped before, for example for its range.
    forced: Option<EmitReason>,
    /// True if the sensor was seen since the last search for an idle one.
    pub(super) seen: bool,
    /// Place of the rule plus 1; 0 if the sensor has none.
    rule: u16,
    /// Place of the alarm plus 1; 0 if the sensor has none.
    alarm: u32,
}

as_array!(Slot { guard, last, stale, extra, forced; ..Slot::default() });

const _: () = assert!(size_of::<Slot>() <= 80);

/// States that few sensors need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RareStates {
    reducer: ReducerState,
    /// Time at which the last value is repeated if the sensor is silent until then.
    heartbeat: Heartbeat,
    single: Option<Box<SingleStates>>,
}

as_array!(RareStates { reducer, heartbeat, single });

/// States of the stages that judge single readings at once, of those that look ahead, and of the transforms.
#[derive(Clone, Debug, Default, PartialEq)]
struct SingleStates {
    quality_checks: QualityCheckStates,
    ahead: LookaheadState,
    transforms: TransformsState,
}

as_array!(SingleStates { quality_checks, ahead, transforms });

const _: () = assert!(size_of::<RareStates>() <= 64);

impl Slot {
    /// Creates the state of a sensor that was never seen.
    pub(super) fn new(rule: Option<(usize, &Rule)>, alarm: Option<u32>) -> Self {
        Slot {
            extra: rule.and_then(|(_, rule)| RareStates::new(rule)).map(Box::new),
            rule: rule.and_then(|(place, _)| u16::try_from(place + 1).ok()).unwrap_or(0),
            alarm: alarm.map_or(0, |place| place.saturating_add(1)),
            ..Slot::default()
        }
    }

    /// Returns the place of the sensor's rule; `None` if it has none.
    pub(super) fn rule(&self) -> Option<usize> {
        usize::from(self.rule).checked_sub(1)
    }

    /// Returns the place of the sensor's alarm; `None` if it has none.
    pub(super) fn alarm(&self) -> Option<u32> {
        self.alarm.checked_sub(1)
    }

    /// Adopts a state from a snapshot under a rule that may have changed since. States of stages that the rule no
    /// longer has are dropped, and new stages start cold.
    pub(super) fn adopt(&mut self, restored: Slot, rule: Option<&Rule>) {
        let fresh = rule.and_then(|rule| Some((rule, RareStates::new(rule)?)));
        let (own_rule, own_alarm) = (self.rule, self.alarm);
        *self = Slot { rule: own_rule, alarm: own_alarm, seen: true, ..restored };
        self.extra = match (self.extra.take(), fresh) {
            (Some(old), Some((rule, fresh))) => Some(Box::new(fresh.take_over(*old, rule))),
            (_, fresh) => fresh.map(|(_, fresh)| Box::new(fresh)),
        };
    }

    /// Returns a name for the part of a restored state that no stage can have reached; `None` if the state is sound.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        if !self.last.is_sound() {
            return Some("its last value");
        }
        let extra = self.extra.as_deref()?;
        if !extra.reducer.is_sound(&self.last) {
            return Some("what its reducing stage holds");
        }
        let single = extra.single.as_deref()?;
        if !single.quality_checks.is_sound() {
            return Some("the past of its judging stages");
        }
        (!single.ahead.is_sound()).then_some("what waits to be judged")
    }

    /// Shifts the times of guard, reducer and stale, which every sensor has, by `by_ms`; those of windows and quality checks stay as they are.
    pub(super) fn shift(&mut self, by_ms: i64) {
        self.guard.shift(by_ms);
        self.last.shift(by_ms);
        self.stale.shift(by_ms);
        if let Some(extra) = &mut self.extra {
            extra.reducer.shift(by_ms);
            extra.heartbeat.shift(by_ms);
        }
    }

    /// Returns the number of held readings.
    pub(super) fn held(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.reducer.held() + extra.waiting())
    }

    /// Returns the number of readings in the queue of those that wait to be judged.
    pub(super) fn waiting(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.waiting())
    }

    fn single(&mut self) -> Option<&mut SingleStates> {
        self.extra.as_deref_mut()?.single.as_deref_mut()
    }

    /// Returns the queue of readings to be judged; `None` if no stage of the rule needs such a state.
    pub(super) fn ahead(&mut self) -> Option<&mut LookaheadState> {
        self.single().map(|single| &mut single.ahead)
    }

    pub(super) fn transforms(&mut self) -> Option<&mut TransformsState> {
        self.single().map(|single| &mut single.transforms)
    }

    /// Runs the stages that judge at once, for a reading that the time guard let pass.
    #[inline]
    pub(super) fn judge(
        &mut self,
        rule: &Rule,
        reading: &mut Reading<'_>,
        passage: Passage,
    ) -> Result<(), DropReason> {
        if passage.is_beside() {
            return rule.quality_checks.check_range(reading);
        }
        self.force(passage.reason());
        // Before the range test: a reading that it drops ends a gap, too.
        if passage != Passage::InOrder
            && let Some(single) = self.single()
        {
            single.quality_checks = QualityCheckStates::default();
        }
        rule.quality_checks.check_range(reading)?;
        match self.single() {
            Some(single) => rule.quality_checks.check(&mut single.quality_checks, reading),
            None => Ok(()),
        }
    }

    /// Forgets the values before a change of unit: the tests and the counter's total start again, and no silence repeats one of them.
    pub(super) fn forget_values(&mut self) {
        self.last.forget_value();
        if let Some(single) = self.single() {
            *single = SingleStates::default();
        }
    }

    /// Tells the stage `stale` that the sensor is alive. Readings that wait or that the reducer suppresses count too.
    #[inline]
    pub(super) fn seen_alive(&mut self, rule: &Rule, now_ms: i64) {
        let Some(stale) = &rule.stale else { return };
        if stale.seen(&mut self.stale, now_ms) {
            self.force(Some(EmitReason::Recovered));
        }
        if let (Some(ms), Some(extra)) = (stale.heartbeat(), &mut self.extra) {
            extra.heartbeat = Heartbeat::after(now_ms, ms);
        }
    }

    /// Handles the emission of a reading that is no part of the series. If it is the newest by event time, consumers
    /// take its value for the sensor's, so the next reading of the series must pass.
    #[cold]
    pub(super) fn resume_after(&mut self, rule: &Rule, time: i64) {
        let is_newest = self.last.time().is_none_or(|last| last <= time);
        if is_newest && rule.reducer.as_ref().is_some_and(|reducer| reducer.is_continued()) {
            self.force(Some(EmitReason::Resumed));
        }
    }

    /// Passes the reading to the reducer. Returns its verdict.
    #[inline]
    pub(super) fn reduce(
        &mut self,
        rule: &Rule,
        reading: &Reading<'_>,
        now_ms: i64,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        let forced = self.forced.take();
        let offered = (&reading.value, reading.quality, reading.time);
        let Some(reducer) = &rule.reducer else {
            self.last.emitted(&reading.value, reading.quality, reading.time, !reading.quality.is_bad());
            return Verdict::Emit(forced.unwrap_or(EmitReason::Passthrough));
        };
        let Some(extra) = &mut self.extra else {
            return reducer.judge(&mut self.last, forced, offered);
        };
        let state = &mut extra.reducer;
        if let Some(why) = forced {
            reducer.close(&mut self.last, state, EmitReason::Flush, on);
            if why == EmitReason::ClockReset {
                self.last.forget_time();
                *state = reducer.state();
            }
        }
        if let ReducerState::Window(window) = &mut *state {
            window.arrived(now_ms.saturating_sub(reading.time));
            if let Some(time) = self.last.time() {
                window.not_before(time.saturating_add(1));
            }
        }
        reducer.offer(&mut self.last, state, forced, offered, on)
    }

    /// Makes the next reading pass for this reason. If there are several, the most telling one counts: a clock reset before a change of unit, a
    /// recovery and a gap.
    #[inline]
    pub(super) fn force(&mut self, reason: Option<EmitReason>) {
        if reason.is_none() {
            return;
        }
        let rank = |reason: Option<EmitReason>| match reason {
            None => 0,
            Some(EmitReason::Resumed) => 1,
            Some(EmitReason::First) => 2,
            Some(EmitReason::FirstAfterGap) => 3,
            Some(EmitReason::Recovered) => 4,
            Some(EmitReason::UnitChanged) => 5,
            Some(_) => 6,
        };
        if rank(reason) > rank(self.forced) {
            self.forced = reason;
        }
    }

    /// Returns whether the sensor's clock was set back and no reading has reached the reducer since. The first one after the step may have been
    /// dropped before.
    pub(super) fn is_after_clock_reset(&self) -> bool {
        self.forced == Some(EmitReason::ClockReset)
    }

    /// Emits the readings that the reducer holds.
    pub(super) fn flush(&mut self, rule: &Rule, on: &mut impl FnMut(Settlement)) {
        if let (Some(reducer), Some(extra)) = (&rule.reducer, &mut self.extra) {
            reducer.close(&mut self.last, &mut extra.reducer, EmitReason::Flush, on);
        }
    }

    /// Returns whether [`expire`](Self::expire) will repeat the last value; the readings in the queue have to go on before that.
    pub(super) fn is_silent(&self, rule: &Rule, now_ms: i64) -> bool {
        let stale = rule.stale.as_ref().and_then(|stale| stale.deadline(&self.stale));
        earlier(stale, self.heartbeat()).is_some_and(|due| due <= now_ms)
    }

    /// Does what is due: completes windows, repeats the last value, reports silence. Returns whether the sensor became stale, and the repeat if
    /// there is one.
    pub(super) fn expire(
        &mut self,
        rule: &Rule,
        sensor: u32,
        now_ms: i64,
        on: &mut impl FnMut(Settlement),
    ) -> (bool, Option<Emit<'static>>) {
        if let (Some(reducer), Some(extra)) = (&rule.reducer, &mut self.extra)
            && extra.waiting() == 0
        {
            reducer.tick(&mut self.last, &mut extra.reducer, now_ms, on);
        }
        let Some(stale) = &rule.stale else { return (false, None) };
        if stale.expired(&mut self.stale, now_ms) {
            self.flush(rule, on);
            if let Some(extra) = &mut self.extra {
                extra.heartbeat = Heartbeat::default();
            }
            return (true, self.repeat(sensor, Stale::QUALITY, EmitReason::Stale, now_ms));
        }
        let due = self.heartbeat().filter(|due| *due <= now_ms);
        let (Some(_), Some(ms), Some(extra)) = (due, stale.heartbeat(), &mut self.extra) else {
            return (false, None);
        };
        // One for all that were missed.
        extra.heartbeat = Heartbeat::after(now_ms, ms);
        // A repeat is later than what is held; a window repeats what it said last.
        if let (Some(reducer), false) = (&rule.reducer, matches!(extra.reducer, ReducerState::Window(_))) {
            reducer.close(&mut self.last, &mut extra.reducer, EmitReason::Flush, on);
        }
        let status = self.last.status().unwrap_or_default();
        // The last value is not the last usable one: that one with this status is what no sensor sent.
        let is_usable = rule.reducer.as_ref().is_none_or(|reducer| reducer.usable(status));
        if !is_usable || !self.last.is_finite() {
            return (false, None);
        }
        (false, self.repeat(sensor, status, EmitReason::Heartbeat, now_ms))
    }

    /// Repeats the last emitted value, at the first instant after everything emitted, so that no later reading of the sensor is older. `None`
    /// if the last status was bad or no value was ever usable, because silence does not make a bad value usable.
    fn repeat(
        &mut self,
        sensor: u32,
        quality: Quality,
        reason: EmitReason,
        now_ms: i64,
    ) -> Option<Emit<'static>> {
        let known_bad = self.last.status().is_none_or(Quality::is_bad);
        let value: Value<'static> = self.last.reference().filter(|_| !known_bad)?.into_owned();
        let time = self.guard.watermark().max(self.last.time()).unwrap_or(now_ms).saturating_add(1);
        self.last.restate(quality, time);
        Some(Emit { sensor, time, value, quality, reason, synthetic: true })
    }

    fn heartbeat(&self) -> Option<i64> {
        self.extra.as_ref().and_then(|extra| extra.heartbeat.due())
    }

    pub(super) fn deadline(&self, rule: &Rule) -> Option<i64> {
        let stale = rule.stale.as_ref().and_then(|stale| stale.deadline(&self.stale));
        let Some(extra) = &self.extra else { return stale };
        // While readings of its time may wait in line, a window does not end by the clock.
        let reducer = rule.reducer.as_ref().filter(|_| extra.waiting() == 0);
        let window = reducer.and_then(|reducer| reducer.deadline(&extra.reducer));
        earlier(earlier(stale, window), self.heartbeat())
    }
}

impl RareStates {
    /// Returns the number of readings in the queue.
    fn waiting(&self) -> u64 {
        self.single.as_ref().map_or(0, |single| single.ahead.len() as u64)
    }

    /// Creates the states; `None` if no stage of the rule needs one.
    fn new(rule: &Rule) -> Option<Self> {
        let extra = RareStates {
            reducer: rule.reducer.as_ref().map(|reducer| reducer.state()).unwrap_or_default(),
            heartbeat: Heartbeat::default(),
            single: rule.keeps_state().then(Box::default),
        };
        let heartbeat = rule.stale.as_ref().is_some_and(|stale| stale.heartbeat().is_some());
        (heartbeat || extra != RareStates::default()).then_some(extra)
    }

    fn take_over(self, old: RareStates, rule: &Rule) -> Self {
        let heartbeat = rule.stale.as_ref().and_then(|stale| stale.heartbeat());
        let mut single = self.single.map(|fresh| old.single.unwrap_or(fresh));
        if let Some(single) = &mut single
            && rule.delay() == 0
        {
            single.ahead = LookaheadState::default();
        }
        RareStates {
            reducer: self.reducer.take_over(old.reducer),
            heartbeat: if heartbeat.is_some() { old.heartbeat } else { Heartbeat::default() },
            single,
        }
    }
}
