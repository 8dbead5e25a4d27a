//! Sleep of the writer thread until the next commit is due.

use std::time::Duration;

use crate::locks_and_atomics::{AtomicU64, Condvar, MutexGuard, Ordering, PoisonError};

/// State of the writer thread's sleep, by which a change of the model wakes it only if necessary.
#[derive(Default)]
pub(crate) struct WriterSleep {
    /// Up time in milliseconds until which the writer sleeps; 0 while it does not.
    until_ms: AtomicU64,
    /// Condition on which the writer sleeps, with the model's lock.
    asleep: Condvar,
}

impl WriterSleep {
    /// Returns whether the writer sleeps longer than until `up_ms`, so that it must be woken. The caller holds the model.
    pub(crate) fn lasts_beyond(&self, up_ms: u64) -> bool {
        up_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// Sleeps until the up time `until_ms` (milliseconds), which is `time` from now. The caller has seen in `model` that no commit is due before.
    pub(crate) fn sleep<T>(&self, model: MutexGuard<'_, T>, until_ms: u64, time: Duration) {
        self.until_ms.store(until_ms, Ordering::Relaxed);
        let waited = self.asleep.wait_timeout(model, time);
        self.until_ms.store(0, Ordering::Relaxed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wake(&self) {
        self.asleep.notify_one();
    }
}
