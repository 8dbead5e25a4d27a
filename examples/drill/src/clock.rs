//! The drill's clock: one origin for the story's milliseconds and for Unix milliseconds, so that the two never drift apart.

#![allow(clippy::disallowed_methods, reason = "the drill is a shell: this is its one clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    zero: Instant,
    zero_unix_ms: i64,
}

impl Clock {
    /// Starts the clock: instant 0 of the story is now.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            zero: Instant::now(),
            zero_unix_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Returns a clock with another instant 0, now, and the very same Unix time.
    pub(crate) fn restart(self) -> Self {
        let zero = Instant::now();
        let shift_ms = u64::try_from((zero - self.zero).as_millis()).unwrap_or(u64::MAX);
        Self { zero, zero_unix_ms: self.unix_of(shift_ms) }
    }

    pub(crate) fn story_ms(self) -> u64 {
        u64::try_from(self.zero.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn unix_ms(self) -> i64 {
        self.unix_of(self.story_ms())
    }

    pub(crate) fn unix_of(self, story_ms: u64) -> i64 {
        self.zero_unix_ms.saturating_add_unsigned(story_ms)
    }

    pub(crate) async fn until(self, story_ms: u64) {
        tokio::time::sleep_until(self.zero + Duration::from_millis(story_ms)).await;
    }
}
