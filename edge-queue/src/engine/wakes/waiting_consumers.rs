//! Consumers that wait for rows, blocked or as tasks.

#[cfg(feature = "tokio")]
use std::task::Waker;
use std::time::Duration;

use crate::contained_waker::Wakers;
use crate::locks_and_atomics::{
    AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, lock,
};

/// Consumers that found no row.
#[derive(Default)]
pub(crate) struct WaitingConsumers {
    /// Set while any consumer waits, which saves a system call per push.
    any: AtomicBool,
    /// Number of consumers blocked in a thread, changed with the model held. While it is 0, no thread sleeps on `asleep`, and a wake-up of tasks
    /// alone costs no system call.
    blocked: AtomicUsize,
    /// Condition on which blocked consumers sleep, with the model's lock.
    asleep: Condvar,
    /// Wakers of async consumers, at most one for each waiter, even if its future was dropped.
    wakers: Mutex<Wakers<u64>>,
}

impl WaitingConsumers {
    /// Claims the wake-up of the waiting consumers; `true` if there are any. The caller holds the model, and wakes them after it has released it.
    pub(crate) fn claim(&self) -> bool {
        // Reading first spares the bus lock of the swap when nobody does.
        self.any.load(Ordering::Relaxed) && self.any.swap(false, Ordering::Relaxed)
    }

    /// Sleeps until rows may have come, for at most `time`. The caller has seen in `model` that there are none.
    pub(crate) fn sleep<T>(&self, model: MutexGuard<'_, T>, time: Option<Duration>) {
        self.any.store(true, Ordering::Relaxed);
        self.blocked.fetch_add(1, Ordering::Relaxed);
        let model = match time {
            None => self.asleep.wait(model).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.asleep.wait_timeout(model, time).unwrap_or_else(PoisonError::into_inner).0,
        };
        self.blocked.fetch_sub(1, Ordering::Relaxed);
        drop(model);
    }

    /// Registers `waker`, to be called when rows may have come. The caller holds the model and has seen that there are none.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_as_task(&self, waiter: u64, waker: &Waker) {
        lock(&self.wakers).set(waiter, waker);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Drops the waker of a waiter that waits no longer.
    #[cfg(feature = "tokio")]
    pub(crate) fn forget(&self, waiter: u64) {
        let _gone = lock(&self.wakers).take(|known| *known == waiter);
    }

    /// Wakes all waiting consumers. The caller claimed this with the model held, so a consumer that slept then is counted or is awake already.
    pub(crate) fn wake(&self) {
        if self.blocked.load(Ordering::Relaxed) > 0 {
            self.asleep.notify_all();
        }
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.wake();
    }
}
