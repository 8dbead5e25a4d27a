//! Watchdog thread: while the control thread does not scan, it keeps the outputs in their safe states. It ends after
//! that thread, or when it has taken over the outputs of a control thread that does not respond.

use super::LoopStats;
use crate::{Actuate, Clock};
use edge_filter::control::{Watchdog, WatchdogChange};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Guard {
    pub(super) watchdog: Watchdog,
    pub(super) period_ns: u64,
    /// Rounds from one waking of the readers to the next, while the outputs are held.
    pub(super) wake_every: u64,
    pub(super) safe: Vec<f64>,
    pub(super) clock: Clock,
    pub(super) wake: UnixStream,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) stats: Arc<LoopStats>,
}

impl Guard {
    pub(super) fn run(mut self, mut actuator: impl Actuate) {
        // Until the first scan the start is the sign of life: an actuator may hang in its first call.
        let begun_ns = self.clock.now_ns();
        let (mut next_ns, mut rounds) = (begun_ns.saturating_add(self.period_ns), 0_u64);
        while !self.is_over() {
            if self.clock.now_ns() < next_ns {
                // A stop unparks it before.
                self.clock.park_until(next_ns);
                continue;
            }
            let change = self.watchdog.check(self.clock.now_ns(), self.stats.beat_ns().max(begun_ns));
            if let Some(change) = change {
                self.stats.tripped(change == WatchdogChange::Tripped);
                rounds = 0;
            }
            if self.watchdog.is_tripped() {
                actuator.apply(&self.safe);
            }
            // As the control thread's: at once if something happened, else as often as outputs are published.
            if change.is_some() || (self.watchdog.is_tripped() && rounds.is_multiple_of(self.wake_every)) {
                let _ = self.wake.write(&[1]);
            }
            rounds += 1;
            next_ns = next_ns.max(self.clock.now_ns()).saturating_add(self.period_ns);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) && (self.stats.has_ended() || self.watchdog.is_tripped())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

    use super::*;
    use std::io::Read;
    use std::sync::atomic::AtomicU64;

    /// Outputs are published as often as `publish_every_ms` says, also while they are safe.
    #[test]
    fn readers_are_woken_at_a_trip_and_not_in_every_round_after_it() {
        let (wake, mut woken) = UnixStream::pair().unwrap();
        let (stop, stats) = (Arc::<AtomicBool>::default(), Arc::<LoopStats>::default());
        let guard = Guard {
            watchdog: Watchdog::new(1_000_000),
            period_ns: 1_000_000,
            wake_every: 10,
            safe: vec![2.0],
            clock: Clock::start(),
            wake,
            stop: stop.clone(),
            stats,
        };
        let applied = Arc::<AtomicU64>::default();
        let (count, limit) = (applied.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            guard.run(move |outputs: &[f64]| {
                assert_eq!(outputs, [2.0]);
                if count.fetch_add(1, Ordering::Relaxed) + 1 == 100 {
                    limit.store(true, Ordering::Relaxed);
                }
            });
        });
        thread.join().unwrap();
        let mut bytes = Vec::new();
        woken.read_to_end(&mut bytes).unwrap();
        assert_eq!((applied.load(Ordering::Relaxed), bytes.len()), (100, 10));
    }
}
