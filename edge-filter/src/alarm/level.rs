//! One limit of an alarm: enter, stay, leave, acknowledge.

use crate::error::{ParamError, delay, width};

/// One limit of a [`LimitAlarm`](super::LimitAlarm), with its hysteresis and delays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub(super) limit: f64,
    deadband: f64,
    on_delay_ms: i64,
    off_delay_ms: i64,
}

impl Limit {
    /// Active as soon as the value reaches `limit`, normal as soon as it is back: see the setters.
    ///
    /// # Errors
    /// If the limit is NaN or infinite.
    pub fn at(limit: f64) -> Result<Self, ParamError> {
        if !limit.is_finite() {
            return Err(ParamError::new("limit", "a finite number", limit));
        }
        Ok(Limit { limit, deadband: 0.0, on_delay_ms: 0, off_delay_ms: 0 })
    }

    /// The value must come back by more than this to leave the alarm.
    ///
    /// # Errors
    /// If it is NaN, infinite or negative.
    pub fn deadband(mut self, deadband: f64) -> Result<Self, ParamError> {
        self.deadband = width("deadband", deadband)?;
        Ok(self)
    }

    /// The value must be at or beyond the limit for this long (OPC UA Part 9 `OnDelay`).
    ///
    /// # Errors
    /// If it is negative.
    pub fn on_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.on_delay_ms = delay("on_delay_ms", ms)?;
        Ok(self)
    }

    /// The value must be back for this long (`OffDelay`).
    ///
    /// # Errors
    /// If it is negative.
    pub fn off_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.off_delay_ms = delay("off_delay_ms", ms)?;
        Ok(self)
    }
}

/// The states of ISA-18.2 that a limit can be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AlarmState {
    /// `NORM`: not active, nothing to acknowledge.
    #[default]
    Normal,
    /// `UNACK_ALM`: active, not acknowledged.
    Unacknowledged,
    /// `ACK_ALM`: active, acknowledged.
    Acknowledged,
    /// `RTN_UNACK`: back to normal, not acknowledged.
    ReturnedUnacknowledged,
}

impl AlarmState {
    /// Whether the process is in alarm.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, AlarmState::Unacknowledged | AlarmState::Acknowledged)
    }

    /// The abbreviation of ISA-18.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AlarmState::Normal => "NORM",
            AlarmState::Unacknowledged => "UNACK_ALM",
            AlarmState::Acknowledged => "ACK_ALM",
            AlarmState::ReturnedUnacknowledged => "RTN_UNACK",
        }
    }
}

/// A refused acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The sensor has no alarm with such a limit.
    NoSuchAlarm,
    /// Nothing is waiting to be acknowledged.
    NothingToAcknowledge,
    /// The acknowledgement is for another occurrence: the operator has not seen this one.
    OtherOccurrence {
        /// The transition id of the occurrence that waits.
        current: u64,
    },
}

impl std::fmt::Display for AckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AckError::NoSuchAlarm => f.write_str("the sensor has no alarm with such a limit"),
            AckError::NothingToAcknowledge => f.write_str("nothing is waiting to be acknowledged"),
            AckError::OtherOccurrence { current } => {
                write!(f, "the acknowledgement is for another occurrence than the current one, {current}")
            }
        }
    }
}

impl std::error::Error for AckError {}

/// A change of state: from, to, and the event time at which it holds.
pub(super) type Step = (AlarmState, AlarmState, i64);

/// Where the value is, seen from one limit.
#[derive(Clone, Copy)]
pub(super) enum Side {
    High,
    Low,
}

/// The state of one limit for one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct LevelState {
    pub(super) state: AlarmState,
    pub(super) transition: u64,
    timer: Option<Timer>,
}

/// A running delay. Readings advance it by event time, ticks by the caller's `now`: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct Timer {
    since_time: i64,
    since_now: i64,
}

impl LevelState {
    /// A usable value at event time `time`.
    pub(super) fn value(
        &mut self,
        limit: &Limit,
        side: Side,
        value: f64,
        (time, now_ms): (i64, i64),
        on: &mut impl FnMut(&LevelState, Step),
    ) {
        // The last value held until now: a delay that ended in between did so before this reading.
        self.advance(limit, time.saturating_sub(1), now_ms, on);
        let (reached, left) = match side {
            Side::High => (value >= limit.limit, value < limit.limit - limit.deadband),
            Side::Low => (value <= limit.limit, value > limit.limit + limit.deadband),
        };
        if if self.state.is_active() { left } else { reached } {
            self.timer.get_or_insert(Timer { since_time: time, since_now: now_ms });
            self.advance(limit, time, now_ms, on);
        } else {
            self.timer = None;
        }
    }

    /// A bad or missing input: it proves nothing, so what was about to return to normal has to start again. What was
    /// about to become active still does: a failing sensor must not hide an alarm.
    pub(super) fn unusable(
        &mut self,
        limit: &Limit,
        time: i64,
        now_ms: i64,
        on: &mut impl FnMut(&LevelState, Step),
    ) {
        self.advance(limit, time.saturating_sub(1), now_ms, on);
        if self.state.is_active() {
            self.timer = None;
        }
    }

    /// Time passed without a reading.
    pub(super) fn tick(&mut self, limit: &Limit, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        let Some(timer) = self.timer else { return };
        let delay = self.delay(limit);
        if now_ms >= timer.since_now.saturating_add(delay) {
            self.cross(timer.since_time.saturating_add(delay), now_ms, on);
        }
    }

    /// Ends a running delay that is over at event time `time`.
    fn advance(&mut self, limit: &Limit, time: i64, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        let Some(timer) = self.timer else { return };
        let end = timer.since_time.saturating_add(self.delay(limit));
        if time >= end {
            self.cross(end, now_ms, on);
        }
    }

    fn delay(&self, limit: &Limit) -> i64 {
        if self.state.is_active() { limit.off_delay_ms } else { limit.on_delay_ms }
    }

    /// Enters or leaves the alarm.
    fn cross(&mut self, time: i64, now_ms: i64, on: &mut impl FnMut(&LevelState, Step)) {
        let to = match self.state {
            AlarmState::Normal | AlarmState::ReturnedUnacknowledged => {
                // Unique over restarts without being stored: an acknowledgement of the last run cannot hit this one.
                let clock = u64::try_from(now_ms).unwrap_or(0);
                self.transition = self.transition.saturating_add(1).max(clock);
                AlarmState::Unacknowledged
            }
            AlarmState::Unacknowledged => AlarmState::ReturnedUnacknowledged,
            AlarmState::Acknowledged => AlarmState::Normal,
        };
        self.timer = None;
        let from = std::mem::replace(&mut self.state, to);
        on(self, (from, to, time));
    }

    /// An operator has seen occurrence `transition`.
    pub(super) fn acknowledge(&mut self, transition: u64, time: i64) -> Result<Step, AckError> {
        let to = match self.state {
            AlarmState::Unacknowledged => AlarmState::Acknowledged,
            AlarmState::ReturnedUnacknowledged => AlarmState::Normal,
            AlarmState::Normal | AlarmState::Acknowledged => return Err(AckError::NothingToAcknowledge),
        };
        if transition != self.transition {
            return Err(AckError::OtherOccurrence { current: self.transition });
        }
        Ok((std::mem::replace(&mut self.state, to), to, time))
    }

    /// The sensor's clock was set to `time`: event times of running delays mean nothing any more.
    pub(super) fn rebase(&mut self, time: i64) {
        if let Some(timer) = &mut self.timer {
            timer.since_time = time;
        }
    }

    /// When [`LevelState::tick`] will change the state.
    pub(super) fn deadline(&self, limit: &Limit) -> Option<i64> {
        self.timer.map(|timer| timer.since_now.saturating_add(self.delay(limit)))
    }
}
