//! Count of an event, and the rate limit of its log lines.

use std::future::pending;

use tokio::time::{Duration, Instant, sleep_until};

/// Shortest time between two log lines about one cause.
pub(crate) const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Counter of one cause, with the rate limit of its log lines. Each line has the count since the start.
#[derive(Default)]
pub(crate) struct Cause {
    pub(crate) count: u64,
    /// Count in the last line.
    told: u64,
    pub(crate) said_at: Option<Instant>,
}

impl Cause {
    /// Counts one more. `Some` with the count if a log line is due.
    pub(crate) fn add(&mut self) -> Option<u64> {
        self.count += 1;
        self.due()
    }

    /// Returns the count if a log line is due, which is written now.
    pub(crate) fn due(&mut self) -> Option<u64> {
        if self.due_at().is_some_and(|due_at| Instant::now() < due_at) { None } else { self.rest() }
    }

    /// Waits until a log line is due for what no line has told yet; for ever if there is nothing. Cancel-safe.
    pub(crate) async fn is_due(&self) {
        match self.due_at() {
            Some(due_at) => sleep_until(due_at).await,
            None => pending().await,
        }
    }

    /// Returns the count if no log line has told it yet, for a line that is written now.
    pub(crate) fn rest(&mut self) -> Option<u64> {
        if self.count == self.told {
            return None;
        }
        (self.told, self.said_at) = (self.count, Some(Instant::now()));
        Some(self.count)
    }

    fn due_at(&self) -> Option<Instant> {
        let after = |said_at| said_at + SAID_AGAIN;
        (self.count > self.told).then(|| self.said_at.map_or_else(Instant::now, after))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_told_once_a_minute_with_its_count() {
        let mut cause = Cause::default();
        assert_eq!([cause.add(), cause.add(), cause.add()], [Some(1), None, None]);
        tokio::time::advance(SAID_AGAIN).await;
        assert_eq!([cause.add(), cause.add()], [Some(4), None]);
    }

    /// No further event has to come for it.
    #[tokio::test(start_paused = true)]
    async fn what_no_line_has_told_is_due_a_minute_after_the_last_line() {
        let mut cause = Cause::default();
        assert_eq!((cause.is_due().now_or_never(), cause.rest()), (None, None), "nothing");
        assert_eq!([cause.add(), cause.add(), cause.add()], [Some(1), None, None]);
        let said_at = Instant::now();
        cause.is_due().await;
        assert_eq!(Instant::now(), said_at + SAID_AGAIN);
        assert_eq!([cause.rest(), cause.rest()], [Some(3), None]);
        assert_eq!(cause.is_due().now_or_never(), None);
        assert_eq!([cause.add(), cause.rest()], [None, Some(4)], "at a stop");
    }
}
