//! Time guard: event time per sensor only moves forward, and a clock that was set back does not block the sensor.

use crate::as_array::as_array;
use crate::error::{ParamError, delay, interval};
use crate::{DropReason, EmitReason, ErrorBound, LossBound, Quality, Value};

/// What happens to a reading that is older than the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OutOfOrder {
    /// It is dropped and counted.
    #[default]
    Drop,
    /// It passes as [`EmitReason::Late`]; no stage sees it and no state moves.
    Pass,
}

/// Keeps a watermark per sensor: the time of its last accepted reading.
///
/// | reading | verdict |
/// |---|---|
/// | time > now + `max_future_ms` (default 60 s) | `Future`, the state does not move |
/// | time of the last one, same value and quality | `Duplicate` |
/// | time of the last one, otherwise | `DuplicateTimestamp` |
/// | older than the last one | `OutOfOrder`, or `Late` if such readings pass |
/// | older by more than `max_backward_ms` (default 60 s), `confirm` (default 3) times in a row with rising times | `ClockReset`: accepted, restart |
/// | newer by more than `max_gap_ms` (default 1 h) | `AfterGap`: accepted, restart |
///
/// Rising times tell a clock that was set back from an old message that is delivered again and again.
/// **Loss bound**: the `confirm - 1` readings before a clock reset is believed ([`TimeGuard::loss_bound`]); none if the
/// caller knows of the step and says so with [`TimeGuardState::clock_stepped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeGuard {
    max_future_ms: i64,
    max_backward_ms: i64,
    confirm: u32,
    max_gap_ms: i64,
    out_of_order: OutOfOrder,
}

impl Default for TimeGuard {
    fn default() -> Self {
        TimeGuard {
            max_future_ms: 60_000,
            max_backward_ms: 60_000,
            confirm: 3,
            max_gap_ms: 3_600_000,
            out_of_order: OutOfOrder::Drop,
        }
    }
}

/// What [`TimeGuard`] keeps per sensor, in 24 bytes. The default accepts any time that is not in the future.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeGuardState {
    time: i64,
    backward_time: i64,
    /// Tells a reading that came twice from another one of the same time. Both are dropped: a collision costs no more
    /// than the name of the reason.
    fingerprint: u32,
    backward_count: u16,
    started: bool,
    stepped: bool,
}

as_array!(TimeGuardState { time, backward_time, fingerprint, backward_count, started, stepped });

impl TimeGuardState {
    /// The time of the last accepted reading.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.started.then_some(self.time)
    }

    /// Moves all times.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.started {
            self.time = self.time.wrapping_add(by_ms);
        }
        if self.backward_count > 0 {
            self.backward_time = self.backward_time.wrapping_add(by_ms);
        }
    }

    /// The sensor's clock was set: the next reading is accepted as a clock reset if it is not newer than the last.
    pub fn clock_stepped(&mut self) {
        self.stepped = true;
    }
}

/// How a reading passed the [`TimeGuard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the caller must handle each: they restart different things")]
pub enum Passage {
    /// The sensor's first.
    First,
    /// Newer than the last one.
    InOrder,
    /// After an outage: what was known before it does not hold any more.
    AfterGap,
    /// The clock was set back: restart.
    ClockReset,
    /// Out of order and let through; must not touch any state.
    Late,
}

impl Passage {
    /// The reason to emit the reading, unless it is an ordinary one.
    #[must_use]
    pub fn reason(self) -> Option<EmitReason> {
        match self {
            Passage::InOrder => None,
            Passage::First => Some(EmitReason::First),
            Passage::AfterGap => Some(EmitReason::FirstAfterGap),
            Passage::ClockReset => Some(EmitReason::ClockReset),
            Passage::Late => Some(EmitReason::Late),
        }
    }
}

impl TimeGuard {
    /// How far ahead of `now` a reading may be; `i64::MAX` for any distance.
    ///
    /// # Errors
    /// If it is negative.
    pub fn max_future_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_future_ms = delay("max_future_ms", ms)?;
        Ok(self)
    }

    /// How far back a reading may be before a clock reset is considered.
    ///
    /// # Errors
    /// If it is negative.
    pub fn max_backward_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_backward_ms = delay("max_backward_ms", ms)?;
        Ok(self)
    }

    /// How many readings in a row make a clock reset.
    ///
    /// # Errors
    /// If it is 0 or above 65535.
    pub fn confirm(mut self, readings: u32) -> Result<Self, ParamError> {
        if !(1..=u32::from(u16::MAX)).contains(&readings) {
            return Err(ParamError::new("n_confirm", "1 to 65535", readings));
        }
        self.confirm = readings;
        Ok(self)
    }

    /// The longest silence, in event time, after which the sensor simply goes on.
    ///
    /// # Errors
    /// If it is less than 1.
    pub fn max_gap_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_gap_ms = interval("max_gap_ms", ms)?;
        Ok(self)
    }

    /// Drops (default) or passes readings that are out of order.
    #[must_use]
    pub fn out_of_order(mut self, policy: OutOfOrder) -> Self {
        self.out_of_order = policy;
        self
    }

    /// Whether the reading passes, and how. `now_ms` is the caller's wall clock.
    ///
    /// # Errors
    /// The reason to drop the reading.
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
            return Err(DropReason::Future);
        }
        let passage = self.passage(state, value, quality, time)?;
        if passage != Passage::Late {
            let fingerprint = fingerprint(value, quality);
            *state = TimeGuardState { time, fingerprint, started: true, ..TimeGuardState::default() };
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
            state.backward_count = 0;
            let same = state.fingerprint == fingerprint(value, quality);
            return Err(if same { DropReason::Duplicate } else { DropReason::DuplicateTimestamp });
        }
        if self.confirmed(state, time) {
            return Ok(Passage::ClockReset);
        }
        match self.out_of_order {
            OutOfOrder::Drop => Err(DropReason::OutOfOrder),
            OutOfOrder::Pass => Ok(Passage::Late),
        }
    }

    /// Counts readings that are too far back to be merely late, as long as their times rise.
    fn confirmed(&self, state: &mut TimeGuardState, time: i64) -> bool {
        if time >= state.time.saturating_sub(self.max_backward_ms) {
            state.backward_count = 0;
            return false;
        }
        if state.backward_count == 0 || time > state.backward_time {
            state.backward_count = state.backward_count.saturating_add(1);
        } else if time < state.backward_time {
            state.backward_count = 1;
        }
        state.backward_time = time;
        u32::from(state.backward_count) >= self.confirm
    }

    /// Values pass unaltered.
    #[must_use]
    pub fn error_bound(&self) -> ErrorBound {
        ErrorBound::Exact
    }

    /// What is dropped before a clock reset is believed.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        match (self.out_of_order, self.confirm.saturating_sub(1)) {
            (OutOfOrder::Pass, _) | (_, 0) => LossBound::Nothing,
            (OutOfOrder::Drop, readings) => LossBound::Readings(readings),
        }
    }
}

/// 32 bits of value and quality, mixed by the golden ratio.
fn fingerprint(value: &Value<'_>, quality: Quality) -> u32 {
    let mixed =
        (value.fingerprint() ^ u64::from(quality.0).rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

const _: () = assert!(size_of::<TimeGuardState>() == 24);

#[cfg(test)]
mod tests;
