//! State machine of one limit of an alarm for one sensor: enter, stay, leave, acknowledge, reset.

use super::hiding::Hiding;
use super::{AckError, AlarmCommand, AlarmCommandError, AlarmState, BadInput, Limit, Options};

/// Change of state: the state before, the state after, and the event time from which it holds.
pub(super) type Step = (AlarmState, AlarmState, i64);

/// Side on which a limit is crossed: above it or below it.
#[derive(Clone, Copy)]
pub(super) enum Side {
    High,
    Low,
}

/// Limit, with the settings that all limits of its alarm share.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) limit: &'a Limit,
    pub(super) side: Side,
    pub(super) options: &'a Options,
}

/// State of one limit for one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct LevelState {
    /// State of the process, whether it is hidden or not: never `Shelved`, `Suppressed` or `OutOfService`.
    #[cfg_attr(feature = "config", serde(rename = "state"))]
    pub(super) condition: AlarmState,
    pub(super) transition: u64,
    timer: Option<Timer>,
    #[cfg_attr(feature = "config", serde(default, skip_serializing_if = "crate::value::is_default"))]
    hiding: Hiding,
    /// Time of the active alarm's acknowledgement, on the caller's clock `now`. `None`: it is not acknowledged.
    #[cfg_attr(feature = "config", serde(default, skip_serializing_if = "crate::value::is_default"))]
    acknowledged_now: Option<i64>,
}

/// Delay that runs. Readings advance it by event time, ticks by the caller's `now`; it ends by whichever is over first.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct Timer {
    since_time: i64,
    since_now: i64,
}

impl Rules<'_> {
    /// Returns two answers: whether the value has reached the limit, and whether it has left it.
    fn place(&self, value: f64) -> (bool, bool) {
        let Limit { limit, deadband, .. } = *self.limit;
        match self.side {
            Side::High => (value >= limit, value < limit - deadband),
            Side::Low => (value <= limit, value > limit + deadband),
        }
    }
}

impl LevelState {
    /// Returns whether an on-delay or an off-delay runs.
    pub(super) fn is_delayed(&self) -> bool {
        self.timer.is_some()
    }

    /// Returns the state that is shown: that of the hiding if the alarm is hidden, else the condition.
    pub(super) fn shown(&self) -> AlarmState {
        self.hiding.shown().unwrap_or(self.condition)
    }

    /// Adapts a state that an earlier process stored. A time in the future, from a clock that was set back since,
    /// becomes now.
    pub(super) fn resume(&mut self, now_ms: i64) {
        let hidden = [AlarmState::Shelved, AlarmState::Suppressed, AlarmState::OutOfService];
        if hidden.contains(&self.condition) {
            // No condition; what hides an alarm is kept beside it.
            *self = LevelState::default();
        }
        if let Some(timer) = &mut self.timer
            && timer.since_now > now_ms
        {
            *timer = Timer { since_time: now_ms, since_now: now_ms };
        }
        self.begin_by(now_ms);
    }

    /// Returns the state of a limit to which any of these may belong: hidden and acknowledged by nobody, and a new occurrence if there was one.
    pub(super) fn of_any<'a>(states: impl Iterator<Item = &'a LevelState>, now_ms: i64) -> Self {
        let mut any = LevelState::default();
        for state in states {
            any.transition = any.transition.max(state.transition);
            let waits = match state.condition {
                condition if condition.is_active() => AlarmState::Unacknowledged,
                AlarmState::LatchedUnacknowledged | AlarmState::LatchedAcknowledged => {
                    AlarmState::LatchedUnacknowledged
                }
                condition => condition,
            };
            let rank = |condition| match condition {
                AlarmState::Unacknowledged => 3,
                AlarmState::LatchedUnacknowledged => 2,
                AlarmState::ReturnedUnacknowledged => 1,
                _ => 0,
            };
            if rank(waits) > rank(any.condition) {
                any.condition = waits;
            }
        }
        let condition = any.condition;
        if condition != AlarmState::Normal {
            any.raise(now_ms);
            any.condition = condition;
        }
        any
    }

    /// Moves what began in the future, by a clock that was set back since, to now: nothing lasts longer for that.
    fn begin_by(&mut self, now_ms: i64) {
        if let Some(timer) = &mut self.timer {
            timer.since_now = timer.since_now.min(now_ms);
        }
        self.acknowledged_now = self.acknowledged_now.map(|since| since.min(now_ms));
    }

    /// Updates the state with a reading at event time `time`. `value` is `None` if the reading cannot be used.
    pub(super) fn reading(
        &mut self,
        rules: Rules<'_>,
        value: Option<f64>,
        (time, now_ms): (i64, i64),
        on: &mut impl FnMut(&LevelState, Step),
    ) {
        self.begin_by(now_ms);
        // A tick may come late, and after a step of the clock back it comes much later.
        self.change(now_ms, now_ms, on, |level| level.hiding.expire_at_reading(now_ms));
        // The last value held until now: a delay that ended in between did so before this reading.
        self.advance(rules, time.saturating_sub(1), now_ms, on);
        let (reached, left) = match (value, rules.options.bad_input) {
            (Some(value), _) => rules.place(value),
            (None, BadInput::Alarm) => (true, false),
            (None, BadInput::Normal) => (false, true),
            (None, BadInput::Hold) => return self.hold(),
        };
        if if self.condition.is_active() { left } else { reached } {
            self.timer.get_or_insert(Timer { since_time: time, since_now: now_ms });
            self.advance(rules, time, now_ms, on);
        } else {
            self.timer = None;
        }
    }

    /// Handles an unusable reading, which neither raises nor clears an alarm. A running off-delay starts again; a
    /// running on-delay continues, because a failing sensor must not hide an alarm.
    pub(super) fn hold(&mut self) {
        if self.condition.is_active() {
            self.timer = None;
        }
    }

    /// Ends delays, shelving and re-alarm times that are over at `now_ms` without a reading.
    pub(super) fn tick(&mut self, rules: Rules<'_>, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        self.begin_by(now_ms);
        if let Some(timer) = self.timer {
            let delay = self.delay(rules);
            if now_ms >= timer.since_now.saturating_add(delay) {
                self.cross(rules, timer.since_time.saturating_add(delay), now_ms, on);
            }
        }
        self.change(now_ms, now_ms, on, |level| level.hiding.expire(now_ms));
        if self.re_alarm_deadline(rules).is_some_and(|deadline| now_ms >= deadline) {
            self.change(now_ms, now_ms, on, |level| level.raise(now_ms));
        }
    }

    /// Ends a running delay that is over at event time `time`.
    fn advance(&mut self, rules: Rules<'_>, time: i64, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        let Some(timer) = self.timer else { return };
        let end = timer.since_time.saturating_add(self.delay(rules));
        if time >= end {
            self.cross(rules, end, now_ms, on);
        }
    }

    fn delay(&self, rules: Rules<'_>) -> i64 {
        if self.condition.is_active() { rules.limit.off_delay_ms } else { rules.limit.on_delay_ms }
    }

    /// Enters the alarm, or leaves it if it is active.
    fn cross(&mut self, rules: Rules<'_>, time: i64, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        self.timer = None;
        self.change(time, now_ms, on, |level| {
            if level.condition.is_active() {
                level.return_to_normal(rules.options.latch);
            } else {
                level.raise(now_ms);
            }
        });
    }

    /// Begins a new occurrence. Its id is unique over restarts without being stored, because it is at least the clock's
    /// milliseconds: an acknowledgement for an occurrence of an earlier process cannot match it.
    fn raise(&mut self, now_ms: i64) {
        let clock = u64::try_from(now_ms).unwrap_or(0);
        self.transition = self.transition.saturating_add(1).max(clock);
        self.acknowledged_now = None;
        self.condition = AlarmState::Unacknowledged;
    }

    fn return_to_normal(&mut self, latch: bool) {
        let seen = self.condition == AlarmState::Acknowledged;
        // Nobody was alerted of a hidden occurrence: nobody has to acknowledge it.
        let hidden = self.hiding.shown().is_some();
        self.condition = match (latch, seen) {
            (true, true) => AlarmState::LatchedAcknowledged,
            (true, false) => AlarmState::LatchedUnacknowledged,
            (false, false) if !hidden => AlarmState::ReturnedUnacknowledged,
            (false, _) => AlarmState::Normal,
        };
        self.acknowledged_now = None;
        self.hiding.returned();
    }

    /// Runs `f`, and reports a change of the shown state. An active alarm that is no longer hidden becomes a new occurrence, because the
    /// operator has to see it again.
    fn change(
        &mut self,
        time: i64,
        now_ms: i64,
        on: &mut impl FnMut(&LevelState, Step),
        f: impl FnOnce(&mut Self),
    ) {
        let (was_hidden, from) = (self.hiding.shown().is_some(), self.shown());
        f(self);
        if was_hidden && self.hiding.shown().is_none() && self.condition.is_active() {
            self.raise(now_ms);
        }
        let to = self.shown();
        if from != to {
            on(self, (from, to, time));
        }
    }

    /// Applies a command of an operator. `on` gets the change of the shown state, if there is one.
    pub(super) fn command(
        &mut self,
        rules: Rules<'_>,
        command: AlarmCommand,
        now_ms: i64,
        on: &mut impl FnMut(&LevelState, Step),
    ) -> Result<(), AlarmCommandError> {
        let max_ms = rules.options.max_shelve_ms;
        match command {
            AlarmCommand::Acknowledge { transition } => {
                let step = self.acknowledge(transition, now_ms)?;
                on(self, step);
            }
            AlarmCommand::Reset => self.reset(now_ms, on)?,
            AlarmCommand::Shelve { for_ms } => {
                if for_ms < 1 || max_ms.is_some_and(|max| for_ms > max) {
                    return Err(AlarmCommandError::ShelveTime { max_ms });
                }
                self.change(now_ms, now_ms, on, |level| level.hiding.shelve(now_ms, Some(for_ms), false));
            }
            AlarmCommand::ShelveOnce => {
                self.change(now_ms, now_ms, on, |level| level.hiding.shelve(now_ms, max_ms, true));
            }
            AlarmCommand::Unshelve => {
                let mut was_shelved = false;
                self.change(now_ms, now_ms, on, |level| was_shelved = level.hiding.unshelve());
                if !was_shelved {
                    return Err(AlarmCommandError::NotShelved);
                }
            }
            AlarmCommand::Suppress(yes) => {
                self.change(now_ms, now_ms, on, |level| level.hiding.suppressed = yes);
            }
            AlarmCommand::OutOfService(yes) => {
                self.change(now_ms, now_ms, on, |level| level.hiding.out_of_service = yes);
            }
        }
        Ok(())
    }

    /// Acknowledges the occurrence `transition`, which an operator has seen. Returns the change of state.
    pub(super) fn acknowledge(&mut self, transition: u64, now_ms: i64) -> Result<Step, AckError> {
        let to = match self.shown() {
            AlarmState::Unacknowledged => AlarmState::Acknowledged,
            AlarmState::ReturnedUnacknowledged => AlarmState::Normal,
            AlarmState::LatchedUnacknowledged => AlarmState::LatchedAcknowledged,
            _ => return Err(AckError::NothingToAcknowledge),
        };
        if transition != self.transition {
            return Err(AckError::OtherOccurrence { current: self.transition });
        }
        self.acknowledged_now = Some(now_ms).filter(|_| to == AlarmState::Acknowledged);
        Ok((std::mem::replace(&mut self.condition, to), to, now_ms))
    }

    fn reset(
        &mut self,
        now_ms: i64,
        on: &mut impl FnMut(&LevelState, Step),
    ) -> Result<(), AlarmCommandError> {
        let to = match self.condition {
            AlarmState::LatchedAcknowledged => AlarmState::Normal,
            AlarmState::LatchedUnacknowledged => AlarmState::ReturnedUnacknowledged,
            condition if condition.is_active() => return Err(AlarmCommandError::StillActive),
            _ => return Err(AlarmCommandError::NothingToReset),
        };
        self.change(now_ms, now_ms, on, |level| level.condition = to);
        Ok(())
    }

    /// Restarts running delays at `time` after the sensor's clock was set, because the earlier event times mean nothing any more.
    pub(super) fn rebase(&mut self, time: i64) {
        if let Some(timer) = &mut self.timer {
            timer.since_time = time;
        }
    }

    fn re_alarm_deadline(&self, rules: Rules<'_>) -> Option<i64> {
        let shows = self.shown() == AlarmState::Acknowledged;
        let since = self.acknowledged_now.filter(|_| shows)?;
        Some(since.saturating_add(rules.options.re_alarm_ms?))
    }

    /// Returns the `now` at which [`LevelState::tick`] will change the state; `None`: time alone changes nothing.
    pub(super) fn deadline(&self, rules: Rules<'_>) -> Option<i64> {
        let delay = self.timer.map(|timer| timer.since_now.saturating_add(self.delay(rules)));
        let others = [self.hiding.deadline(), self.re_alarm_deadline(rules)];
        others.into_iter().chain([delay]).flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_in_the_future_of_a_clock_that_was_set_back_begins_now() {
        let timer = |at| Timer { since_time: at, since_now: at };
        for (began, now_ms, begins) in [(900, 100, 100), (100, 900, 100)] {
            let active = LevelState { condition: AlarmState::Acknowledged, ..LevelState::default() };
            let mut state = LevelState { timer: Some(timer(began)), acknowledged_now: Some(began), ..active };
            state.resume(now_ms);
            assert_eq!(
                state,
                LevelState { timer: Some(timer(begins)), acknowledged_now: Some(begins), ..active }
            );
        }
    }
}
