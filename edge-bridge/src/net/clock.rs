//! Clock of the shell: the one place where the crate reads the time.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::ingest::Now;

/// Latest time that [`Clock::at`] turns into an instant, so that none overflows: a hundred years.
const AT_MAX_MS: u64 = 100 * 365 * 24 * 3_600_000;

/// Monotonic clock in milliseconds since the start of the shell, together with the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the clock at 1 ms, because a time of 0 could be read as "never".
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the present time of both clocks.
    pub fn now(&self) -> Now {
        let up_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { up_ms, wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Returns the instant of `up_ms`; of one in more than a hundred years that of the end of these.
    pub fn at(&self, up_ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(up_ms.saturating_sub(1).min(AT_MAX_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_beyond_the_clock() {
        let clock = Clock::start();
        assert_eq!(clock.at(u64::MAX), clock.at(AT_MAX_MS + 1));
        assert!(clock.at(AT_MAX_MS) < clock.at(AT_MAX_MS + 1) && clock.at(1) == clock.start);
    }
}
