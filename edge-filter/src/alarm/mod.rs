//! Limit alarm: HIHI, HI, LO, LOLO with hysteresis, delays, acknowledgement, latching and shelving.

mod exclusive;
mod hiding;
mod level;
mod level_state_machine;
mod limit_parameters;
mod limit_restore;
mod state;

pub use exclusive::{ExclusiveAlarm, ExclusiveAlarmState, ExclusiveState};
pub use level::AlarmLevel;
pub use limit_parameters::{BadInput, Limit};
pub use state::{AckError, AlarmCommand, AlarmCommandError, AlarmState};

use crate::error::{ParamError, interval};
use crate::{Cost, Quality, Value};
use level_state_machine::{LevelState, Rules, Side};
pub(crate) use limit_restore::{KeptAlarm, LimitIdentities, restore_limits};

impl AlarmLevel {
    fn side(self) -> Side {
        match self {
            AlarmLevel::HighHigh | AlarmLevel::High => Side::High,
            AlarmLevel::Low | AlarmLevel::LowLow => Side::Low,
        }
    }
}

/// A change of state of one limit.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AlarmTransition {
    /// Limit that changed its state.
    pub level: AlarmLevel,
    /// State before the change.
    pub from: AlarmState,
    /// State after the change.
    pub to: AlarmState,
    /// Event time from which the new state holds, Unix milliseconds. If a delay ended without a reading, the end of the delay.
    pub time: i64,
    /// Last usable value of the sensor; NaN if there was none.
    pub value: f64,
    /// Id of the occurrence. An acknowledgement has to quote it, so that a late one cannot match a later occurrence.
    pub transition: u64,
    /// Priority of the limit, 1 to 1000.
    pub priority: u16,
}

/// Settings that all limits of an alarm share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Options {
    latch: bool,
    re_alarm_ms: Option<i64>,
    max_shelve_ms: Option<i64>,
    bad_input: BadInput,
}

/// Limit alarm with up to four limits on one sensor, each a condition of its own (OPC UA `NonExclusiveLimitAlarm`).
///
/// * Enter: at or beyond the limit during the whole `on_delay`. Leave: back by more than the `deadband` during the
///   whole `off_delay`. EPICS, Logix and OPC UA Part 9 agree on this rule.
/// * Delays run in event time from reading to reading and in the caller's `now` over silence ([`LimitAlarm::tick`]);
///   the last value is taken to hold until the next.
/// * Bad input, NaN, infinities and texts never clear an active alarm, and restart a running `off_delay`; a running
///   `on_delay` goes on, so that a failing sensor cannot hide an alarm. [`BadInput`] has the other ways.
/// * States and acknowledgement: `NORM → UNACK_ALM → ACK_ALM → NORM`, or `UNACK_ALM → RTN_UNACK → NORM`; with a latch
///   `UNACK_ALM → LATCHED_UNACK → LATCHED_ACK`, and a reset from there (ISA-18.2, OPC UA Part 9 §5.8).
/// * A shelved, suppressed or out-of-service limit goes on being evaluated. When it shows again and is active, that is
///   a new occurrence to be acknowledged; what came and went while it was hidden needs no acknowledgement, unless the limit
///   latches.
///
/// ```
/// # use edge_filter::{*, alarm::*};
/// let alarm = LimitAlarm::new().with(AlarmLevel::High, Limit::at(95.0)?.deadband(1.5)?)?;
/// let (mut state, mut seen) = (LimitAlarmState::default(), Vec::new());
/// alarm.check(&mut state, 96.0, Quality::GOOD, 0, 0, &mut |t: AlarmTransition| seen.push(t.to));
/// assert_eq!(seen, [AlarmState::Unacknowledged]);
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitAlarm {
    limits: [Option<Limit>; 4],
    options: Options,
}

/// State of a [`LimitAlarm`] per sensor. The default is normal on every limit.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitAlarmState {
    levels: [LevelState; 4],
    /// Last usable value; 0 until there is one.
    value: f64,
    /// Set once there was a usable value. Programs before this field wrote 0 for none, and read a snapshot with it.
    #[cfg_attr(feature = "config", serde(default = "had_value"))]
    has_value: bool,
}

/// Returns what a snapshot without that field is taken for.
#[cfg(feature = "config")]
fn had_value() -> bool {
    true
}

impl LimitAlarmState {
    /// Returns the state of one limit as it is shown.
    #[must_use]
    pub fn state(&self, level: AlarmLevel) -> AlarmState {
        self.of(level).shown()
    }

    /// Returns the state of the process on one limit, also while the alarm is shelved, suppressed or out of service.
    #[must_use]
    pub fn condition(&self, level: AlarmLevel) -> AlarmState {
        self.of(level).condition
    }

    /// Returns the id of the latest occurrence on one limit; 0 if there was none.
    #[must_use]
    pub fn transition(&self, level: AlarmLevel) -> u64 {
        self.of(level).transition
    }

    /// Returns the state with which another run begins at `now_ms`.
    pub(crate) fn resumed(mut self, now_ms: i64) -> Self {
        self.levels.iter_mut().for_each(|level| level.resume(now_ms));
        self.see(self.last_value().filter(|value| value.is_finite()));
        self
    }

    fn last_value(&self) -> Option<f64> {
        self.has_value.then_some(self.value)
    }

    fn see(&mut self, value: Option<f64>) {
        (self.value, self.has_value) = (value.unwrap_or_default(), value.is_some());
    }

    fn of(&self, level: AlarmLevel) -> &LevelState {
        let [high_high, high, low, low_low] = &self.levels;
        match level {
            AlarmLevel::HighHigh => high_high,
            AlarmLevel::High => high,
            AlarmLevel::Low => low,
            AlarmLevel::LowLow => low_low,
        }
    }
}

impl LimitAlarm {
    /// Creates an alarm without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a limit.
    ///
    /// # Errors
    /// If the limits are not LOLO <= LO < HI <= HIHI.
    pub fn with(mut self, level: AlarmLevel, limit: Limit) -> Result<Self, ParamError> {
        for (slot, of) in self.limits.iter_mut().zip(AlarmLevel::ALL) {
            if of == level {
                *slot = Some(limit);
            }
        }
        let [high_high, high, low, low_low] = self.limits.map(|limit| limit.map(|l| l.limit));
        let below = |a: Option<f64>, b: Option<f64>| a.zip(b).is_none_or(|(a, b)| a < b);
        let not_above = |a: Option<f64>, b: Option<f64>| a.zip(b).is_none_or(|(a, b)| a <= b);
        let lowest_high = high.or(high_high);
        let highest_low = low.or(low_low);
        if not_above(low_low, low) && below(highest_low, lowest_high) && not_above(high, high_high) {
            Ok(self)
        } else {
            Err(ParamError::new("limit", "in the order LOLO <= LO < HI <= HIHI", limit.limit))
        }
    }

    /// Sets whether an alarm that returned to normal waits for a reset (OPC UA `LatchedState`). Default false.
    #[must_use]
    pub fn latch(mut self, yes: bool) -> Self {
        self.options.latch = yes;
        self
    }

    /// Sets the effect of input that cannot be used. Default: [`BadInput::Hold`].
    #[must_use]
    pub fn bad_input(mut self, what: BadInput) -> Self {
        self.options.bad_input = what;
        self
    }

    /// Sets the time after an acknowledgement at which an alarm that is still active becomes unacknowledged again (OPC UA `ReAlarmTime`).
    /// Default: never.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn re_alarm_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.options.re_alarm_ms = Some(interval("re_alarm_ms", ms)?);
        Ok(self)
    }

    /// Sets the longest time for which a limit may be shelved (OPC UA `MaxTimeShelved`). Default: any time.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_shelve_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.options.max_shelve_ms = Some(interval("max_shelve_ms", ms)?);
        Ok(self)
    }

    /// Returns the longest time for which a limit may be shelved, in milliseconds; `None` if any time is allowed.
    #[must_use]
    pub fn longest_shelve_ms(&self) -> Option<i64> {
        self.options.max_shelve_ms
    }

    /// Returns whether the alarm has a limit of this level.
    #[must_use]
    pub fn has_limit(&self, level: AlarmLevel) -> bool {
        self.limits.iter().zip(AlarmLevel::ALL).any(|(limit, of)| of == level && limit.is_some())
    }

    /// Compares a reading with the limits. `on` gets each change of state, in the order in which they happened.
    pub fn check<'v>(
        &self,
        state: &mut LimitAlarmState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
        now_ms: i64,
        on: &mut impl FnMut(AlarmTransition),
    ) {
        self.judge(state, &value.into(), quality.into(), (time, now_ms), on);
    }

    /// Compares a value with the limits as `check` does, by reference, for callers that need the value afterwards.
    pub(crate) fn judge(
        &self,
        state: &mut LimitAlarmState,
        value: &Value<'_>,
        quality: Quality,
        (time, now_ms): (i64, i64),
        on: &mut impl FnMut(AlarmTransition),
    ) {
        let number = value.as_f64().filter(|v| v.is_finite() && !quality.is_bad());
        let held = state.last_value();
        let new = number.or(held);
        for (rules, level, of) in self.each(&mut state.levels) {
            of.reading(rules, number, (time, now_ms), &mut |of, step| {
                // A delay that ended before this reading ended on the value before it.
                on(transition(rules, level, of, step, if step.2 < time { held } else { new }));
            });
        }
        state.see(new);
    }

    /// Reports the limits that are normal, as transitions from normal to normal, and returns `true`. While a delay runs it reports nothing and
    /// returns `false`.
    pub(crate) fn tell_normal(
        &self,
        state: &mut LimitAlarmState,
        time: i64,
        on: &mut impl FnMut(AlarmTransition),
    ) -> bool {
        let value = state.last_value();
        if self.each(&mut state.levels).any(|(_, _, of)| of.is_delayed()) {
            return false;
        }
        for (rules, level, of) in self.each(&mut state.levels) {
            if of.shown() == AlarmState::Normal {
                let step = (AlarmState::Normal, AlarmState::Normal, time);
                on(transition(rules, level, of, step, value));
            }
        }
        true
    }

    /// Ends delays, shelving and re-alarm times that are over without a reading. It does nothing before [`LimitAlarm::deadline`].
    pub fn tick(&self, state: &mut LimitAlarmState, now_ms: i64, on: &mut impl FnMut(AlarmTransition)) {
        let held = state.last_value();
        for (rules, level, of) in self.each(&mut state.levels) {
            of.tick(rules, now_ms, &mut |of, step| on(transition(rules, level, of, step, held)));
        }
    }

    /// Makes running off-delays of active limits begin anew, as a reading that cannot be used does with [`BadInput::Hold`].
    pub(crate) fn hold_active(&self, state: &mut LimitAlarmState) {
        self.each(&mut state.levels).for_each(|(_, _, level)| level.hold());
    }

    /// Acknowledges the occurrence `transition_id`, which an operator has seen at `time`. Returns the change of state.
    ///
    /// # Errors
    /// If no occurrence waits for an acknowledgement, or another one does.
    pub fn acknowledge(
        &self,
        state: &mut LimitAlarmState,
        level: AlarmLevel,
        transition_id: u64,
        time: i64,
    ) -> Result<AlarmTransition, AckError> {
        let held = state.last_value();
        let (rules, _, of) = self.level(&mut state.levels, level)?;
        let step = of.acknowledge(transition_id, time)?;
        Ok(transition(rules, level, of, step, held))
    }

    /// Applies a command of an operator, or of the plant's logic, to one limit. `on` gets the change of the shown state, if there is one.
    ///
    /// # Errors
    /// If the alarm has no such limit, or the command does not fit its state.
    pub fn command(
        &self,
        state: &mut LimitAlarmState,
        level: AlarmLevel,
        command: AlarmCommand,
        now_ms: i64,
        on: &mut impl FnMut(AlarmTransition),
    ) -> Result<(), AlarmCommandError> {
        let held = state.last_value();
        let (rules, _, of) = self.level(&mut state.levels, level)?;
        of.command(rules, command, now_ms, &mut |of, step| on(transition(rules, level, of, step, held)))
    }

    /// Restarts running delays in event time after the sensor's clock was set to `time`. On the clock of `now` they go on.
    pub fn clock_reset(&self, state: &mut LimitAlarmState, time: i64) {
        for (_, _, of) in self.each(&mut state.levels) {
            of.rebase(time);
        }
    }

    /// Returns the time, on the clock of its `now_ms`, at which [`LimitAlarm::tick`] has something to do. `None`: no delay, shelving or
    /// re-alarm time runs.
    #[must_use]
    pub fn deadline(&self, state: &LimitAlarmState) -> Option<i64> {
        let levels = self.rules().zip(&state.levels);
        levels.filter_map(|((_, rules), of)| of.deadline(rules?)).min()
    }

    /// Returns the state without those levels for which this alarm has no limit: nothing would end an alarm there.
    pub(crate) fn own_levels(&self, mut state: LimitAlarmState) -> LimitAlarmState {
        for ((_, rules), level) in self.rules().zip(&mut state.levels) {
            if rules.is_none() {
                *level = LevelState::default();
            }
        }
        state
    }

    /// Iterates over all four levels in order; `None` stands for a level without a limit.
    fn rules(&self) -> impl Iterator<Item = (AlarmLevel, Option<Rules<'_>>)> {
        self.limits.iter().zip(AlarmLevel::ALL).map(|(limit, level)| {
            let rules =
                limit.as_ref().map(|limit| Rules { limit, side: level.side(), options: &self.options });
            (level, rules)
        })
    }

    fn each<'a>(
        &'a self,
        states: &'a mut [LevelState; 4],
    ) -> impl Iterator<Item = (Rules<'a>, AlarmLevel, &'a mut LevelState)> {
        self.rules().zip(states).filter_map(|((level, rules), state)| Some((rules?, level, state)))
    }

    fn level<'a>(
        &'a self,
        states: &'a mut [LevelState; 4],
        level: AlarmLevel,
    ) -> Result<(Rules<'a>, AlarmLevel, &'a mut LevelState), AckError> {
        self.each(states).find(|(_, of, _)| *of == level).ok_or(AckError::NoSuchAlarm)
    }
}

impl Cost for LimitAlarm {}

fn transition(
    rules: Rules<'_>,
    level: AlarmLevel,
    of: &LevelState,
    (from, to, time): level_state_machine::Step,
    value: Option<f64>,
) -> AlarmTransition {
    AlarmTransition {
        level,
        from,
        to,
        time,
        value: value.unwrap_or(f64::NAN),
        transition: of.transition,
        priority: rules.limit.priority,
    }
}
