//! Stop-and-wait detection: finds publishers that wait for each PUBACK before their next message, for which the queue should commit at once.

/// Number of unacknowledged messages at which a publisher counts as blocked, if its own limit is unknown.
const WINDOW_UNKNOWN: usize = 10;
/// Milliseconds after a PUBACK within which the next PUBLISH shows that the publisher waited for it.
const QUICK_MS: u64 = 50;
/// Least delay of a PUBACK, in milliseconds, from which a conclusion is drawn. After a quick PUBACK a publisher with a period of its own may
/// publish soon by chance, and would keep the queue committing, which keeps the PUBACKs quick.
const SLOW_MS: u64 = 100;
/// Number of such PUBLISHes in a row after which a publisher counts as stop-and-wait.
const QUICK_IN_A_ROW: u8 = 3;
/// Milliseconds after which the conclusion is dropped; one more slow PUBACK then shows if the publisher still waits.
const FORGET_MS: u64 = 10_000;

/// One publisher, judged by the times of its PUBLISHes and of the PUBACKs to it.
#[derive(Debug, Clone)]
pub(super) struct StopAndWait {
    window: Window,
    unacked: usize,
    /// Up time of the only message in flight; `None` if there is none, or if the publisher sent another one without its PUBACK.
    asked_ms: Option<u64>,
    /// Up time of the PUBACK that the publisher may have waited for; `None` if it did not wait.
    answered_ms: Option<u64>,
    quick: u8,
    waiting_until_ms: u64,
}

#[derive(Debug, Clone)]
enum Window {
    /// Most messages that the publisher ever left unacknowledged, at least [`WINDOW_UNKNOWN`].
    Learned(usize),
    Known(usize),
}

impl StopAndWait {
    /// Creates the state of a new publisher. `window` is the most messages that it leaves unacknowledged; `None` if that is not known.
    pub(super) fn new(window: Option<u16>) -> Self {
        let window = match window {
            Some(window) => Window::Known(usize::from(window.max(1))),
            None => Window::Learned(WINDOW_UNKNOWN),
        };
        Self { window, unacked: 0, asked_ms: None, answered_ms: None, quick: 0, waiting_until_ms: 0 }
    }

    /// Judges by a PUBLISH of QoS 1 whether the publisher waits for each PUBACK: this one came soon after the last PUBACK, or before it.
    pub(super) fn on_publish(&mut self, now_ms: u64) {
        if self.unacked == 0 {
            if let Some(at_ms) = self.answered_ms.take() {
                let quick = now_ms.saturating_sub(at_ms) < QUICK_MS;
                self.quick = if quick { self.quick.saturating_add(1) } else { 0 };
            }
            self.asked_ms = Some(now_ms);
        } else {
            // It goes on without its PUBACK.
            (self.asked_ms, self.answered_ms, self.quick, self.waiting_until_ms) = (None, None, 0, 0);
        }
        if self.quick >= QUICK_IN_A_ROW {
            self.waiting_until_ms = now_ms + FORGET_MS;
            self.quick = QUICK_IN_A_ROW - 1;
        }
        self.unacked += 1;
        if let Window::Learned(most) = &mut self.window
            && self.unacked > *most
        {
            *most = self.unacked;
        }
    }

    /// Records the PUBACK of a message.
    pub(super) fn on_puback(&mut self, now_ms: u64) {
        self.unacked = self.unacked.saturating_sub(1);
        if self.unacked == 0 {
            let waited = |asked_ms: u64| now_ms.saturating_sub(asked_ms) >= SLOW_MS;
            self.answered_ms = self.asked_ms.take().filter(|at_ms| waited(*at_ms)).map(|_| now_ms);
        }
    }

    /// Returns whether the publisher is blocked until a PUBACK.
    pub(super) fn stands_still(&self, now_ms: u64) -> bool {
        self.unacked > 0 && (self.unacked >= self.window() || now_ms < self.waiting_until_ms)
    }

    fn window(&self) -> usize {
        match self.window {
            Window::Known(window) => window,
            Window::Learned(most) => most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_is_blocked() {
        let mut publisher = StopAndWait::new(Some(2));
        publisher.on_publish(0);
        assert!(!publisher.stands_still(0));
        publisher.on_publish(0);
        assert!(publisher.stands_still(0));
        publisher.on_puback(1);
        assert!(!publisher.stands_still(1));
    }

    #[test]
    fn one_that_goes_on_beyond_the_assumed_window_is_not_blocked_there_again() {
        let mut publisher = StopAndWait::new(None);
        let mut blocked_at = Vec::new();
        for round in 0..3 {
            for n in 1..=15 {
                publisher.on_publish(round * 1000 + n);
                if publisher.stands_still(round * 1000 + n) {
                    blocked_at.push((round, n));
                }
            }
            (0..15).for_each(|_| publisher.on_puback(round * 1000 + 900));
        }
        let first: Vec<_> = (10..=15).map(|n| (0, n)).collect();
        assert_eq!(blocked_at, [first, vec![(1, 15), (2, 15)]].concat());
    }

    #[test]
    fn three_quick_answers_make_a_waiting_publisher_for_ten_seconds() {
        let mut publisher = StopAndWait::new(None);
        let mut now_ms = 0;
        for n in 0..4 {
            publisher.on_publish(now_ms);
            assert_eq!(publisher.stands_still(now_ms), n == 3, "message {n}");
            now_ms += 1000;
            publisher.on_puback(now_ms);
            now_ms += 20;
        }
        // Served at once, it goes on at once.
        let end_ms = now_ms + 10_000;
        while now_ms < end_ms {
            publisher.on_publish(now_ms);
            publisher.on_puback(now_ms + 5);
            now_ms += 15;
        }
        publisher.on_publish(now_ms);
        assert!(!publisher.stands_still(now_ms), "forgotten");
        publisher.on_puback(now_ms + 1000);
        publisher.on_publish(now_ms + 1010);
        assert!(publisher.stands_still(now_ms + 1010), "one slow PUBACK shows that it still waits");
    }

    #[test]
    fn a_period_shorter_than_the_quick_time_is_not_taken_for_waiting() {
        // 25 messages per second: commits come each second, or with somebody else's at once.
        let mut publisher = StopAndWait::new(Some(1000));
        let mut still = 0;
        for second in 0..60_u64 {
            for n in 0..25 {
                let now_ms = second * 1000 + n * 40;
                publisher.on_publish(now_ms);
                still += u32::from(publisher.stands_still(now_ms));
                if second >= 30 {
                    publisher.on_puback(now_ms + 3);
                }
            }
            if second < 30 {
                (0..25).for_each(|_| publisher.on_puback(second * 1000 + 995));
            }
        }
        assert_eq!(still, 0);
    }

    #[test]
    fn a_pipeline_is_not_taken_for_a_waiting_publisher() {
        let mut publisher = StopAndWait::new(Some(1000));
        publisher.on_publish(0);
        for n in 1..100 {
            publisher.on_publish(n * 33);
            publisher.on_puback(n * 33 + 10);
            assert!(!publisher.stands_still(n * 33 + 10));
        }
    }

    #[test]
    fn one_message_every_three_seconds_never_asks_for_a_commit() {
        let mut publisher = StopAndWait::new(None);
        for n in 0..50 {
            publisher.on_publish(n * 3333);
            assert!(!publisher.stands_still(n * 3333));
            publisher.on_puback(n * 3333 + 1000);
        }
    }
}
