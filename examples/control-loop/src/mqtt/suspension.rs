//! Age of messages that waited in a socket while this process, or its network thread, was suspended: they count as arrived before the pause.
//!
//! A task of the network's runtime beats four times per limit, which is `watchdog_ms` and a second at most; a beat that is late by more than the
//! limit is a pause. A message read after a pause may have arrived during it, until the runtime has beaten in time twice, so that it has polled
//! each socket, and the message's own connection has had no backlog since
//! ([`Inbound::up_to_date_ms`](edge_bridge::ingest::Inbound::up_to_date_ms)): sockets may hold megabytes, which take seconds to read. A
//! connection that always has a backlog is trusted again after [`DRAINED_NS`] without another pause. If its backlog is unknown, sockets count as
//! read empty after twice the limit. So a value is not taken for fresher than it is by more than the limit, as far as this process can tell.

use crate::runner::WAITED_NS_MAX;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Beats per limit.
const BEATS: u64 = 4;
/// Beats in time after which the runtime has polled each socket.
const LOOKED: u32 = 2;
/// Beats in time after which the sockets count as read empty.
const QUIET: u32 = 8;
/// Nanoseconds after which a socket that is never empty has no message of the pause left: some ten megabytes, at the lowest read rate.
const DRAINED_NS: u64 = 20_000_000_000;

/// Pulse shared by the task that beats and the loops' inputs, both on the network's thread.
#[derive(Debug)]
pub(super) struct Pulse {
    limit_ns: u64,
    beat_ns: AtomicU64,
    /// Time of the last beat before a pause whose messages may not all be read, in nanoseconds; 0: none.
    paused_ns: AtomicU64,
    /// Time from which a connection without backlog has no message of the pause left, in nanoseconds; 0: not yet.
    looked_ns: AtomicU64,
    quiet: AtomicU32,
}

impl Pulse {
    pub(super) fn new(watchdog_ns: u64, now_ns: u64) -> Self {
        Pulse {
            limit_ns: watchdog_ns.clamp(BEATS, WAITED_NS_MAX),
            beat_ns: AtomicU64::new(now_ns),
            paused_ns: AtomicU64::new(0),
            looked_ns: AtomicU64::new(0),
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
            // Of two pauses the first while its messages may still be there.
            if paused_ns == 0 || self.quiet.load(Ordering::Relaxed) >= QUIET {
                self.paused_ns.store(before_ns, Ordering::Relaxed);
            }
            self.quiet.store(0, Ordering::Relaxed);
            self.looked_ns.store(0, Ordering::Relaxed);
        } else if paused_ns != 0 {
            let quiet = self.quiet.fetch_add(1, Ordering::Relaxed) + 1;
            let looked_ns = self.looked_ns.load(Ordering::Relaxed);
            if quiet == LOOKED {
                self.looked_ns.store(now_ns, Ordering::Relaxed);
            } else if quiet > QUIET && now_ns.saturating_sub(looked_ns) >= DRAINED_NS {
                self.paused_ns.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Returns the earliest time at which a message read now may have arrived. `up_to_date_ns`: time at which its connection last had no backlog;
    /// `None` if it is unknown.
    pub(super) fn arrived_ns(&self, now_ns: u64, up_to_date_ns: Option<u64>) -> u64 {
        let (beat_ns, paused_ns) =
            (self.beat_ns.load(Ordering::Relaxed), self.paused_ns.load(Ordering::Relaxed));
        let is_over = paused_ns == 0 || self.quiet.load(Ordering::Relaxed) >= QUIET;
        let since_ns = if now_ns.saturating_sub(beat_ns) > self.limit_ns {
            if is_over { beat_ns } else { paused_ns }
        } else if paused_ns == 0 || self.is_read(up_to_date_ns) {
            return now_ns;
        } else {
            paused_ns
        };
        // A connection that was not up to date since an earlier pause may hold what came in that one.
        up_to_date_ns.map_or(since_ns, |up_to_date_ns| since_ns.min(up_to_date_ns))
    }

    /// Returns whether a connection without backlog at that time has no message of the pause left.
    fn is_read(&self, up_to_date_ns: Option<u64>) -> bool {
        match up_to_date_ns {
            None => self.quiet.load(Ordering::Relaxed) >= QUIET,
            Some(up_to_date_ns) => {
                let looked_ns = self.looked_ns.load(Ordering::Relaxed);
                looked_ns != 0 && up_to_date_ns >= looked_ns
            }
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
        assert_eq!(pulse.arrived_ns(1_030, None), 1_030);
        assert_eq!(pulse.arrived_ns(1_126, None), 1_025, "shown before the first beat after the pause");
        pulse.beat(5_000);
        assert_eq!(pulse.arrived_ns(5_001, None), 1_025);
        // A second pause before all is read.
        pulse.beat(5_025);
        pulse.beat(9_000);
        for n in 1..=8 {
            assert_eq!(pulse.arrived_ns(9_000 + n * 25 - 1, None), 1_025);
            pulse.beat(9_000 + n * 25);
        }
        assert_eq!(pulse.arrived_ns(9_201, None), 9_201);
    }

    /// The limit is a second at most: a loop with a long watchdog must not take older commands for it.
    #[test]
    fn a_pause_of_more_than_a_second_is_seen_whatever_the_watchdog() {
        const S: u64 = 1_000_000_000;
        for watchdog_ns in [S, 5 * S, 86_400 * S] {
            let pulse = Pulse::new(watchdog_ns, S);
            assert_eq!(pulse.arrived_ns(2 * S, None), 2 * S, "a second is that of a busy machine");
            assert_eq!(pulse.arrived_ns(3 * S, None), S, "shown before the first beat");
            pulse.beat(3 * S);
            assert_eq!(pulse.arrived_ns(3 * S, None), S);
            assert!(pulse.period_ns() <= S / 4);
        }
    }

    /// A socket with megabytes of a pause is read for seconds: what it shows is old until the connection is up to date.
    #[test]
    fn a_connection_is_believed_once_it_is_up_to_date_after_the_runtime_looked_at_it() {
        let pulse = Pulse::new(100, 1_000);
        pulse.beat(5_000);
        let beats = |from: u64, count: u64| (1..=count).for_each(|n| pulse.beat(from + n * 25));
        assert_eq!(pulse.arrived_ns(5_001, Some(5_001)), 1_000, "a first message that was there already");
        beats(5_000, 40);
        assert_eq!(pulse.arrived_ns(6_001, None), 6_001, "nothing is known of its connection");
        assert_eq!(pulse.arrived_ns(6_001, Some(900)), 900, "not up to date since before the pause");
        assert_eq!(pulse.arrived_ns(6_001, Some(5_049)), 1_000, "only before the runtime had looked");
        assert_eq!(pulse.arrived_ns(6_001, Some(5_050)), 6_001);
        // A later pause counts from its own beginning, but for what may still be there of the first.
        pulse.beat(9_000);
        assert_eq!(pulse.arrived_ns(9_001, Some(9_001)), 6_000);
        assert_eq!(pulse.arrived_ns(9_001, Some(900)), 900);
        // In the end it is believed though it never looks up to date.
        beats(9_000, 9);
        pulse.beat_in_time_until(9_050 + DRAINED_NS);
        let now_ns = 9_050 + DRAINED_NS;
        assert_eq!(pulse.arrived_ns(now_ns, Some(900)), now_ns);
    }

    impl Pulse {
        /// Beats in time, as far as the last beat tells.
        fn beat_in_time_until(&self, now_ns: u64) {
            self.beat_ns.store(now_ns - self.period_ns(), Ordering::Relaxed);
            self.beat(now_ns);
        }
    }
}
