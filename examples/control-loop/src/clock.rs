//! Monotonic clock of all threads, in nanoseconds since the Unix epoch by the wall clock at the start.

#![allow(clippy::disallowed_methods, reason = "a shell: the clock of the control thread")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic clock. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_ns: u64,
}

impl Clock {
    /// Starts the clock now.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A wall clock at the epoch would make 0, which means "never".
        Clock { start: Instant::now(), start_ns: u64::try_from(wall.as_nanos()).unwrap_or(0).max(1) }
    }

    /// Nanoseconds since the Unix epoch, if the wall clock was right at the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        let since = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.start_ns.saturating_add(since)
    }

    /// Sleeps until this time, or a little longer.
    pub fn sleep_until(&self, at_ns: u64) {
        let left = at_ns.saturating_sub(self.now_ns());
        if left > 0 {
            std::thread::sleep(Duration::from_nanos(left));
        }
    }
}
