//! Interlock: drives outputs to their safe state when a condition over inputs demands it, and keeps them there.

mod bypass;
mod condition;
mod voting;

pub use condition::{Condition, Test};
pub use voting::{Degraded, Vote};

use crate::Cost;
use crate::error::{ParamError, delay, interval};
use bypass::{Bypass, BypassTime};
use std::fmt;

/// Interlock: a trip condition with a latch, a reset and a bypass.
///
/// **Not a safety function.** It is software on an ordinary computer: no SIL (IEC 61508, IEC 61511), no PL (ISO 13849), no
/// certified fault detection. People, and what cannot be replaced, are protected by an independent, certified system.
///
/// * Energised is healthy. Before every input was good once it is tripped.
/// * An input that is bad, stale, not finite or missing is *unknown*, and so is a contact that is neither 0 nor 1; a condition that
///   depends on it is; unknown trips. See
///   [`Vote`] and [`Degraded`].
/// * A trip latches. `Reset::Manual` (default) waits for [`Interlock::reset`], which is refused while the condition is not
///   healthy; `Reset::Auto` resets when the condition was healthy for a time.
/// * A bypass energises for a stated time; afterwards the condition and the latch count again. A trip that comes under a
///   bypass latches, also if it is gone when the bypass ends: reset it before, if nothing is to stop. Bypasses add up to
///   `max_bypass_ms` at most, until the interlock went as long without one. A clock that was set back ends a bypass.
///
/// ```
/// # use edge_filter::{*, interlock::*};
/// let stop = Condition::Input { input: 0, test: Test::IsFalse };
/// let estop = Interlock::new(stop)?;
/// let mut state = InterlockState::default();
/// let closed = |_| Some(1.0);
/// assert!(!estop.evaluate(&mut state, &closed, 0).energised, "tripped until somebody resets it");
/// estop.reset(&mut state, &closed, 1)?;
/// assert!(estop.evaluate(&mut state, &closed, 2).energised);
/// let lost = |_| None;
/// assert!(!estop.evaluate(&mut state, &lost, 3).energised);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Interlock {
    trip_when: Condition,
    reset: Reset,
    max_bypass_ms: Option<i64>,
}

/// Way in which a trip is reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// An operator resets the interlock ([`Interlock::reset`]) when the condition is healthy.
    #[default]
    Manual,
    /// The interlock resets by itself when the condition was healthy for `after_ms` without a break.
    Auto {
        /// Time before the reset in milliseconds; 0 resets at once.
        after_ms: i64,
    },
}

/// State of an [`Interlock`]. The default is tripped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct InterlockState {
    /// False if the interlock is tripped, so that the default is the safe state.
    released: bool,
    healthy_since: Option<i64>,
    bypass: Option<Bypass>,
    #[cfg_attr(feature = "config", serde(default, skip_serializing_if = "crate::value::is_default"))]
    bypass_time: BypassTime,
}

impl InterlockState {
    /// Returns the state to store for the next process. A running bypass ends with the process in which an operator was
    /// responsible for it, and all of its time counts.
    pub(crate) fn without_bypass(self) -> Self {
        let bypass_time = self.bypass.map_or(self.bypass_time, |bypass| self.bypass_time.and_all_of(bypass));
        InterlockState { bypass: None, bypass_time, ..self }
    }

    /// Adapts a state that an earlier process stored. A time in the future, from a clock that was set back since,
    /// becomes now. So does the end of the last bypass, because a wrong clock in either process could make the bypass
    /// time count too little.
    pub(crate) fn of_earlier_run(self, now_ms: i64) -> Self {
        InterlockState {
            healthy_since: self.healthy_since.map(|since| since.min(now_ms)),
            bypass_time: self.bypass_time.of_earlier_run(now_ms),
            ..self
        }
    }

    /// Forgets since when the condition holds: nobody saw it meanwhile.
    pub(crate) fn stood_still(&mut self) {
        self.healthy_since = None;
    }

    /// Adds the time of a bypass that is over.
    fn settle_bypass(&mut self, now_ms: i64) {
        if let Some(bypass) = self.bypass.take_if(|bypass| !bypass.holds(now_ms)) {
            self.bypass_time = self.bypass_time.and(bypass, now_ms);
        }
    }
}

/// Present status of an interlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterlockStatus {
    /// True if the outputs may leave their safe state.
    pub energised: bool,
    /// Vote of the condition.
    pub demand: Vote,
    /// True if the interlock is tripped, bypassed or not. It waits for a reset, or for its condition to be healthy.
    pub tripped: bool,
    /// True if an input of the condition is not good.
    pub degraded: bool,
    /// True if the outputs are energised by a bypass alone.
    pub bypassed: bool,
}

/// Reason for which a reset or a bypass was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterlockError {
    /// The condition still demands a trip, or is unknown.
    NotHealthy {
        /// Vote of the interlock's condition.
        demand: Vote,
    },
    /// The interlock may not be bypassed for the requested time.
    BypassTime {
        /// Longest time in milliseconds; `None` if the interlock may not be bypassed at all.
        max_ms: Option<i64>,
    },
    /// Earlier bypasses took so much of the allowed time that this one does not fit.
    BypassSpent {
        /// Longest time of all bypasses together in milliseconds, until the interlock went as long without one.
        max_ms: i64,
        /// Milliseconds that are left for bypasses.
        left_ms: i64,
    },
}

impl fmt::Display for InterlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterlockError::NotHealthy { demand: Vote::Unknown } => {
                f.write_str("no reset: an input that the condition depends on is not good")
            }
            InterlockError::NotHealthy { .. } => f.write_str("no reset: the condition still demands a trip"),
            InterlockError::BypassTime { max_ms: Some(max) } => {
                write!(f, "the interlock may be bypassed for 1 ms to {max} ms")
            }
            InterlockError::BypassTime { max_ms: None } => f.write_str("the interlock may not be bypassed"),
            InterlockError::BypassSpent { max_ms, left_ms } => {
                write!(
                    f,
                    "bypasses add up: {left_ms} ms are left until the interlock went {max_ms} ms without one"
                )
            }
        }
    }
}

impl std::error::Error for InterlockError {}

impl Interlock {
    /// Creates an interlock that trips when the condition demands it, with manual reset and without bypass.
    ///
    /// # Errors
    /// If the tree has an empty list, a limit that is not finite, a `k` outside its range, or more than 16 levels.
    pub fn new(trip_when: Condition) -> Result<Self, ParamError> {
        trip_when.check(1)?;
        Ok(Interlock { trip_when, reset: Reset::default(), max_bypass_ms: None })
    }

    /// Sets how a trip is reset. Default manual.
    ///
    /// # Errors
    /// If the time of an automatic reset is negative.
    pub fn reset_by(mut self, reset: Reset) -> Result<Self, ParamError> {
        if let Reset::Auto { after_ms } = reset {
            delay("reset_after_ms", after_ms)?;
        }
        self.reset = reset;
        Ok(self)
    }

    /// Sets the longest bypass in milliseconds, which is also the longest time of all bypasses together: they add up until the interlock went
    /// as long without one. Default: no bypass is allowed.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_bypass_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_bypass_ms = Some(interval("max_bypass_ms", ms)?);
        Ok(self)
    }

    /// Returns the condition that trips the interlock.
    #[must_use]
    pub fn trip_when(&self) -> &Condition {
        &self.trip_when
    }

    /// Returns whether a trip stays until [`Interlock::reset`].
    #[must_use]
    pub fn is_reset_by_hand(&self) -> bool {
        self.reset == Reset::Manual
    }

    /// Evaluates the condition with the present inputs. Call it after every input and at every tick, because inputs
    /// become stale and bypasses end without a reading. `read` returns an input's value, `None` if it is not good, as
    /// [`Inputs`](crate::control::Inputs) does. It costs one visit per node of the tree.
    pub fn evaluate(
        &self,
        state: &mut InterlockState,
        read: &impl Fn(usize) -> Option<f64>,
        now_ms: i64,
    ) -> InterlockStatus {
        let demand = self.trip_when.vote(read);
        state.settle_bypass(now_ms);
        let bypassed = state.bypass.is_some();
        if demand == Vote::Healthy {
            let since = *state.healthy_since.get_or_insert(now_ms);
            if let Reset::Auto { after_ms } = self.reset
                && now_ms.saturating_sub(since) >= after_ms
            {
                state.released = true;
            }
        } else {
            state.healthy_since = None;
            // Under a bypass too: it rides through the trip, and does not hide it from whoever comes after it.
            state.released = false;
        }
        let healthy = state.released && demand == Vote::Healthy;
        InterlockStatus {
            energised: healthy || bypassed,
            demand,
            tripped: !healthy,
            degraded: self.trip_when.is_degraded(read),
            bypassed: bypassed && !healthy,
        }
    }

    /// Resets a trip, as an operator asks for.
    ///
    /// # Errors
    /// If the condition is not healthy.
    pub fn reset(
        &self,
        state: &mut InterlockState,
        read: &impl Fn(usize) -> Option<f64>,
        now_ms: i64,
    ) -> Result<(), InterlockError> {
        match self.evaluate(state, read, now_ms).demand {
            Vote::Healthy => {
                state.released = true;
                Ok(())
            }
            demand => Err(InterlockError::NotHealthy { demand }),
        }
    }

    /// Energises the interlock for a time, whatever its condition. A second bypass replaces the first, whose time until now counts.
    ///
    /// # Errors
    /// If no bypass is allowed, or not for so long, alone or together with earlier bypasses; a running bypass then
    /// continues.
    pub fn bypass(&self, state: &mut InterlockState, for_ms: i64, now_ms: i64) -> Result<(), InterlockError> {
        let Some(max_ms) = self.max_bypass_ms.filter(|max| (1..=*max).contains(&for_ms)) else {
            return Err(InterlockError::BypassTime { max_ms: self.max_bypass_ms });
        };
        state.settle_bypass(now_ms);
        let before = state.bypass_time.not_after(now_ms);
        let taken = match state.bypass {
            Some(bypass) => before.and(bypass, now_ms),
            None => before.after_rest(max_ms, now_ms),
        };
        let left_ms = taken.left(max_ms);
        if for_ms > left_ms {
            return Err(InterlockError::BypassSpent { max_ms, left_ms });
        }
        (state.bypass, state.bypass_time) = (Some(Bypass::new(now_ms, for_ms)), taken);
        Ok(())
    }

    /// Ends a bypass before its time.
    pub fn end_bypass(&self, state: &mut InterlockState) {
        state.bypass.iter_mut().for_each(Bypass::end);
    }
}

impl Cost for Interlock {}
