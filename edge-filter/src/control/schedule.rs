//! Schedule of scans with absolute deadlines, so that lateness does not add up.

/// Schedule with the deadlines `start + n·period`. A scan that comes late does not move the next one. Deadlines that passed meanwhile are
/// skipped and counted, never made up in a burst.
///
/// ```
/// use edge_filter::control::Schedule;
///
/// let mut schedule = Schedule::new(0, 10_000_000);
/// assert_eq!(schedule.deadline_ns(), 10_000_000);
/// let wake = schedule.wake(34_000_000).unwrap(); // slept through two more
/// assert_eq!((wake.late_ns, wake.missed, schedule.deadline_ns()), (24_000_000, 2, 40_000_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    period_ns: u64,
    next_ns: u64,
    last_wake_ns: Option<u64>,
}

/// Punctuality of a wake-up of the control thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wake {
    /// Lateness after the deadline, in nanoseconds.
    pub late_ns: u64,
    /// Difference in nanoseconds between the time since the last wake-up and the period; `None` for the first wake-up.
    pub period_error_ns: Option<u64>,
    /// Number of deadlines that passed without a wake-up.
    pub missed: u64,
}

impl Schedule {
    /// Creates a schedule whose first deadline is one period after `start_ns`. A period of 0 counts as 1 ns.
    #[must_use]
    pub fn new(start_ns: u64, period_ns: u64) -> Self {
        let period_ns = period_ns.max(1);
        Schedule { period_ns, next_ns: start_ns.saturating_add(period_ns), last_wake_ns: None }
    }

    /// Returns the time of the next wake-up, in nanoseconds.
    #[must_use]
    pub fn deadline_ns(&self) -> u64 {
        self.next_ns
    }

    /// Records a wake-up of the control thread. At or after the deadline, sets the first deadline after `now_ns`, and
    /// returns how punctual the wake-up was; before the deadline, returns `None`.
    pub fn wake(&mut self, now_ns: u64) -> Option<Wake> {
        let late_ns = now_ns.checked_sub(self.next_ns)?;
        let missed = late_ns / self.period_ns;
        let steps = missed.saturating_add(1).saturating_mul(self.period_ns);
        self.next_ns = self.next_ns.saturating_add(steps);
        let last = self.last_wake_ns.replace(now_ns);
        let period_error_ns = last.map(|last| now_ns.saturating_sub(last).abs_diff(self.period_ns));
        Some(Wake { late_ns, period_error_ns, missed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_does_not_add_up_and_missed_periods_are_skipped() {
        let mut schedule = Schedule::new(100, 10);
        assert_eq!((schedule.wake(109), schedule.deadline_ns()), (None, 110));
        assert_eq!(schedule.wake(113), Some(Wake { late_ns: 3, period_error_ns: None, missed: 0 }));
        assert_eq!(schedule.deadline_ns(), 120);
        assert_eq!(schedule.wake(121), Some(Wake { late_ns: 1, period_error_ns: Some(2), missed: 0 }));
        assert_eq!(schedule.wake(165), Some(Wake { late_ns: 35, period_error_ns: Some(34), missed: 3 }));
        assert_eq!(schedule.deadline_ns(), 170);
        let mut end = Schedule::new(u64::MAX - 5, 10);
        assert_eq!(end.deadline_ns(), u64::MAX);
        assert!(end.wake(u64::MAX).is_some() && Schedule::new(0, 0).wake(u64::MAX).is_some());
    }
}
