//! Stale: notices that a sensor fell silent.

use crate::error::{ParamError, interval};
use crate::{Cost, Quality};

/// Stage that notices, once, that a sensor fell silent, and that it came back.
///
/// Silence is measured in the caller's `now`, not in event time: a sensor whose clock is an hour slow is not stale.
/// If `now` jumps back, silence is noticed later by as much, until the next reading; if it jumps ahead, sensors may
/// be reported stale too early, and recover with their next reading. Both go away with a monotonic `now`.
///
/// ```
/// # use edge_filter::time::{Stale, StaleState};
/// let stale = Stale::after_ms(30_000)?;
/// let mut state = StaleState::default();
/// stale.seen(&mut state, 0);
/// assert!(stale.expired(&mut state, 30_000));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    timeout_ms: i64,
    heartbeat_ms: Option<i64>,
}

/// State of a [`Stale`] per sensor. By default the sensor was never seen, and cannot be stale.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(into = "Option<i64>", from = "Option<i64>"))]
pub struct StaleState {
    /// Time at which the sensor becomes stale, or [`NEVER_SEEN`] or [`STALE`], so that the state has 8 bytes.
    deadline: i64,
}

/// Deadline of a sensor that was never seen.
const NEVER_SEEN: i64 = i64::MIN;
/// Deadline of a sensor that is stale.
const STALE: i64 = i64::MIN + 1;

impl Default for StaleState {
    fn default() -> Self {
        StaleState { deadline: NEVER_SEEN }
    }
}

impl From<StaleState> for Option<i64> {
    /// Returns the saved form: the time of the deadline, `i64::MIN + 1` for a sensor that is stale, `None` for one that was never seen.
    fn from(state: StaleState) -> Self {
        (state != StaleState::default()).then_some(state.deadline)
    }
}

impl From<Option<i64>> for StaleState {
    fn from(deadline: Option<i64>) -> Self {
        deadline.map_or_else(StaleState::default, |deadline| StaleState { deadline })
    }
}

impl StaleState {
    /// Moves the deadline by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.deadline > STALE {
            self.deadline = self.deadline.wrapping_add(by_ms);
        }
    }

    /// Returns whether the sensor is stale now.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.deadline == STALE
    }
}

impl Stale {
    /// Quality with which the last value is reported: `UncertainLastUsableValue`, Sparkplug's STALE.
    pub const QUALITY: Quality = Quality::UNCERTAIN_LAST_USABLE;

    /// Creates a stage for which a sensor is stale when it was not seen for `timeout_ms`.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn after_ms(timeout_ms: i64) -> Result<Self, ParamError> {
        Ok(Stale { timeout_ms: interval("timeout_ms", timeout_ms)?, heartbeat_ms: None })
    }

    /// Records the arrival of a reading. Returns whether the sensor was stale; then the reading must pass, whatever its
    /// value.
    pub fn seen(&self, state: &mut StaleState, now_ms: i64) -> bool {
        let was_stale = state.is_stale();
        state.deadline = now_ms.saturating_add(self.timeout_ms).max(STALE + 1);
        was_stale
    }

    /// Returns `true` once per silence, when it has lasted `timeout_ms`.
    pub fn expired(&self, state: &mut StaleState, now_ms: i64) -> bool {
        let expired = self.deadline(state).is_some_and(|deadline| deadline <= now_ms);
        if expired {
            state.deadline = STALE;
        }
        expired
    }

    /// Returns the time at which [`Stale::expired`] will return `true`; `None` if the sensor is stale or was never seen.
    #[must_use]
    pub fn deadline(&self, state: &StaleState) -> Option<i64> {
        (state.deadline > STALE).then_some(state.deadline)
    }

    /// Repeats the last value after every `ms` of silence until the sensor is stale, for consumers that need a sign of life. Only a
    /// [`Pipeline`](crate::Pipeline) does that, on its ticks. The repeats are synthetic.
    ///
    /// # Errors
    /// If the time is less than 1 ms, or not less than the timeout.
    pub fn heartbeat_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        if interval("heartbeat_ms", ms)? >= self.timeout_ms {
            return Err(ParamError::new("heartbeat_ms", "less than `timeout_ms`", ms));
        }
        self.heartbeat_ms = Some(ms);
        Ok(self)
    }

    pub(crate) fn timeout(&self) -> i64 {
        self.timeout_ms
    }

    pub(crate) fn heartbeat(&self) -> Option<i64> {
        self.heartbeat_ms
    }
}

impl Cost for Stale {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_reported_once_and_recovery_once() -> Result<(), ParamError> {
        let (stale, mut state) = (Stale::after_ms(1000)?, StaleState::default());
        assert!(!stale.expired(&mut state, i64::MAX), "never seen");
        assert!(!stale.seen(&mut state, 0));
        assert!(!stale.expired(&mut state, 999));
        assert!(stale.expired(&mut state, 1000));
        assert!(!stale.expired(&mut state, 5000), "once");
        assert_eq!(stale.deadline(&state), None);
        assert!(stale.seen(&mut state, 6000));
        assert!(!stale.seen(&mut state, 6001));
        assert_eq!(stale.deadline(&state), Some(7001));
        Ok(())
    }

    #[test]
    fn a_deadline_at_the_end_of_time_does_not_overflow() -> Result<(), ParamError> {
        let (stale, mut state) = (Stale::after_ms(i64::MAX)?, StaleState::default());
        stale.seen(&mut state, i64::MAX);
        assert_eq!(stale.deadline(&state), Some(i64::MAX));
        assert!(Stale::after_ms(0).is_err());
        assert!(Stale::after_ms(-5).is_err());
        Ok(())
    }
}
