//! Time guard: separates readings in order from those that a stage must not see, and recognises a clock that was set back.

use crate::error::{ParamError, delay, interval};
use crate::snapshot_serde::as_array;
use crate::{Cost, DropReason, EmitReason, LossBound, Quality, Value};

/// Treatment of a reading whose time is out of order, ahead of the clock, or that of the last reading.
///
/// ```
/// # use edge_filter::{DropReason, Quality, Value, time::{TimeGuard, TimeGuardState, TimePolicy}};
/// let guard = TimeGuard::default().future(TimePolicy::Drop);
/// let (mut state, in_an_hour) = (TimeGuardState::default(), 3_600_000);
/// let passage = guard.check(&mut state, &Value::F64(20.0), Quality::GOOD, in_an_hour, 0);
/// assert_eq!(passage, Err(DropReason::Future));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum TimePolicy {
    /// The reading passes beside the stages, as it came, with a reason that shows it ([`EmitReason::is_beside`]).
    #[default]
    Pass,
    /// The reading is dropped and counted. It is lost, although its sender may already have an acknowledgement.
    Drop,
}

/// Stage that keeps a watermark per sensor: the time of its last accepted reading.
///
/// | reading | passes as | or is dropped as, if the policy says so |
/// |---|---|---|
/// | time > now + `max_future_ms` (default 60 s) | `Future` | `Future` ([`future`](Self::future)) |
/// | time of the last one, same value and quality | | `Duplicate`, always: it is represented |
/// | time of the last one, otherwise | `SameTime` | `DuplicateTimestamp` ([`same_time`](Self::same_time)) |
/// | older than the last one | `Late` | `OutOfOrder` ([`out_of_order`](Self::out_of_order)) |
/// | older by more than `max_backward_ms` (default 60 s), `confirm` (default 3) times in a row with rising times | `ClockReset`: accepted, restart | |
/// | newer by more than `max_gap_ms` (default 1 h) | `AfterGap`: accepted, restart | |
///
/// Readings that pass as `Future`, `SameTime` or `Late` must not change the state of any stage, because they are no part of the sensor's series. By default
/// all three pass, and only an exact duplicate is dropped (two values are compared by 32 bits of a hash). Rising times distinguish a clock that
/// was set back from an old message that is delivered again and again.
///
/// **Loss bound**: nothing by default. If readings out of order are dropped and the clock is set back, those of the step, as far as `max_backward_ms`,
/// since no smaller step is a reset, and the `confirm - 1` before a reset is believed
/// ([`TimeGuard::loss_bound`]); none of them if the caller knows of the step and reports it with [`TimeGuardState::clock_stepped`]. If the
/// others are dropped too, every reading of a sensor whose times stay ahead or equal.
///
/// ```
/// use edge_filter::time::{Passage, TimeGuard, TimeGuardState};
/// use edge_filter::{DropReason, Quality, Value};
///
/// let (guard, mut state) = (TimeGuard::default(), TimeGuardState::default());
/// let mut check = |time, value| guard.check(&mut state, &Value::F64(value), Quality::GOOD, time, 10_000);
/// assert_eq!(check(5_000, 20.0), Ok(Passage::First));
/// assert_eq!(check(5_000, 20.0), Err(DropReason::Duplicate));
/// assert_eq!(check(4_000, 19.0), Ok(Passage::Late)); // passes beside the series
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeGuard {
    max_future_ms: i64,
    max_backward_ms: i64,
    confirm: u32,
    max_gap_ms: i64,
    future: TimePolicy,
    out_of_order: TimePolicy,
    same_time: TimePolicy,
}

impl Default for TimeGuard {
    fn default() -> Self {
        TimeGuard {
            max_future_ms: 60_000,
            max_backward_ms: 60_000,
            confirm: 3,
            max_gap_ms: 3_600_000,
            future: TimePolicy::Pass,
            out_of_order: TimePolicy::Pass,
            same_time: TimePolicy::Pass,
        }
    }
}

/// State of a [`TimeGuard`] per sensor, in 24 bytes. By default it accepts any time that is not in the future.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeGuardState {
    time: i64,
    /// Second time of the guard. Above `time`, the newest one that was accepted or that passed ahead of the series. Below `time`, while
    /// readings go back in time, that of the last reading. 0: there is neither.
    other_time: i64,
    /// Hash that distinguishes a reading that came twice from another one of the same time.
    fingerprint: u32,
    backward_count: u16,
    started: bool,
    stepped: bool,
}

as_array!(TimeGuardState { time, other_time, fingerprint, backward_count, started, stepped });

impl TimeGuardState {
    /// Returns the time of the last accepted reading; `None` before the first.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.started.then_some(self.time)
    }

    /// Returns the newest time that is ahead of the series: that of a reading from the future that passed, or of the last one before the clock
    /// was set back. `None` if no time is ahead.
    pub(crate) fn ahead(&self) -> Option<i64> {
        let is_ahead = self.watermark().is_none_or(|time| time < self.other_time);
        (is_ahead && self.other_time != 0).then_some(self.other_time)
    }

    fn stop_counting(&mut self) {
        self.backward_count = 0;
        self.other_time = self.ahead().unwrap_or(0);
    }

    fn note_ahead(&mut self, time: i64) {
        if self.watermark().is_none_or(|watermark| watermark < time) {
            self.other_time = self.ahead().map_or(time, |ahead| ahead.max(time));
        }
    }

    /// Moves all times by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.other_time != 0 {
            // 0 is none: one millisecond later does as well.
            self.other_time =
                Some(self.other_time.wrapping_add(by_ms)).filter(|time| *time != 0).unwrap_or(1);
        }
        if self.started {
            self.time = self.time.wrapping_add(by_ms);
        }
    }

    /// Makes the next reading a clock reset if it is not newer than the last, because the sensor's clock was set.
    pub fn clock_stepped(&mut self) {
        self.stepped = true;
    }
}

/// Outcome of a reading that passes the [`TimeGuard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the caller must handle each: they restart different things")]
pub enum Passage {
    /// The reading is the sensor's first.
    First,
    /// The reading is newer than the last one.
    InOrder,
    /// The reading comes after an outage, so earlier knowledge about the sensor is outdated.
    AfterGap,
    /// The sensor's clock was set back, so the stages start again.
    ClockReset,
    /// The reading is older than the last one and passes. It must not change any state, and neither must the two below.
    Late,
    /// The reading has the time of the last one and passes.
    SameTime,
    /// The reading is too far ahead of the caller's clock and passes.
    Future,
}

impl Passage {
    /// Returns the reason to emit the reading; `None` for a reading in order.
    #[must_use]
    pub fn reason(self) -> Option<EmitReason> {
        match self {
            Passage::InOrder => None,
            Passage::First => Some(EmitReason::First),
            Passage::AfterGap => Some(EmitReason::FirstAfterGap),
            Passage::ClockReset => Some(EmitReason::ClockReset),
            Passage::Late => Some(EmitReason::Late),
            Passage::SameTime => Some(EmitReason::SameTime),
            Passage::Future => Some(EmitReason::Future),
        }
    }

    /// Returns whether the reading passes beside the stages.
    #[must_use]
    pub fn is_beside(self) -> bool {
        matches!(self, Passage::Late | Passage::SameTime | Passage::Future)
    }
}

impl TimeGuard {
    /// Creates a guard that drops every reading that does not move a sensor's time forward, or is ahead of the clock.
    #[must_use]
    pub fn strict() -> Self {
        let drop = TimePolicy::Drop;
        TimeGuard::default().future(drop).out_of_order(drop).same_time(drop)
    }

    /// Sets the time in milliseconds by which a reading may be ahead of `now`; `i64::MAX` allows any.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn max_future_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_future_ms = delay("max_future_ms", ms)?;
        Ok(self)
    }

    /// Sets the time in milliseconds by which a reading may be back before a clock reset is considered.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn max_backward_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_backward_ms = delay("max_backward_ms", ms)?;
        Ok(self)
    }

    /// Sets the number of readings in a row after which a clock reset is believed.
    ///
    /// # Errors
    /// If the number is 0 or above 65535.
    pub fn confirm(mut self, readings: u32) -> Result<Self, ParamError> {
        if !(1..=u32::from(u16::MAX)).contains(&readings) {
            return Err(ParamError::new("n_confirm", "1 to 65535", readings));
        }
        self.confirm = readings;
        Ok(self)
    }

    /// Sets the longest silence in milliseconds of event time after which the stages do not start again.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_gap_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_gap_ms = interval("max_gap_ms", ms)?;
        Ok(self)
    }

    /// Sets whether readings that are further ahead of `now` than `max_future_ms` pass (default) or are dropped.
    #[must_use]
    pub fn future(mut self, policy: TimePolicy) -> Self {
        self.future = policy;
        self
    }

    /// Sets whether readings that are older than the last one pass (default) or are dropped.
    #[must_use]
    pub fn out_of_order(mut self, policy: TimePolicy) -> Self {
        self.out_of_order = policy;
        self
    }

    /// Sets whether readings with the time of the last one and another value or quality pass (default) or are dropped.
    #[must_use]
    pub fn same_time(mut self, policy: TimePolicy) -> Self {
        self.same_time = policy;
        self
    }

    /// Returns the reasons for which readings are dropped that no other reading represents; none by default.
    pub fn drops(&self) -> impl Iterator<Item = DropReason> + use<> {
        let policies = [
            (self.out_of_order, DropReason::OutOfOrder),
            (self.future, DropReason::Future),
            (self.same_time, DropReason::DuplicateTimestamp),
        ];
        policies.into_iter().filter_map(|(policy, reason)| (policy == TimePolicy::Drop).then_some(reason))
    }

    /// Returns the time in milliseconds by which a reading may be ahead of the clock.
    #[must_use]
    pub fn max_future(&self) -> i64 {
        self.max_future_ms
    }

    /// Returns the policy for a reading whose time has no place in the series any more.
    pub(crate) fn late(&self) -> TimePolicy {
        self.out_of_order
    }

    /// Checks the time of a reading. `now_ms`: the caller's wall clock in Unix milliseconds; `i64::MAX` if it cannot be
    /// trusted, so that no reading is ahead of it.
    ///
    /// # Errors
    /// Reason to drop the reading.
    #[inline]
    pub fn check(
        &self,
        state: &mut TimeGuardState,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
        now_ms: i64,
    ) -> Result<Passage, DropReason> {
        if time > now_ms.saturating_add(self.max_future_ms) {
            let passed = pass_or(self.future, Passage::Future, DropReason::Future);
            if passed.is_ok() {
                state.note_ahead(time);
            }
            return passed;
        }
        let passage = self.passage(state, value, quality, time)?;
        if !passage.is_beside() {
            let before = if passage == Passage::ClockReset { state.watermark() } else { None };
            let ahead = before.max(state.ahead()).filter(|ahead| *ahead > time);
            let fingerprint = fingerprint(value, quality);
            *state = TimeGuardState { time, fingerprint, started: true, ..TimeGuardState::default() };
            ahead.into_iter().for_each(|ahead| state.note_ahead(ahead));
        }
        Ok(passage)
    }

    #[inline]
    fn passage(
        &self,
        state: &mut TimeGuardState,
        value: &Value<'_>,
        quality: Quality,
        time: i64,
    ) -> Result<Passage, DropReason> {
        if !state.started {
            return Ok(Passage::First);
        }
        if time > state.time {
            let gap = time.saturating_sub(state.time);
            return Ok(if gap > self.max_gap_ms { Passage::AfterGap } else { Passage::InOrder });
        }
        if state.stepped {
            return Ok(Passage::ClockReset);
        }
        if time == state.time {
            state.stop_counting();
            if state.fingerprint == fingerprint(value, quality) {
                return Err(DropReason::Duplicate);
            }
            return pass_or(self.same_time, Passage::SameTime, DropReason::DuplicateTimestamp);
        }
        if self.confirmed(state, time) {
            return Ok(Passage::ClockReset);
        }
        pass_or(self.out_of_order, Passage::Late, DropReason::OutOfOrder)
    }

    /// Counts readings that are too far back to be merely late, as long as their times rise. Returns whether they are enough for a clock reset.
    fn confirmed(&self, state: &mut TimeGuardState, time: i64) -> bool {
        if time >= state.time.saturating_sub(self.max_backward_ms) {
            state.stop_counting();
            return false;
        }
        if state.ahead().is_some() {
            // There is no room for the last one's time: an old message that comes often enough costs a restart.
            state.backward_count = state.backward_count.saturating_add(1);
            return u32::from(state.backward_count) >= self.confirm;
        }
        if state.backward_count == 0 || time > state.other_time {
            state.backward_count = state.backward_count.saturating_add(1);
        } else if time < state.other_time {
            state.backward_count = 1;
        }
        state.other_time = time;
        u32::from(state.backward_count) >= self.confirm
    }
}

impl Cost for TimeGuard {
    fn loss_bound(&self) -> LossBound {
        let more = self.confirm.saturating_sub(1);
        match (self.out_of_order, self.max_backward_ms) {
            (TimePolicy::Pass, _) => LossBound::Nothing,
            (TimePolicy::Drop, 0) if more == 0 => LossBound::Nothing,
            (TimePolicy::Drop, 0) => LossBound::Readings(more),
            (TimePolicy::Drop, span_ms) => LossBound::Open { span_ms: Some(span_ms), more },
        }
    }
}

fn pass_or(policy: TimePolicy, passage: Passage, reason: DropReason) -> Result<Passage, DropReason> {
    match policy {
        TimePolicy::Pass => Ok(passage),
        TimePolicy::Drop => Err(reason),
    }
}

/// Returns 32 bits of value and quality, mixed by the golden ratio. The quality is spread before, or its severity would be the sign of a float: a bad 1
/// would be a good -1.
fn fingerprint(value: &Value<'_>, quality: Quality) -> u32 {
    let spread = u64::from(quality.0).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    ((value.fingerprint() ^ spread).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

const _: () = assert!(size_of::<TimeGuardState>() <= 24);

#[cfg(test)]
mod tests;
