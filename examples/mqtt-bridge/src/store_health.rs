//! Log lines about failing stores: while the store of a queue fails, nobody gets a PUBACK for what the queue takes, and a log without a reason
//! would leave the operator with clients that wait. A store that fails and works in turns is told once a minute. And log lines about what a store
//! found: damage, and limits that are not in force.

use edge_bridge::escape::Escaped;
use edge_queue::{Event, FaultKind, Health, Stats};
use tokio::time::{Duration, Instant, timeout};

use crate::log_rate_limit::SAID_AGAIN;

/// Time limit of a queue's statistics: they may be read from the disk, which may hang. Longer than a call takes that counts as stalled, so that the next
/// ones, which do not wait for that call, tell of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Waits for statistics of a queue; `None` if they take too long.
pub(crate) async fn in_time(stats: impl Future<Output = Option<Stats>>) -> Option<Stats> {
    timeout(ANSWER_WITHIN, stats).await.ok().flatten()
}

/// Logs what a queue's store found when it was opened, or later. Its failures and their ends have lines of their own, and a lower rate.
pub(crate) fn tell_events(connection: &str, side: &'static str, events: &[Event]) {
    let is_of_health = |event: &&Event| matches!(event, Event::Degraded { .. } | Event::Recovered);
    for event in events.iter().filter(|event| !is_of_health(event)) {
        tracing::warn!(connection = %Escaped(connection), side, %event, "the queue");
    }
}

/// State of a queue's store that the last log line was about.
#[derive(Debug, Default)]
pub(crate) struct ToldHealth {
    /// `None`: the store worked.
    failure: Option<FaultKind>,
    said_at: Option<Instant>,
}

impl ToldHealth {
    /// Logs a failure of another kind than the last one, and the end of a failure, if a line is due. `side` is that to which the queue's messages go.
    pub(crate) fn update(&mut self, now: Instant, connection: &str, side: &'static str, stats: &Stats) {
        let connection = Escaped(connection);
        let (failure, reason) = match &stats.health {
            Health::Degraded { kind, reason, .. } => (Some(*kind), reason.as_str()),
            Health::Healthy => (None, ""),
            _ => return,
        };
        if !self.take(now, failure) {
            return;
        }
        if failure.is_some() {
            tracing::error!(%connection, side, reason, "the queue cannot store: what comes for it is not acknowledged until it can");
        } else {
            tracing::warn!(%connection, side, "the queue stores again");
        }
    }

    /// Returns whether a line about this state is due, which counts as logged then.
    fn take(&mut self, now: Instant, failure: Option<FaultKind>) -> bool {
        let is_due = self.said_at.is_none_or(|said_at| now >= said_at + SAID_AGAIN);
        if failure == self.failure || !is_due {
            return false;
        }
        (self.failure, self.said_at) = (failure, Some(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_and_works_in_turns_is_told_once_a_minute() {
        let (start, mut told) = (Instant::now(), ToldHealth::default());
        let (full, hangs) = (Some(FaultKind::DiskFull), Some(FaultKind::Stalled));
        for (s, failure, is_told) in [
            (0, None, false),
            (10, full, true),
            (20, None, false),
            (30, full, false),
            (69, None, false),
            (70, None, true),
            (80, hangs, false),
            (130, hangs, true),
            (140, hangs, false),
            (500, full, true),
            (510, None, false),
            (600, full, false),
        ] {
            assert_eq!(told.take(start + Duration::from_secs(s), failure), is_told, "after {s} s");
        }
    }

    /// As a worker does whose disk hangs.
    #[tokio::test(start_paused = true)]
    async fn a_queue_that_does_not_answer_is_waited_for_three_seconds() {
        let start = Instant::now();
        let stats = timeout(10 * ANSWER_WITHIN, in_time(std::future::pending())).await;
        assert!(stats.is_ok_and(|stats| stats.is_none()));
        assert_eq!(start.elapsed(), ANSWER_WITHIN);
    }
}
