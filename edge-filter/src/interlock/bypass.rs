//! Bypasses of an interlock: the running one, and the total time of the ended ones, so that a chain of bypasses is not longer than a single one
//! may be.

/// Bypass that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Bypass {
    since_now: i64,
    for_ms: i64,
    /// True if an operator ended the bypass before its time.
    #[cfg_attr(feature = "config", serde(default))]
    ended: bool,
}

impl Bypass {
    pub(super) fn new(since_now: i64, for_ms: i64) -> Self {
        Bypass { since_now, for_ms, ended: false }
    }

    /// Returns whether the bypass is still in effect. A clock that was set back ends it.
    pub(super) fn holds(self, now_ms: i64) -> bool {
        let in_time = now_ms >= self.since_now && now_ms.saturating_sub(self.since_now) < self.for_ms;
        in_time && !self.ended
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    fn until(self) -> i64 {
        self.since_now.saturating_add(self.for_ms)
    }
}

/// Total time of ended bypasses in milliseconds. By default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct BypassTime {
    ms: i64,
    /// Time at which the last bypass ended.
    until: i64,
}

impl BypassTime {
    /// Adds the whole time of a bypass that ends with the process, because its end is not recorded.
    pub(super) fn and_all_of(self, bypass: Bypass) -> Self {
        BypassTime { ms: self.ms.saturating_add(bypass.for_ms), until: bypass.until() }
    }

    /// Adds a bypass that ended, or is replaced, at `now_ms`. If the clock was set back the whole of it counts, because
    /// its true length is unknown.
    pub(super) fn and(self, bypass: Bypass, now_ms: i64) -> Self {
        if now_ms < bypass.since_now {
            return self.and_all_of(bypass).not_after(now_ms);
        }
        let until = bypass.until().min(now_ms);
        BypassTime { ms: self.ms.saturating_add(until.saturating_sub(bypass.since_now)), until }
    }

    /// Sets the end of the last bypass to now if a clock that was set back has it in the future. A time below zero, from a damaged state,
    /// becomes 0.
    pub(super) fn not_after(self, now_ms: i64) -> Self {
        BypassTime { ms: self.ms.max(0), until: self.until.min(now_ms) }
    }

    /// Starts the pause since the last bypass now, because the clock of another run does not show how long ago it ended.
    pub(super) fn of_earlier_run(self, now_ms: i64) -> Self {
        if self.ms > 0 { BypassTime { until: now_ms, ..self } } else { BypassTime::default() }
    }

    /// Forgets the total time once `max_ms` have passed without a bypass.
    pub(super) fn after_rest(self, max_ms: i64, now_ms: i64) -> Self {
        if now_ms.saturating_sub(self.until) >= max_ms { BypassTime::default() } else { self }
    }

    /// Returns the milliseconds of `max_ms` that are left for bypasses.
    pub(super) fn left(self, max_ms: i64) -> i64 {
        max_ms.saturating_sub(self.ms).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, Interlock, InterlockError, InterlockState, Test};
    use crate::error::ParamError;

    /// Nobody knows how long a bypass lasted that was replaced after the clock was set back: it counts as the whole of it.
    #[test]
    fn promise_14_a_clock_that_was_set_back_gives_no_time_of_bypass_back() -> Result<(), ParamError> {
        let condition = Condition::Input { input: 0, test: Test::IsFalse };
        let interlock = Interlock::new(condition)?.max_bypass_ms(1_000)?;
        let mut state = InterlockState::default();
        assert_eq!(interlock.bypass(&mut state, 600, 5_000), Ok(()));
        let refused = interlock.bypass(&mut state, 500, 2_000);
        assert_eq!(refused, Err(InterlockError::BypassSpent { max_ms: 1_000, left_ms: 400 }));
        assert_eq!(interlock.bypass(&mut state, 400, 2_000), Ok(()));
        Ok(())
    }
}
