//! Whether a publisher stands still until its receipts come: then a commit is worth a write (DESIGN §3, Commit).

/// A publisher whose window is not known counts as blocked at this many unacknowledged messages.
const WINDOW_UNKNOWN: usize = 10;
/// A PUBLISH this soon after our PUBACK was waiting for it.
const QUICK_MS: u64 = 50;
/// So many in a row make a waiting publisher.
const QUICK_IN_A_ROW: u8 = 3;
/// A waiting publisher that did not wait again for so long is forgotten.
const FORGET_MS: u64 = 10_000;

/// One publisher, seen from its PUBLISHes and our PUBACKs.
#[derive(Debug)]
pub(crate) struct Publisher {
    window: Window,
    unacked: usize,
    last_puback_ms: Option<u64>,
    quick: u8,
    waiting_until_ms: u64,
}

#[derive(Debug)]
enum Window {
    /// The most it ever had unacknowledged, at least [`WINDOW_UNKNOWN`]: a publisher that goes on beyond that is not blocked there.
    Learned(usize),
    Known(usize),
}

impl Publisher {
    /// `window`: how many unacknowledged messages it keeps at most, if that is known.
    pub(crate) fn new(window: Option<u16>) -> Self {
        let window = match window {
            Some(window) => Window::Known(usize::from(window.max(1))),
            None => Window::Learned(WINDOW_UNKNOWN),
        };
        Self { window, unacked: 0, last_puback_ms: None, quick: 0, waiting_until_ms: 0 }
    }

    /// A PUBLISH of QoS 1 came.
    pub(crate) fn on_publish(&mut self, now_ms: u64) {
        // Only one that had nothing under way can have waited: with a pipeline a PUBACK just before is chance.
        let alone = self.unacked == 0;
        if let Some(at_ms) = self.last_puback_ms.take() {
            if alone && now_ms.saturating_sub(at_ms) < QUICK_MS {
                self.quick = self.quick.saturating_add(1);
            } else {
                self.quick = 0;
            }
        }
        if self.quick >= QUICK_IN_A_ROW {
            self.waiting_until_ms = now_ms + FORGET_MS;
        }
        self.unacked += 1;
        if let Window::Learned(most) = &mut self.window
            && self.unacked > *most
        {
            *most = self.unacked;
        }
    }

    /// Our PUBACK left.
    pub(crate) fn on_puback(&mut self, now_ms: u64) {
        self.unacked = self.unacked.saturating_sub(1);
        self.last_puback_ms = Some(now_ms);
    }

    /// Whether it stands still until a receipt comes.
    pub(crate) fn stands_still(&self, now_ms: u64) -> bool {
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
        let mut publisher = Publisher::new(Some(2));
        publisher.on_publish(0);
        assert!(!publisher.stands_still(0));
        publisher.on_publish(0);
        assert!(publisher.stands_still(0));
        publisher.on_puback(1);
        assert!(!publisher.stands_still(1));
    }

    #[test]
    fn one_that_goes_on_beyond_the_assumed_window_is_not_blocked_there_again() {
        let mut publisher = Publisher::new(None);
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
        let mut publisher = Publisher::new(None);
        let mut now_ms = 0;
        for n in 0..4 {
            publisher.on_publish(now_ms);
            assert_eq!(publisher.stands_still(now_ms), n == 3, "message {n}");
            now_ms += 1000;
            publisher.on_puback(now_ms);
            now_ms += 20;
        }
        now_ms += 10_000;
        publisher.on_publish(now_ms);
        assert!(!publisher.stands_still(now_ms), "forgotten");
    }

    #[test]
    fn a_pipeline_is_not_taken_for_a_waiting_publisher() {
        let mut publisher = Publisher::new(Some(1000));
        publisher.on_publish(0);
        for n in 1..100 {
            publisher.on_publish(n * 33);
            publisher.on_puback(n * 33 + 10);
            assert!(!publisher.stands_still(n * 33 + 10));
        }
    }

    #[test]
    fn one_message_every_three_seconds_never_asks_for_a_commit() {
        let mut publisher = Publisher::new(None);
        for n in 0..50 {
            publisher.on_publish(n * 3333);
            assert!(!publisher.stands_still(n * 3333));
            publisher.on_puback(n * 3333 + 1000);
        }
    }
}
