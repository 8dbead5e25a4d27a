//! Back-pressure for producers that can wait: a push that found its lane full sleeps until rows went, and tries again.
//!
//! Whatever makes room turns a counter on. A producer reads the counter, tries, and sleeps only while it stands as it was before the
//! try, so room that comes between the two is never missed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
#[cfg(feature = "tokio")]
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::PushError;
use crate::model::Ticket;
use crate::row::Row;
#[cfg(feature = "tokio")]
use crate::wake::wake;

use super::{Engine, lock};

/// Longest sleep between two tries: a bound on what room that comes unannounced costs, such as a medium that can be read again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Producers that wait for room.
#[derive(Default)]
pub(super) struct RoomWaiters {
    /// Number of producers that wait: while it is 0, making room costs one load.
    producers: AtomicUsize,
    turns: Mutex<Turns>,
    turned: Condvar,
}

#[derive(Default)]
struct Turns {
    count: u64,
    #[cfg(feature = "tokio")]
    wakers: Vec<(u64, Waker)>,
    #[cfg(feature = "tokio")]
    next_waiter: u64,
}

impl RoomWaiters {
    /// Tells that there may be room.
    pub(super) fn turn(&self) {
        // A producer counts itself before its try, and both take the model's lock: who does not see it here has made room before it looked.
        if self.producers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut turns = lock(&self.turns);
        turns.count = turns.count.wrapping_add(1);
        self.turned.notify_all();
        #[cfg(feature = "tokio")]
        let wakers = std::mem::take(&mut turns.wakers);
        drop(turns);
        #[cfg(feature = "tokio")]
        wakers.into_iter().for_each(|(_, waker)| wake(waker));
    }

    fn count(&self) -> u64 {
        lock(&self.turns).count
    }

    /// Sleeps until the counter has left `seen`, for at most `time`.
    fn sleep(&self, seen: u64, time: Duration) {
        let stands = |turns: &mut Turns| turns.count == seen;
        let turns = self.turned.wait_timeout_while(lock(&self.turns), time, stands);
        drop(turns.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A producer that waits for room, counted while it lives.
pub(crate) struct RoomWaiter {
    engine: Arc<Engine>,
    #[cfg(feature = "tokio")]
    id: u64,
}

impl RoomWaiter {
    pub(crate) fn new(engine: &Arc<Engine>) -> RoomWaiter {
        engine.room.producers.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tokio")]
        let id = {
            let mut turns = lock(&engine.room.turns);
            turns.next_waiter += 1;
            turns.next_waiter
        };
        RoomWaiter {
            engine: engine.clone(),
            #[cfg(feature = "tokio")]
            id,
        }
    }

    /// Reads the counter, before a try.
    #[cfg(feature = "tokio")]
    pub(crate) fn seen(&self) -> u64 {
        self.engine.room.count()
    }

    /// Ready when the counter has left `seen`.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_turn(&self, seen: u64, cx: &Context<'_>) -> Poll<()> {
        let mut turns = lock(&self.engine.room.turns);
        if turns.count != seen {
            return Poll::Ready(());
        }
        match turns.wakers.iter_mut().find(|(of, _)| *of == self.id) {
            Some((_, known)) => known.clone_from(cx.waker()),
            None => turns.wakers.push((self.id, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// The row of a try that found no room: it waits, and so was not refused.
    pub(crate) fn row_to_try_again(&self, row: Row) -> Row {
        self.engine.model().not_refused(&row);
        row
    }
}

impl Drop for RoomWaiter {
    fn drop(&mut self) {
        self.engine.room.producers.fetch_sub(1, Ordering::Relaxed);
        #[cfg(feature = "tokio")]
        lock(&self.engine.room.turns).wakers.retain(|(of, _)| *of != self.id);
    }
}

impl Engine {
    /// A push that waits for room, for at most `time`. On a manual clock nothing waits.
    pub(crate) fn push_wait(self: &Arc<Self>, row: Row, time: Duration) -> Result<Ticket, PushError> {
        let waiter = RoomWaiter::new(self);
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.clock.now().up_ms.saturating_add(if self.clock.manual() { 0 } else { time_ms });
        let mut row = row;
        loop {
            let seen = self.room.count();
            let (full, limit) = match self.push(row) {
                Err(PushError::Full { row, limit }) => (row, limit),
                other => return other,
            };
            let left = Duration::from_millis(until_ms.saturating_sub(self.clock.now().up_ms));
            if left.is_zero() {
                return Err(PushError::Full { row: full, limit });
            }
            row = waiter.row_to_try_again(*full);
            self.room.sleep(seen, left.min(TRY_EVERY));
        }
    }
}
