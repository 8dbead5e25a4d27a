//! Monotonic clock of all threads, in nanoseconds since the Unix epoch by the wall clock at the start; with the wall clock as it is now beside it.

#![allow(clippy::disallowed_methods, reason = "a shell: the clock of the control thread")]

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// Longest time between two looks at clocks that counts as none.
const AT_ONCE_NS: u64 = 100_000;
/// Attempts more to look at both clocks at once.
const READ_AGAIN: u32 = 3;

/// Monotonic clock, which goes on while the machine is suspended: a loop has to know that it stood still. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: fn() -> u64,
    /// Time of the source at the start.
    begun_ns: u64,
    start_ns: u64,
}

impl Clock {
    /// Starts the clock now.
    #[must_use]
    pub fn start() -> Self {
        Self::of(since_boot_ns)
    }

    /// Starts a clock that counts the nanoseconds of this source.
    pub(crate) fn of(source: fn() -> u64) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A wall clock at the epoch would make 0, which means "never".
        Clock { source, begun_ns: source(), start_ns: u64::try_from(wall.as_nanos()).unwrap_or(0).max(1) }
    }

    /// Nanoseconds since the Unix epoch, if the wall clock was right at the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        let since_ns = (self.source)().saturating_sub(self.begun_ns);
        self.start_ns.saturating_add(since_ns)
    }

    /// Returns a time of this clock, in milliseconds, as one of the wall clock: by what that says now, which somebody may have set since the start.
    #[must_use]
    pub fn wall_ms(&self, at_ms: i64) -> i64 {
        let read = || {
            let before_ns = self.now_ns();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            (self.now_ns().saturating_sub(before_ns), before_ns, wall)
        };
        // A thread that stood still between the two clocks would move the time by that.
        let mut best = read();
        for _ in 0..READ_AGAIN {
            if best.0 > AT_ONCE_NS {
                best = best.min(read());
            }
        }
        let (_, now_ns, wall) = best;
        moved(at_ms, now_ns, wall)
    }

    /// Parks the thread until this time, or a little longer, unless it is unparked before, or wakes by itself.
    pub(crate) fn park_until(&self, at_ns: u64) {
        let left = at_ns.saturating_sub(self.now_ns());
        if left > 0 {
            std::thread::park_timeout(Duration::from_nanos(left));
        }
    }

    /// Sleeps until this time, or a little longer.
    pub fn sleep_until(&self, at_ns: u64) {
        let left = at_ns.saturating_sub(self.now_ns());
        if left > 0 {
            std::thread::sleep(Duration::from_nanos(left));
        }
    }
}

/// Returns the nanoseconds since the machine started, with those for which it was suspended.
pub(crate) fn since_boot_ns() -> u64 {
    let now = clock_gettime(BOOT);
    let (s, ns) =
        (u64::try_from(now.tv_sec).unwrap_or_default(), u64::try_from(now.tv_nsec).unwrap_or_default());
    s.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Moves a time by the difference between the wall clock and this one at `now_ns`.
fn moved(at_ms: i64, now_ns: u64, wall: Duration) -> i64 {
    let ahead_ns = i128::try_from(wall.as_nanos()).unwrap_or(i128::MAX).saturating_sub(i128::from(now_ns));
    // Rounded: the two clocks are read one after the other, and a clock that nobody set moves nothing.
    let ahead_ms = ahead_ns.saturating_add(500_000).div_euclid(1_000_000);
    at_ms.saturating_add(i64::try_from(ahead_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_moved_by_what_the_wall_clock_was_set_by() {
        let start_ns = 60_000_000_000;
        for (wall, at_ms, expected) in [
            (Duration::from_secs(60), 59_990, 59_990),
            (Duration::from_micros(60_000_400), 59_990, 59_990),
            (Duration::from_micros(59_999_600), 59_990, 59_990),
            (Duration::from_secs(1_700_000_000), 59_990, 1_699_999_999_990),
            (Duration::ZERO, 60_500, 500),
            (Duration::MAX, 60_500, i64::MAX),
        ] {
            assert_eq!(moved(at_ms, start_ns, wall), expected, "{wall:?} {at_ms}");
        }
    }
}
