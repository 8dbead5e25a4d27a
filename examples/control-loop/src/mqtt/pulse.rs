//! Age of messages that waited in a socket while this process, or its network thread, stood still: they count from before the pause.
//!
//! The kernel does not tell when a byte came. A task of the network's runtime beats four times per limit, which is `watchdog_ms` and a second at
//! most; a beat that is late by more than the limit is a pause. What is shown after it may have come during it, until the runtime has beaten in time
//! for twice the limit, in which it reads what lies in the sockets. So a value is never taken for fresher than it is by more than the limit.

use crate::runner::WAITED_NS_MAX;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Beats per limit.
const BEATS: u64 = 4;
/// Beats in time after which the sockets are read empty.
const QUIET: u32 = 8;

/// Shared by the task that beats and the loops' inputs, both on the network's thread.
#[derive(Debug)]
pub(super) struct Pulse {
    limit_ns: u64,
    beat_ns: AtomicU64,
    /// The last beat before a pause whose messages may not all be read; 0: none.
    paused_ns: AtomicU64,
    quiet: AtomicU32,
}

impl Pulse {
    pub(super) fn new(watchdog_ns: u64, now_ns: u64) -> Self {
        Pulse {
            limit_ns: watchdog_ns.clamp(BEATS, WAITED_NS_MAX),
            beat_ns: AtomicU64::new(now_ns),
            paused_ns: AtomicU64::new(0),
            quiet: AtomicU32::new(0),
        }
    }

    pub(super) fn period_ns(&self) -> u64 {
        self.limit_ns / BEATS
    }

    pub(super) fn beat(&self, now_ns: u64) {
        let before_ns = self.beat_ns.swap(now_ns, Ordering::Relaxed);
        let paused_ns = self.paused_ns.load(Ordering::Relaxed);
        if now_ns.saturating_sub(before_ns) > self.limit_ns {
            // Of two pauses the first: its messages may still be there.
            if paused_ns == 0 {
                self.paused_ns.store(before_ns, Ordering::Relaxed);
            }
            self.quiet.store(0, Ordering::Relaxed);
        } else if paused_ns != 0 && self.quiet.fetch_add(1, Ordering::Relaxed) + 1 >= QUIET {
            self.paused_ns.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the earliest time at which a message may have arrived that is shown now.
    pub(super) fn arrived_ns(&self, now_ns: u64) -> u64 {
        let beat_ns = self.beat_ns.load(Ordering::Relaxed);
        match self.paused_ns.load(Ordering::Relaxed) {
            0 if now_ns.saturating_sub(beat_ns) > self.limit_ns => beat_ns,
            0 => now_ns,
            paused_ns => paused_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_after_a_pause_counts_from_before_it_until_all_is_read() {
        let pulse = Pulse::new(100, 1_000);
        pulse.beat(1_025);
        assert_eq!(pulse.arrived_ns(1_030), 1_030);
        assert_eq!(pulse.arrived_ns(1_126), 1_025, "shown before the first beat after the pause");
        pulse.beat(5_000);
        assert_eq!(pulse.arrived_ns(5_001), 1_025);
        // A second pause before all is read.
        pulse.beat(5_025);
        pulse.beat(9_000);
        for n in 1..=8 {
            assert_eq!(pulse.arrived_ns(9_000 + n * 25 - 1), 1_025);
            pulse.beat(9_000 + n * 25);
        }
        assert_eq!(pulse.arrived_ns(9_201), 9_201);
    }

    /// The limit is a second at most: a loop with a long watchdog must not take older commands for it.
    #[test]
    fn a_pause_of_more_than_a_second_is_seen_whatever_the_watchdog() {
        const S: u64 = 1_000_000_000;
        for watchdog_ns in [S, 5 * S, 86_400 * S] {
            let pulse = Pulse::new(watchdog_ns, S);
            assert_eq!(pulse.arrived_ns(2 * S), 2 * S, "a second is that of a busy machine");
            assert_eq!(pulse.arrived_ns(3 * S), S, "shown before the first beat");
            pulse.beat(3 * S);
            assert_eq!(pulse.arrived_ns(3 * S), S);
            assert!(pulse.period_ns() <= S / 4);
        }
    }
}
