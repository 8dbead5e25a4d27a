//! Window of a publisher that does not tell it: the most messages that it left unacknowledged. It sends more than that now and then, as after a new
//! connection, so where it stands still at fewer again and again those are its window.

/// Number of unacknowledged messages at which a publisher counts as blocked at first.
const FIRST: usize = 10;
/// Least time, in milliseconds, from the last message to the next PUBACK in which a publisher stands still. So does one that has published nothing for
/// [`STILL_FACTOR`] times as long as between its messages.
const STILL_MS: u64 = 100;
const STILL_FACTOR: u64 = 3;
/// Milliseconds after the PUBACKs within which the next PUBLISH shows that it stood still for want of them, and not for want of messages.
const QUICK_MS: u64 = 50;
/// Number of times in a row that it stands still at the same number of messages.
const STILL_IN_A_ROW: u8 = 3;

/// Window as it was seen, and the messages since the last PUBACK.
#[derive(Debug, Clone)]
pub(super) struct LearnedWindow {
    most: usize,
    /// Messages that were published since the last PUBACK.
    published: u64,
    first_ms: u64,
    last_ms: u64,
    /// Number of unacknowledged messages at which the publisher stands still, or did until its PUBACKs, and the time of the last of those.
    stood: Option<(usize, u64)>,
    /// Number of unacknowledged messages at which the publisher stood still the last time, and how often in a row.
    still_at: usize,
    still_times: u8,
}

impl Default for LearnedWindow {
    fn default() -> Self {
        Self { most: FIRST, published: 0, first_ms: 0, last_ms: 0, stood: None, still_at: 0, still_times: 0 }
    }
}

impl LearnedWindow {
    /// Returns the number of unacknowledged messages at which the publisher counts as blocked.
    pub(super) fn get(&self) -> usize {
        self.most
    }

    /// Records a PUBLISH, after which so many messages are unacknowledged.
    pub(super) fn on_publish(&mut self, now_ms: u64, unacked: usize) {
        self.most = self.most.max(unacked);
        if self.published == 0 {
            self.first_ms = now_ms;
            let stood =
                self.stood.take().filter(|(_, answered_ms)| now_ms.saturating_sub(*answered_ms) < QUICK_MS);
            self.went_on(stood.map(|(unacked, _)| unacked));
        }
        self.published += 1;
        self.last_ms = now_ms;
    }

    /// Records a PUBACK, before which so many messages were unacknowledged.
    pub(super) fn on_puback(&mut self, now_ms: u64, unacked: usize) {
        let published = std::mem::take(&mut self.published);
        if published == 0 {
            // Another one of the same moment.
            if let Some((_, answered_ms)) = &mut self.stood {
                *answered_ms = now_ms;
            }
            return;
        }
        let between_ms = self.last_ms.saturating_sub(self.first_ms) / published;
        let is_still = now_ms.saturating_sub(self.last_ms) >= STILL_MS.max(STILL_FACTOR * between_ms);
        // At fewer it is never blocked.
        self.stood = (is_still && unacked >= FIRST).then_some((unacked, now_ms));
    }

    /// Records that the publisher goes on. `stood_at`: it stood still at so many messages until their PUBACKs.
    fn went_on(&mut self, stood_at: Option<usize>) {
        let Some(unacked) = stood_at else {
            self.still_times = 0;
            return;
        };
        self.still_times = if unacked == self.still_at { self.still_times.saturating_add(1) } else { 1 };
        self.still_at = unacked;
        if self.still_times >= STILL_IN_A_ROW {
            self.most = unacked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes `count` messages, `between_ms` apart, whose PUBACKs come together at `answer_ms`.
    fn round(window: &mut LearnedWindow, start_ms: u64, count: usize, between_ms: u64, answer_ms: u64) {
        for n in 0..count {
            window.on_publish(start_ms + n as u64 * between_ms, n + 1);
        }
        (0..count).rev().for_each(|n| window.on_puback(start_ms + answer_ms, n + 1));
    }

    /// A client with a window of 20 sends all that waited when it connects again.
    #[test]
    fn a_window_that_was_exceeded_once_is_found_again() {
        let mut window = LearnedWindow::default();
        round(&mut window, 0, 54, 1, 1_000);
        assert_eq!(window.get(), 54);
        for n in 1..=4 {
            assert_eq!(window.get(), 54);
            round(&mut window, n * 1_000, 20, 1, 1_000);
        }
        window.on_publish(5_000, 1);
        window.on_puback(5_001, 1);
        assert_eq!(window.get(), 20);
        // Served at once it stands still no more, and nothing is forgotten.
        (0..100).for_each(|n| round(&mut window, 5_010 + n * 20, 20, 0, 5));
        assert_eq!(window.get(), 20);
        round(&mut window, 9_000, 21, 1, 1_000);
        assert_eq!(window.get(), 21, "it was not its window");
    }

    /// At 25 messages a second the window of 20 is full for a fifth of each second.
    #[test]
    fn a_window_that_is_full_for_a_short_time_is_found() {
        let mut window = LearnedWindow::default();
        round(&mut window, 0, 54, 1, 1_000);
        (1..=5).for_each(|n| round(&mut window, n * 1_000, 20, 40, 1_000));
        assert_eq!(window.get(), 20);
    }

    /// Thirty messages a second go on until their PUBACKs, however many that are; fifteen of a slower one, now fourteen, now sixteen.
    #[test]
    fn a_publisher_with_a_period_of_its_own_keeps_the_most_that_was_seen() {
        let mut window = LearnedWindow::default();
        round(&mut window, 0, 54, 1, 1_000);
        (1..=50).for_each(|n| round(&mut window, n * 1_000, 30, 33, 1_000));
        assert_eq!(window.get(), 54);
        (51..=100).for_each(|n| round(&mut window, n * 1_000, 14 + n as usize % 3, 1, 1_000));
        assert_eq!(window.get(), 54);
        // Twelve values each second, whose PUBACKs come before the next ones are there.
        (101..=150).for_each(|n| round(&mut window, n * 1_000, 12, 1, 300));
        assert_eq!(window.get(), 54);
    }

    #[test]
    fn a_slow_phase_makes_no_window_forgotten() {
        let mut window = LearnedWindow::default();
        round(&mut window, 0, 15, 1, 1_000);
        (1..10).for_each(|n| round(&mut window, n * 1_000, 1, 1, 1_000));
        assert_eq!(window.get(), 15);
    }
}
