//! Close of a link that is under way: until when the hub may still acknowledge messages, and who waits for the end.

use std::time::Duration;

use tokio::sync::oneshot;

/// Longest wait for the hub, so that no limit of the application's overflows the clock.
const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Requests to close a link. Several may come, from several handles; the earliest limit counts.
#[derive(Debug, Default)]
pub(super) struct Closing {
    until_ms: Option<u64>,
    waiters: Vec<oneshot::Sender<u64>>,
}

impl Closing {
    /// Takes a request to close the link as soon as the hub has everything, but at the latest in `limit`.
    pub(super) fn request(&mut self, now_ms: u64, limit: Duration, waiter: oneshot::Sender<u64>) {
        let limit_ms = u64::try_from(limit.min(LIMIT_MAX).as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(limit_ms);
        self.until_ms = Some(self.until_ms.map_or(until_ms, |earlier| earlier.min(until_ms)));
        self.waiters.push(waiter);
    }

    /// Returns whether the link is to end now. `is_drained` tells whether the hub has everything.
    pub(super) fn is_due(&self, now_ms: u64, is_drained: impl FnOnce() -> bool) -> bool {
        self.until_ms.is_some_and(|until_ms| now_ms >= until_ms || is_drained())
    }

    /// Up time at which the link ends in any case, in milliseconds; `None` while nobody has asked for its end.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.until_ms
    }

    /// Tells all that wait how many messages the hub has not acknowledged.
    pub(super) fn tell(self, undelivered: u64) {
        for waiter in self.waiters {
            // Whoever does not wait any more does not want to know.
            let _ = waiter.send(undelivered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(closing: &mut Closing, now_ms: u64, limit: Duration) -> oneshot::Receiver<u64> {
        let (waiter, answer) = oneshot::channel();
        closing.request(now_ms, limit, waiter);
        answer
    }

    #[test]
    fn the_earliest_limit_counts_and_all_are_told() {
        let mut closing = Closing::default();
        assert!(!closing.is_due(u64::MAX, || true), "nobody has asked");
        let mut first = close(&mut closing, 1_000, Duration::from_secs(10));
        assert!(closing.is_due(1_000, || true) && !closing.is_due(10_999, || false));
        let mut second = close(&mut closing, 2_000, Duration::from_secs(1));
        let mut third = close(&mut closing, 2_000, Duration::from_secs(5));
        assert_eq!(closing.next_deadline(), Some(3_000));
        assert!(!closing.is_due(2_999, || false) && closing.is_due(3_000, || false));
        closing.tell(7);
        let answers = [&mut first, &mut second, &mut third].map(|answer| answer.try_recv().ok());
        assert_eq!(answers, [Some(7); 3]);
    }

    #[test]
    fn no_limit_is_beyond_the_clock() {
        let mut closing = Closing::default();
        let _answer = close(&mut closing, 1_000, Duration::MAX);
        assert_eq!(closing.next_deadline(), Some(1_000 + 365 * 24 * 3_600_000));
    }
}
