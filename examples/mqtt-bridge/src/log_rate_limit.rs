//! Count of an event, and the rate limit of its log lines.

use tokio::time::{Duration, Instant};

/// Shortest time between two log lines about one cause.
pub(crate) const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Counter of one cause, with the rate limit of its log lines.
#[derive(Default)]
pub(crate) struct Cause {
    pub(crate) count: u64,
    pub(crate) said_at: Option<Instant>,
}

impl Cause {
    /// Counts one more. `Some` with the count if a log line is due.
    pub(crate) fn add(&mut self) -> Option<u64> {
        self.count += 1;
        let now = Instant::now();
        if self.said_at.is_some_and(|said_at| now < said_at + SAID_AGAIN) {
            return None;
        }
        self.said_at = Some(now);
        Some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_told_once_a_minute_with_its_count() {
        let mut cause = Cause::default();
        assert_eq!([cause.add(), cause.add(), cause.add()], [Some(1), None, None]);
        tokio::time::advance(SAID_AGAIN).await;
        assert_eq!([cause.add(), cause.add()], [Some(4), None]);
    }
}
