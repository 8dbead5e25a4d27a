//! Congestion window by delay: bounds the unacknowledged bytes by the delay they cause.
//!
//! A window larger than the path's bandwidth-delay product only makes a queue in front of the slowest link, and every live row waits
//! behind it. So the window starts at 16 KiB, about as TCP does (RFC 6928), doubles per round trip until it first shrinks (slow start, RFC 5681 §3.1), then grows by
//! a little per round trip while the PUBACK comes within 200 ms of the fastest one, and shrinks when it does not (AIMD on delay, after
//! TCP Vegas, Brakmo and Peterson 1995).

/// Size of a new connection's window, in bytes.
const START: u64 = 16 * 1024;
/// Smallest window in bytes, enough for several small messages.
const FLOOR: u64 = 4 * 1024;
/// Bytes by which the window grows per round trip after its first shrink.
const STEP: u64 = 8 * 1024;
/// Milliseconds by which a PUBACK must be later than the fastest one to count as delayed by a queue on the path.
const DELAY_MS: u64 = 200;
/// Milliseconds for which the fastest round trip is remembered, because paths change.
const RTT_MIN_FOR_MS: u64 = 300_000;

/// Congestion window of one connection. The next connection gets a new one, because it may take another path.
#[derive(Debug, Clone)]
pub struct Window {
    limit: u64,
    max: u64,
    in_flight: u64,
    slow_start: bool,
    /// Up time of the last shrink. Late PUBACKs of messages sent before it do not shrink the window again.
    shrink_after_ms: u64,
    rtt_min: [Option<u64>; 2],
    rtt_min_since_ms: u64,
}

impl Window {
    /// Creates a window. `max`: upper bound of its limit, in bytes.
    pub fn new(now_ms: u64, max: u64) -> Self {
        Self {
            limit: START.min(max.max(1)),
            max: max.max(1),
            in_flight: 0,
            slow_start: true,
            shrink_after_ms: 0,
            rtt_min: [None; 2],
            rtt_min_since_ms: now_ms,
        }
    }

    /// Returns whether a message of `bytes` may be sent. With nothing in flight it always may.
    pub fn admits(&self, bytes: u64) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(bytes) <= self.limit
    }

    /// Bytes that may still be sent.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.in_flight)
    }

    /// Adds a sent message to the bytes in flight.
    pub fn on_sent(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_add(bytes);
    }

    /// Records a PUBACK. `sent_ms` is `None` for a message that was also sent on an earlier connection, whose round trip is ambiguous (Karn's
    /// rule).
    pub fn on_acked(&mut self, now_ms: u64, bytes: u64, sent_ms: Option<u64>) {
        // Growth means something only when the window is what limits.
        let was_full = self.in_flight.saturating_add(bytes) > self.limit / 2;
        self.in_flight = self.in_flight.saturating_sub(bytes);
        let Some(sent_ms) = sent_ms else { return };
        let rtt_ms = now_ms.saturating_sub(sent_ms);
        self.note_rtt(now_ms, rtt_ms);
        let fastest_ms = self.rtt_min.iter().flatten().min().copied().unwrap_or(rtt_ms);
        if rtt_ms >= fastest_ms + DELAY_MS {
            self.shrink(now_ms, sent_ms, fastest_ms, rtt_ms);
        } else if was_full {
            let grown = if self.slow_start { bytes } else { bytes.saturating_mul(STEP) / self.limit.max(1) };
            self.limit = (self.limit + grown.max(1)).min(self.max);
        }
    }

    /// Sets the bytes in flight to 0.
    pub fn forget_in_flight(&mut self) {
        self.in_flight = 0;
    }

    /// The present limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Number of unacknowledged bytes.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn shrink(&mut self, now_ms: u64, sent_ms: u64, fastest_ms: u64, rtt_ms: u64) {
        if sent_ms < self.shrink_after_ms {
            return;
        }
        self.shrink_after_ms = now_ms;
        self.limit = if std::mem::take(&mut self.slow_start) {
            // The overshoot is known: what was in flight took `rtt` where `fastest` + half the delay would do.
            let fits = self.limit.saturating_mul(fastest_ms + DELAY_MS / 2) / rtt_ms.max(1);
            fits.min(self.limit / 2)
        } else {
            self.limit - self.limit / 4
        }
        .max(FLOOR.min(self.max));
    }

    fn note_rtt(&mut self, now_ms: u64, rtt_ms: u64) {
        if now_ms.saturating_sub(self.rtt_min_since_ms) > RTT_MIN_FOR_MS {
            self.rtt_min_since_ms = now_ms;
            self.rtt_min = [None, self.rtt_min[0]];
        }
        let current = &mut self.rtt_min[0];
        *current = Some(current.map_or(rtt_ms, |min| min.min(rtt_ms)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A path with a rate, a delay and an endless queue; returns messages per second and the last round trip.
    fn run(rate_per_s: u64, rtt_ms: u64, size: u64, seconds: u64) -> (u64, u64, Window) {
        let mut window = Window::new(0, 4 * 1024 * 1024);
        let mut acks: VecDeque<(u64, u64)> = VecDeque::new();
        let (mut link_free_us, mut delivered, mut last_rtt) = (0u64, 0u64, 0);
        for now_ms in 0..seconds * 1000 {
            while let Some((at_ms, sent_ms)) = acks.front().copied()
                && at_ms <= now_ms
            {
                acks.pop_front();
                window.on_acked(now_ms, size, Some(sent_ms));
                last_rtt = now_ms - sent_ms;
                delivered += 1;
            }
            while window.admits(size) {
                window.on_sent(size);
                link_free_us = link_free_us.max(now_ms * 1000) + size * 1_000_000 / rate_per_s;
                acks.push_back((link_free_us / 1000 + rtt_ms, now_ms));
            }
        }
        (delivered / seconds, last_rtt, window)
    }

    #[test]
    fn fills_a_path_of_500_ms() {
        // 1 MB/s at 500 ms: 128-byte messages at the bar of 1 000 per second and far above.
        let (per_s, rtt_ms, _) = run(1_000_000, 500, 128, 30);
        assert!(per_s > 5_000, "{per_s} messages/s");
        assert!(rtt_ms < 800, "{rtt_ms} ms");
    }

    #[test]
    fn keeps_the_queue_short_on_a_thin_link() {
        // 32 kB/s, 100 ms: a live row must not wait behind a second of backlog.
        let (per_s, rtt_ms, window) = run(32_000, 100, 200, 60);
        assert!(rtt_ms < 600, "{rtt_ms} ms at a window of {}", window.limit());
        assert!(per_s * 200 > 32_000 * 8 / 10, "{per_s} messages/s");
    }

    /// A window whose fastest round trip was 10 ms, after its slow start.
    fn after_slow_start() -> Window {
        let mut window = Window::new(0, 1_000_000);
        window.on_sent(40_000);
        window.on_acked(10, 40_000, Some(0));
        assert_eq!(window.limit(), START + 40_000);
        window.on_sent(40_000);
        window.on_acked(1_020, 40_000, Some(10));
        window
    }

    #[test]
    fn it_grows_only_while_it_is_what_limits() {
        let mut window = Window::new(0, 30_000);
        window.on_sent(START / 4);
        window.on_acked(10, START / 4, Some(0));
        assert_eq!(window.limit(), START, "half full at most");
        window.on_sent(START / 4 + 1);
        window.on_acked(20, START / 4 + 1, Some(10));
        assert_eq!(window.limit(), START + START / 4 + 1);
        window.on_sent(START);
        assert_eq!((window.in_flight(), window.room()), (START, START / 4 + 1));
        window.on_acked(30, START, Some(20));
        assert_eq!(window.limit(), 30_000, "never above its maximum");
        window.on_sent(500);
        window.forget_in_flight();
        assert_eq!((window.in_flight(), window.room()), (0, 30_000));
    }

    #[test]
    fn a_queue_shrinks_it_once_per_round_trip() {
        let mut window = after_slow_start();
        // What was in flight took 1 010 ms where 110 would do.
        let fits = (START + 40_000) * 110 / 1_010;
        assert_eq!(window.limit(), fits);
        window.on_acked(1_500, 0, Some(1_019));
        assert_eq!(window.limit(), fits, "it was sent before the window shrank");
        window.on_acked(1_500, 0, Some(1_291));
        assert_eq!(window.limit(), fits, "209 ms are no queue");
        window.on_acked(1_500, 0, Some(1_290));
        let smaller = fits - fits / 4;
        assert_eq!(window.limit(), smaller);
        window.on_sent(smaller);
        window.on_acked(1_510, smaller, Some(1_500));
        assert_eq!(window.limit(), smaller + STEP, "a step per round trip from then on");
        (2..20).for_each(|n| window.on_acked(n * 1_000, 0, Some((n - 1) * 1_000)));
        assert_eq!(window.limit(), FLOOR);
    }

    /// Paths change: a fastest round trip counts for five to ten minutes.
    #[test]
    fn an_old_fastest_round_trip_is_forgotten() {
        let shrinks = |at_ms: u64| {
            let mut window = after_slow_start();
            window.on_acked(RTT_MIN_FOR_MS + 1, 0, Some(RTT_MIN_FOR_MS - 299));
            let before = window.limit();
            window.on_acked(at_ms, 0, Some(at_ms - 300));
            window.limit() < before
        };
        assert!(shrinks(2 * RTT_MIN_FOR_MS + 1));
        assert!(!shrinks(2 * RTT_MIN_FOR_MS + 2));
    }

    #[test]
    fn one_message_always_goes() {
        let mut window = Window::new(0, 1000);
        assert!(window.admits(1_000_000));
        window.on_sent(1_000_000);
        assert!(!window.admits(1));
        window.on_acked(1, 1_000_000, None);
        assert!(window.admits(1) && window.in_flight() == 0);
    }

    /// On a slow path a round trip that is a little late would still fit most of the window: the first shrink halves it.
    #[test]
    fn the_first_shrink_halves_it_at_least() {
        let mut window = Window::new(0, 1_000_000);
        window.on_acked(500, 0, Some(0));
        window.on_acked(1_200, 0, Some(500));
        assert_eq!(window.limit(), START / 2);
        // Sent as it shrank: no longer of what was in flight before.
        window.on_acked(1_900, 0, Some(1_200));
        assert_eq!(window.limit(), START / 2 - START / 8);
    }
}
