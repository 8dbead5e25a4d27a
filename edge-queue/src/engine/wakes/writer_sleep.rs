//! Sleep of the writer thread until the next commit is due.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, MutexGuard, Ordering, PoisonError};

/// The writer's bed.
#[derive(Default)]
pub(crate) struct WriterSleep {
    /// Up time until which the writer sleeps; 0 while it does not.
    until_ms: AtomicU64,
    /// The writer sleeps on it, with the model.
    asleep: Condvar,
}

impl WriterSleep {
    /// Returns whether the writer sleeps beyond a time, and must be woken for it. The caller holds the model.
    pub(crate) fn lasts_beyond(&self, up_ms: u64) -> bool {
        up_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// Sleeps until `until_ms`, which is in `time`. The caller has seen in `model` that nothing is due before.
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
