//! Watchdog over calls of the store. A hanging call cannot report itself, so pushes, statistics and events check it: the store counts as failing
//! until the call returns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Engine;
use crate::event::Event;
use crate::fault::{FaultKind, STALLED_AFTER_MS};
use crate::locks_and_atomics::lock;

/// Time at which the store's present call began. Calls come one at a time, from the thread that holds the store; any thread may read it.
#[derive(Debug, Default)]
pub(super) struct StoreWatchdog {
    /// Up time in milliseconds at which the call began, plus one; 0 between calls.
    began: AtomicU64,
    told: AtomicBool,
    /// Set when a call that counted as stalled has returned, until the writer has woken who waits.
    returned: AtomicBool,
}

impl StoreWatchdog {
    pub(super) fn begin(&self, up_ms: u64) {
        self.told.store(false, Ordering::Relaxed);
        self.began.store(up_ms.saturating_add(1), Ordering::Relaxed);
    }

    /// Ends a call of the store. Returns its length in milliseconds if it counted as stalled, else `None`.
    pub(super) fn end(&self, up_ms: u64) -> Option<u64> {
        let stalled = self.stalled_ms(up_ms);
        self.began.store(0, Ordering::Relaxed);
        stalled
    }

    /// Records that a call that counted as stalled has returned. The caller holds the model, so that the writer sees it before it sleeps.
    fn note_return(&self) {
        self.returned.store(true, Ordering::Relaxed);
    }

    /// Returns whether a call that counted as stalled has returned since the last call of this.
    pub(super) fn take_return(&self) -> bool {
        self.returned.swap(false, Ordering::Relaxed)
    }

    /// Forgets the call that is under way, because its thread was unwound.
    pub(super) fn forget(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// Returns the time for which a call has been under way, in milliseconds; 0 without one.
    pub(super) fn busy_ms(&self, up_ms: u64) -> u64 {
        match self.began.load(Ordering::Relaxed) {
            0 => 0,
            began => up_ms.saturating_sub(began - 1),
        }
    }

    /// Returns the milliseconds for which a call has been under way; `None` if it is not long enough to count as stalled.
    pub(super) fn stalled_ms(&self, up_ms: u64) -> Option<u64> {
        Some(self.busy_ms(up_ms)).filter(|ms| *ms >= STALLED_AFTER_MS)
    }

    /// Claims the report of the stall; true for the first caller only.
    pub(super) fn first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

impl Engine {
    /// Makes a call of the store under the watchdog. The caller holds the store.
    pub(super) fn watched<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.watchdog.begin(self.clock.now().up_ms);
        let result = call();
        self.tell_stall();
        let stalled = self.watchdog.end(self.clock.now().up_ms).is_some();
        if stalled {
            self.end_stall(result.is_ok());
        }
        result
    }

    /// Tells that a call that counted as stalled has returned. Pushes were refused without a read meanwhile: the writer wakes who waits for
    /// room, since no waker of a caller is called while the store is held.
    fn end_stall(&self, is_ok: bool) {
        let model = self.model();
        self.watchdog.note_return();
        // A store that failed before says so when a commit succeeds, and one that fails now is about to.
        let recovered = is_ok && !model.degraded_mode.is_some();
        drop(model);
        self.writer.sleep.wake();
        if recovered {
            lock(&self.events).put(Event::Recovered);
        }
    }

    /// Returns whether a call of the store has not returned for too long.
    pub(crate) fn stalled(&self) -> bool {
        self.watchdog.stalled_ms(self.clock.now().up_ms).is_some()
    }

    /// Returns the events since the last call, including a panic and a stall that goes on.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        self.tell_panics();
        self.tell_stall();
        lock(&self.events).take()
    }

    fn tell_stall(&self) {
        let stalled = self.watchdog.stalled_ms(self.clock.now().up_ms);
        if let Some(ms) = stalled.filter(|_| self.watchdog.first_to_tell()) {
            lock(&self.events).put(Event::Degraded { kind: FaultKind::Stalled, reason: stall_reason(ms) });
        }
    }
}

pub(super) fn stall_reason(ms: u64) -> String {
    format!("a call of the store has not returned for {ms} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_stalled_from_two_seconds_on_and_told_once() {
        let watch = StoreWatchdog::default();
        assert_eq!(watch.stalled_ms(1_000_000), None);
        watch.begin(0);
        assert_eq!((watch.busy_ms(1_999), watch.stalled_ms(1_999)), (1_999, None));
        assert_eq!(watch.stalled_ms(2_000), Some(2_000));
        assert!(watch.first_to_tell() && !watch.first_to_tell());
        assert_eq!(watch.end(5_000), Some(5_000));
        assert_eq!((watch.busy_ms(9_000), watch.stalled_ms(9_000)), (0, None));
        watch.begin(9_000);
        assert!(watch.first_to_tell());
        assert_eq!(watch.end(9_010), None);
    }

    #[test]
    fn the_reason_says_for_how_long() {
        assert!(stall_reason(7_001).contains("7001 ms"));
    }
}
