//! Stop-and-wait detection: finds publishers that wait for each PUBACK before their next message, for which the queue should commit at once.

use super::learned_window::LearnedWindow;

/// Milliseconds after a PUBACK within which the next PUBLISH shows that the publisher waited for it.
const QUICK_MS: u64 = 50;
/// Least delay of a PUBACK, in milliseconds, from which a conclusion is drawn. After a quick PUBACK a publisher with a period of its own may
/// publish soon by chance, and would keep the queue committing, which keeps the PUBACKs quick.
const SLOW_MS: u64 = 100;
/// Number of such PUBLISHes in a row after which a publisher counts as stop-and-wait.
const QUICK_IN_A_ROW: u8 = 3;
/// Milliseconds after which the conclusion is dropped; one more slow PUBACK then shows if the publisher still waits.
const FORGET_MS: u64 = 10_000;
/// Number of later PUBLISHes in a row after which the conclusion ends, and was wrong if nothing has proven it: a publisher with a period of its own does not send sooner because its PUBACK came
/// sooner.
const LATE_IN_A_ROW: u8 = 3;
/// Milliseconds without a conclusion after the first that was wrong; doubled for each further one.
const DOUBT_MS: u64 = 10_000;
const DOUBT_MS_MAX: u64 = 600_000;
/// Number of PUBLISHes soon after an early PUBACK that prove a publisher that waits: one with a period of its own sends none. It may pause, or send a
/// message now and then, and is in no doubt for it.
const RIGHT: u8 = 3;

/// One publisher, judged by the times of its PUBLISHes and of the PUBACKs to it.
#[derive(Debug, Clone)]
pub(super) struct StopAndWait {
    window: Window,
    unacked: usize,
    /// Up time of the only message in flight; `None` if there is none, or if the publisher sent another one without its PUBACK.
    asked_ms: Option<u64>,
    /// PUBACK that the publisher may have waited for; `None` if it did not wait.
    answered: Option<Answered>,
    quick: u8,
    waiting_until_ms: u64,
    check: Check,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    at_ms: u64,
    /// The PUBACK came late enough for a conclusion.
    was_slow: bool,
}

/// Look at whether a conclusion holds: a publisher that waits goes on soon after each PUBACK.
#[derive(Debug, Clone, Default)]
struct Check {
    late: u8,
    /// PUBLISHes soon after an early PUBACK, since the last doubt.
    right: u8,
    /// Duration of the last doubt; 0 if no conclusion was wrong lately.
    doubt_ms: u64,
    until_ms: u64,
}

impl Check {
    fn has_doubt(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// Records how a publisher that counts as waiting went on. Returns whether that conclusion ends.
    fn ends(&mut self, now_ms: u64, was_quick: bool, was_slow: bool) -> bool {
        if was_quick {
            self.late = 0;
            self.right = self.right.saturating_add(u8::from(!was_slow));
            return false;
        }
        self.late += 1;
        if self.late < LATE_IN_A_ROW {
            return false;
        }
        self.late = 0;
        if !self.is_proven() {
            self.right = 0;
            self.doubt_ms = (self.doubt_ms * 2).clamp(DOUBT_MS, DOUBT_MS_MAX);
            self.until_ms = now_ms.saturating_add(self.doubt_ms);
        }
        true
    }

    fn is_proven(&self) -> bool {
        self.right >= RIGHT
    }
}

#[derive(Debug, Clone)]
enum Window {
    Learned(LearnedWindow),
    Known(usize),
}

impl StopAndWait {
    /// Creates the state of a new publisher. `window` is the most messages that it leaves unacknowledged; `None` if that is not known.
    pub(super) fn new(window: Option<u16>) -> Self {
        let window = match window {
            Some(window) => Window::Known(usize::from(window.max(1))),
            None => Window::Learned(LearnedWindow::default()),
        };
        let check = Check::default();
        Self { window, unacked: 0, asked_ms: None, answered: None, quick: 0, waiting_until_ms: 0, check }
    }

    /// Judges by a PUBLISH of QoS 1 whether the publisher waits for each PUBACK: this one came soon after the last PUBACK, or before it.
    pub(super) fn on_publish(&mut self, now_ms: u64) {
        if self.unacked == 0 {
            if let Some(answered) = self.answered.take() {
                self.went_on(now_ms, answered);
            }
            self.asked_ms = Some(now_ms);
        } else {
            // It goes on without its PUBACK.
            (self.asked_ms, self.answered, self.quick, self.waiting_until_ms) = (None, None, 0, 0);
        }
        self.unacked += 1;
        if let Window::Learned(window) = &mut self.window {
            window.on_publish(now_ms, self.unacked);
        }
    }

    fn went_on(&mut self, now_ms: u64, answered: Answered) {
        let was_quick = now_ms.saturating_sub(answered.at_ms) < QUICK_MS;
        if now_ms < self.waiting_until_ms && self.check.ends(now_ms, was_quick, answered.was_slow) {
            self.quick = if self.check.is_proven() { QUICK_IN_A_ROW - 1 } else { 0 };
            self.waiting_until_ms = 0;
        }
        if answered.was_slow && !self.check.has_doubt(now_ms) {
            self.quick = if was_quick { self.quick.saturating_add(1) } else { 0 };
        }
        if self.quick >= QUICK_IN_A_ROW {
            self.waiting_until_ms = now_ms + FORGET_MS;
            self.quick = QUICK_IN_A_ROW - 1;
        }
    }

    /// Records the PUBACK of a message.
    pub(super) fn on_puback(&mut self, now_ms: u64) {
        if let Window::Learned(window) = &mut self.window {
            window.on_puback(now_ms, self.unacked);
        }
        self.unacked = self.unacked.saturating_sub(1);
        if self.unacked == 0 {
            let was_slow = |asked_ms: u64| now_ms.saturating_sub(asked_ms) >= SLOW_MS;
            self.answered =
                self.asked_ms.take().map(|at_ms| Answered { at_ms: now_ms, was_slow: was_slow(at_ms) });
        }
    }

    /// Returns whether the publisher is blocked until a PUBACK.
    pub(super) fn stands_still(&self, now_ms: u64) -> bool {
        self.unacked > 0 && (self.unacked >= self.window() || now_ms < self.waiting_until_ms)
    }

    fn window(&self) -> usize {
        match &self.window {
            Window::Known(window) => *window,
            Window::Learned(window) => window.get(),
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

    /// Commits that a publisher of its own period asks for in `minutes`. A PUBACK that no commit brings forward comes after `delay_ms`.
    fn commits_of_a_period(period_ms: u64, delay_ms: u64, minutes: u64) -> usize {
        let mut publisher = StopAndWait::new(None);
        let times = (0..minutes * 60_000 / period_ms).map(|n| n * period_ms);
        let asks = |now_ms: u64| {
            publisher.on_publish(now_ms);
            let asks = publisher.stands_still(now_ms);
            publisher.on_puback(now_ms + if asks { 5 } else { delay_ms });
            asks
        };
        times.map(asks).filter(|asks| *asks).count()
    }

    #[test]
    fn a_period_a_little_longer_than_the_delay_of_pubacks_is_soon_known() {
        for (period_ms, delay_ms) in [(200, 180), (250, 240), (500, 460), (1000, 951), (110, 101)] {
            let commits = commits_of_a_period(period_ms, delay_ms, 60);
            // Three are taken for an answer before each doubt, and the doubts double up to ten minutes.
            assert!((1..=36).contains(&commits), "{period_ms} ms: {commits} commits an hour");
        }
    }

    /// A burst each second, one message after the other: between two bursts it sends nothing, and it waits all the same.
    #[test]
    fn one_that_waits_within_bursts_is_served_at_once() {
        let mut publisher = StopAndWait::new(None);
        let (mut now_ms, mut slow) = (0, 0);
        for _ in 0..600 {
            for _ in 0..10 {
                publisher.on_publish(now_ms);
                let is_served = publisher.stands_still(now_ms);
                slow += u32::from(!is_served);
                now_ms += if is_served { 5 } else { 1000 };
                publisher.on_puback(now_ms);
                now_ms += 2;
            }
            now_ms += 900;
        }
        // One in ten seconds, when the conclusion is forgotten, and the first four.
        assert!(slow <= 80, "{slow} of 6000");
    }

    /// Twenty messages one after the other each minute, and between them one each two seconds, which waits for nobody.
    #[test]
    fn one_that_waits_now_and_then_is_in_no_doubt() {
        let mut publisher = StopAndWait::new(None);
        let mut slow_of_burst = Vec::new();
        for minute in 0..60_u64 {
            let (mut now_ms, mut slow) = (minute * 60_000, 0);
            let mut send = |now_ms: u64| {
                publisher.on_publish(now_ms);
                let delay_ms = if publisher.stands_still(now_ms) { 5 } else { 1000 };
                publisher.on_puback(now_ms + delay_ms);
                delay_ms
            };
            for _ in 0..20 {
                let delay_ms = send(now_ms);
                slow += u32::from(delay_ms > 5);
                now_ms += delay_ms + 2;
            }
            slow_of_burst.push(slow);
            for n in 0..15 {
                send(now_ms + 2_000 + n * 2_000);
            }
        }
        assert!(slow_of_burst.iter().all(|slow| *slow <= 4), "{slow_of_burst:?}");
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
