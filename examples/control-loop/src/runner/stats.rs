//! Statistics of the loop, in atomics for all threads.

use edge_filter::control::{Histogram, Wake};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters and histograms of a running loop.
#[derive(Debug, Default)]
pub struct LoopStats {
    scans: AtomicU64,
    missed: AtomicU64,
    beat_ns: AtomicU64,
    watchdog_trips: AtomicU64,
    is_tripped: AtomicBool,
    has_ended: AtomicBool,
    events_lost: AtomicU64,
    received: AtomicU64,
    published: AtomicU64,
    commands_obeyed: AtomicU64,
    commands_refused: AtomicU64,
    disputes: AtomicU64,
    /// Histogram of each scan's delay after its deadline.
    pub lateness: Histogram,
    /// Histogram of each period's difference from the configured one.
    pub period_error: Histogram,
}

impl LoopStats {
    /// Number of scans so far.
    #[must_use]
    pub fn scans(&self) -> u64 {
        self.scans.load(Ordering::Relaxed)
    }

    /// Number of deadlines without a scan.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Returns how often the watchdog had to act.
    #[must_use]
    pub fn watchdog_trips(&self) -> u64 {
        self.watchdog_trips.load(Ordering::Relaxed)
    }

    /// Returns whether the watchdog holds the outputs now.
    #[must_use]
    pub fn is_tripped(&self) -> bool {
        self.is_tripped.load(Ordering::Relaxed)
    }

    /// Number of events dropped because they were not read in time.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events_lost.load(Ordering::Relaxed)
    }

    /// Number of values received for inputs.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Number of messages made for local subscribers.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Number of obeyed commands.
    #[must_use]
    pub fn commands_obeyed(&self) -> u64 {
        self.commands_obeyed.load(Ordering::Relaxed)
    }

    /// Number of refused commands, answered or not.
    #[must_use]
    pub fn commands_refused(&self) -> u64 {
        self.commands_refused.load(Ordering::Relaxed)
    }

    /// Number of messages to inputs with two publishers.
    #[must_use]
    pub fn disputes(&self) -> u64 {
        self.disputes.load(Ordering::Relaxed)
    }

    pub(crate) fn command_obeyed(&self) {
        self.commands_obeyed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn command_refused(&self) {
        self.commands_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn disputed_one(&self) {
        self.disputes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received_one(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn published_some(&self, count: usize) {
        self.published.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn event_lost(&self) {
        self.events_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the control thread has left its outputs safe, for good.
    pub(super) fn ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(super) fn beat_ns(&self) -> u64 {
        self.beat_ns.load(Ordering::Relaxed)
    }

    /// Returns whether the last scan is more than `overdue_ns` ago: [`overdue_ns`](super::overdue_ns). Before the first it is not.
    pub(crate) fn is_overdue(&self, now_ns: u64, overdue_ns: u64) -> bool {
        let beat_ns = self.beat_ns();
        beat_ns > 0 && now_ns.saturating_sub(beat_ns) > overdue_ns
    }

    /// Records how punctual the control thread was.
    pub(super) fn woke(&self, wake: &Wake) {
        self.lateness.record(wake.late_ns);
        if let Some(error_ns) = wake.period_error_ns {
            self.period_error.record(error_ns);
        }
        self.missed.fetch_add(wake.missed, Ordering::Relaxed);
    }

    /// Counts a deadline whose scan was left to the watchdog.
    pub(super) fn left_out(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a scan and returns its number.
    pub(super) fn scanned(&self, now_ns: u64) -> u64 {
        self.beat_ns.store(now_ns, Ordering::Relaxed);
        self.scans.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn tripped(&self, yes: bool) {
        self.is_tripped.store(yes, Ordering::Relaxed);
        self.watchdog_trips.fetch_add(u64::from(yes), Ordering::Relaxed);
    }
}
