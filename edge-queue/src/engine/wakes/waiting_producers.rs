//! Producers that wait for room in a full lane: a thread that makes room raises a counter of wake-ups, and a producer sleeps only while the
//! counter has the value from before the producer's try.

#[cfg(feature = "tokio")]
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::contained_waker::Wakers;
use crate::locks_and_atomics::{AtomicUsize, Condvar, Mutex, Ordering, PoisonError, lock};

/// Producers that found no room.
#[derive(Default)]
pub(crate) struct WaitingProducers {
    /// Number of waiting producers: while it is 0, making room costs one load.
    producers: AtomicUsize,
    turns: Mutex<Turns>,
    turned: Condvar,
}

#[derive(Default)]
struct Turns {
    count: u64,
    wakers: Wakers<u64>,
    last_waiter: u64,
}

impl WaitingProducers {
    /// Raises the counter of wake-ups, because there may be room. The caller has released the model.
    pub(crate) fn turn(&self) {
        // A producer counts itself before its try, and both take the model's lock: who does not see it here has made room before it looked.
        if self.producers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut turns = lock(&self.turns);
        turns.count = turns.count.wrapping_add(1);
        self.turned.notify_all();
        let wakers = std::mem::take(&mut turns.wakers);
        drop(turns);
        wakers.wake();
    }

    /// Counts a producer that is about to try, and returns its key.
    pub(crate) fn enter(&self) -> u64 {
        self.producers.fetch_add(1, Ordering::Relaxed);
        let mut turns = lock(&self.turns);
        turns.last_waiter += 1;
        turns.last_waiter
    }

    /// Uncounts a producer that no longer waits, and drops its waker.
    pub(crate) fn leave(&self, waiter: u64) {
        self.producers.fetch_sub(1, Ordering::Relaxed);
        let _gone = lock(&self.turns).wakers.take(|known| *known == waiter);
    }

    /// Returns the counter of wake-ups; a producer reads it before its try.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.turns).count
    }

    /// Sleeps until the counter of wake-ups differs from `seen`, for at most `time`; may return early.
    pub(crate) fn sleep(&self, seen: u64, time: Duration) {
        let turns = lock(&self.turns);
        if turns.count == seen {
            drop(self.turned.wait_timeout(turns, time).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Ready when the counter of wake-ups differs from `seen`; until then `waker` is called at the next change.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_turn(&self, waiter: u64, seen: u64, waker: &Waker) -> Poll<()> {
        let mut turns = lock(&self.turns);
        if turns.count != seen {
            return Poll::Ready(());
        }
        turns.wakers.set(waiter, waker);
        Poll::Pending
    }
}
