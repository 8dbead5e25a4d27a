#![allow(clippy::disallowed_methods, reason = "the clock of the shell")]
//! Clocks: the system's, and one that a test sets.

#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicI64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::ClockSync;
use crate::locks_and_atomics::{Mutex, lock};
use crate::time::Now;

/// Shortest time in milliseconds between two checks whether the wall clock is synchronised.
const SYNCED_EVERY_MS: u64 = 10_000;

/// Source of a queue's time.
pub trait Clock: Send + Sync {
    /// Reads both clocks at once.
    fn now(&self) -> Now;

    /// Returns whether only a test moves the time. Then the queue starts no writer thread, no call waits, and [`Queue::tick`](crate::Queue::tick)
    /// does the due work; an open raises the epoch by one, not by a random step.
    fn manual(&self) -> bool {
        false
    }
}

/// The machine's clocks: boot time that counts suspend, wall time, and whether that is synchronised ([`ClockSync`]), checked every 10 s.
///
/// ```
/// # use edge_queue::{Clock, Config, Queue, StoreKind, SystemClock};
/// # use std::sync::Arc;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = SystemClock::new();
/// println!("the wall clock is {}", clock.sync());
/// let config = Config::default().store(StoreKind::Memory);
/// let q = Queue::open_with_clock("", config, Arc::new(clock))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SystemClock {
    boot_id: u128,
    #[cfg(not(target_os = "linux"))]
    started: std::time::Instant,
    /// Timer tick in which the clocks were last read, in nanoseconds; `up_ms` and `wall_ms` are the times read in it.
    #[cfg(target_os = "linux")]
    tick_ns: AtomicU64,
    #[cfg(target_os = "linux")]
    up_ms: AtomicU64,
    #[cfg(target_os = "linux")]
    wall_ms: AtomicI64,
    is_assumed: bool,
    synced: AtomicBool,
    synced_asked_ms: AtomicU64,
}

impl SystemClock {
    /// Reads the identity of the present boot. Without one every process counts as a boot of its own.
    #[must_use]
    pub fn new() -> SystemClock {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let boot_id = u128::from_str_radix(&digits, 16).unwrap_or_else(|_| super::random_u64().into());
        SystemClock {
            boot_id,
            #[cfg(not(target_os = "linux"))]
            started: std::time::Instant::now(),
            #[cfg(target_os = "linux")]
            tick_ns: AtomicU64::new(0),
            #[cfg(target_os = "linux")]
            up_ms: AtomicU64::new(0),
            #[cfg(target_os = "linux")]
            wall_ms: AtomicI64::new(0),
            is_assumed: false,
            synced: AtomicBool::new(ClockSync::ask(false).is_synced()),
            synced_asked_ms: AtomicU64::new(0),
        }
    }

    /// Treats the wall clock as synchronised whatever the machine reports: for machines whose time service informs neither the kernel nor
    /// systemd, or that have a battery-backed clock. If the clock is wrong nevertheless, rows of earlier boots expire too early or too late.
    #[must_use]
    pub fn assume_synced(mut self) -> SystemClock {
        self.is_assumed = true;
        self.synced = AtomicBool::new(true);
        self
    }

    /// Checks whether the machine's wall clock is synchronised. Costs one or two system calls.
    #[must_use]
    pub fn sync(&self) -> ClockSync {
        ClockSync::ask(self.is_assumed)
    }

    /// Returns boot time and wall time in milliseconds.
    #[cfg(target_os = "linux")]
    fn times(&self) -> (u64, i64) {
        // The clock behind /proc/uptime has no coarse form, and rows come faster than the timer ticks: clocks are read once a
        // tick. That keeps milliseconds, and a wall clock that is set shows with the next tick.
        let tick = clock_ns(rustix::time::ClockId::MonotonicCoarse);
        if self.tick_ns.load(Ordering::Acquire) == tick {
            return (self.up_ms.load(Ordering::Relaxed), self.wall_ms.load(Ordering::Relaxed));
        }
        let up_ms = clock_ns(rustix::time::ClockId::Boottime) / 1_000_000;
        let wall_ms = wall_ms();
        self.up_ms.store(up_ms, Ordering::Relaxed);
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
        self.tick_ns.store(tick, Ordering::Release);
        (up_ms, wall_ms)
    }

    #[cfg(not(target_os = "linux"))]
    fn times(&self) -> (u64, i64) {
        (u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX), wall_ms())
    }

    fn synced(&self, up_ms: u64) -> bool {
        let asked = self.synced_asked_ms.load(Ordering::Relaxed);
        if up_ms.saturating_sub(asked) >= SYNCED_EVERY_MS {
            self.synced_asked_ms.store(up_ms, Ordering::Relaxed);
            self.synced.store(self.sync().is_synced(), Ordering::Relaxed);
        }
        self.synced.load(Ordering::Relaxed)
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let (up_ms, wall_ms) = self.times();
        Now { boot_id: self.boot_id, up_ms, wall_ms, synced: self.synced(up_ms) }
    }
}

#[cfg(target_os = "linux")]
fn clock_ns(id: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn wall_ms() -> i64 {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}

/// A clock that stands still until it is set.
///
/// ```
/// # use edge_queue::{Config, ManualClock, Now, Queue, Row, StoreKind, Wait};
/// # use std::{sync::Arc, time::Duration};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::new(Now::default()));
/// let q = Queue::open_with_clock("", Config::default().store(StoreKind::Memory), clock.clone())?;
/// let mut hub = q.consumer("hub")?;
/// drop(q.push(Row::new("21.5").ttl(Duration::from_secs(60)))?);
/// clock.advance_ms(60_001);
/// assert!(hub.lease(1, Wait::None)?.is_empty()); // expired
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(Mutex<Now>);

impl ManualClock {
    /// Makes a clock that shows `now`.
    #[must_use]
    pub fn new(now: Now) -> ManualClock {
        ManualClock(Mutex::new(now))
    }

    /// Sets all of the time, such as for another boot or a jump of the wall clock.
    pub fn set(&self, now: Now) {
        *lock(&self.0) = now;
    }

    /// Moves the clock ahead by `ms`.
    pub fn advance_ms(&self, ms: u64) {
        let mut now = lock(&self.0);
        now.up_ms = now.up_ms.saturating_add(ms);
        now.wall_ms = now.wall_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *lock(&self.0)
    }

    fn manual(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_does_not_stand_at_zero() {
        let clock = SystemClock::new();
        let (a, b) = (clock.now(), clock.now());
        assert!(a.boot_id != 0 && a.up_ms > 0 && a.wall_ms > 1_600_000_000_000);
        assert!(b.up_ms >= a.up_ms && b.boot_id == a.boot_id);
        assert_eq!(a.synced, clock.sync().is_synced());
    }

    #[test]
    fn a_clock_that_is_assumed_to_be_right_stays_so() {
        let clock = SystemClock::new().assume_synced();
        assert!(clock.now().synced);
        assert!(clock.synced(clock.now().up_ms + SYNCED_EVERY_MS), "asked again");
    }
}
