//! Leasing: rows from RAM at once, from the store by a read, or later by a wait.

use std::time::Duration;

use crate::error::ConsumerError;
use crate::locks_and_atomics::MutexGuard;
use crate::model::{Leased, Model, More, Take};
#[cfg(feature = "tokio")]
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::store::ReadLimit;
use crate::time::Now;

use super::{Engine, Wake};

/// Longest wait of `lease` for the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Returns at once, without a row if none is ready.
    None,
    /// Waits at most this long.
    For(Duration),
    /// Waits until there is a row or the queue is closed.
    Forever,
}

/// Outcome of an attempt to lease rows that does not wait for the disk.
#[cfg(feature = "tokio")]
pub(crate) enum Quick {
    Rows(Vec<Leased>),
    /// Rows must be read from the store, which takes a blocking call.
    Blocking,
    /// No row is available now; the waker will be called when there may be one.
    Later,
}

/// Result of taking rows from RAM, with the model still locked.
struct Look<'a> {
    model: MutexGuard<'a, Model>,
    more: More,
    /// Threads to wake, because rows expired or a lease ends earlier than any before; `None` if none has to be woken.
    wake: Option<Wake>,
    now: Now,
}

impl Engine {
    pub(crate) fn lease(&self, consumer: u64, take: Take, wait: Wait) -> Result<Vec<Leased>, ConsumerError> {
        let mut out = Vec::new();
        if take.rows == 0 {
            return Ok(out);
        }
        let until_ms = match wait {
            Wait::For(time) => Some(self.until_ms(time)),
            Wait::Forever if !self.clock.manual() => None,
            Wait::None | Wait::Forever => Some(0),
        };
        loop {
            match self.lease_step(consumer, take, until_ms, &mut out) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if out.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(out)
    }

    /// Does one step of a lease: takes rows from RAM, then waits or reads. `Ok(true)` when the lease is complete, `Ok(false)`
    /// when another step may bring rows.
    fn lease_step(
        &self,
        consumer: u64,
        take: Take,
        until_ms: Option<u64>,
        out: &mut Vec<Leased>,
    ) -> Result<bool, ConsumerError> {
        let Look { model, more, wake, now } = self.look_for_rows(consumer, take, out)?;
        let left_ms = until_ms.map_or(Some(u64::MAX), |at| at.checked_sub(now.up_ms).filter(|ms| *ms > 0));
        let waits = left_ms.filter(|_| matches!(more, More::Done) && out.is_empty());
        match waits {
            Some(left) if wake.is_none() => {
                let returns = model.returns_at().map_or(u64::MAX, |at| at.saturating_sub(now.up_ms).max(1));
                let left = left.min(returns);
                self.rows.sleep(model, (left < u64::MAX).then(|| Duration::from_millis(left)));
                return Ok(false);
            }
            _ => self.let_go(model, wake),
        }
        match more {
            More::Gone => Err(ConsumerError::Forgotten),
            More::Done => Ok(waits.is_none()),
            More::Read { lane, from, below, limit } => {
                self.fetch(consumer, lane, from, below, limit)?;
                Ok(false)
            }
        }
    }

    fn fetch(
        &self,
        consumer: u64,
        lane: usize,
        from: Seq,
        below: Seq,
        limit: ReadLimit,
    ) -> Result<(), ConsumerError> {
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(ConsumerError::Closed)?;
        let chunk = self.read(open, lane, from, limit).map_err(ConsumerError::Store)?;
        self.with_model(|model| model.offer(consumer, lane, from, below, chunk));
        Ok(())
    }

    /// Drops the waker of an async consumer that no longer waits.
    #[cfg(feature = "tokio")]
    pub(crate) fn forget_waiter(&self, waiter: u64) {
        if !planted(Flaw::WakerKept) {
            self.rows.forget(waiter);
        }
    }

    /// Leases rows that are in RAM; without any, tells whether to wait for the waker or to make a blocking call. Never waits for the disk. Keeps
    /// one waker for each `waiter` until there are rows.
    #[cfg(feature = "tokio")]
    pub(crate) fn lease_quick(
        &self,
        consumer: u64,
        take: Take,
        (waiter, waker): (u64, &std::task::Waker),
    ) -> Result<Quick, ConsumerError> {
        let mut out = Vec::new();
        let Look { model, more, wake, .. } = self.look_for_rows(consumer, take, &mut out)?;
        if out.is_empty() && matches!(more, More::Done) {
            self.rows.wait_as_task(waiter, waker);
        }
        self.let_go(model, wake);
        match more {
            More::Gone => Err(ConsumerError::Forgotten),
            _ if !out.is_empty() => Ok(Quick::Rows(out)),
            More::Done => Ok(Quick::Later),
            More::Read { .. } => Ok(Quick::Blocking),
        }
    }

    /// Moves rows that are in RAM into `out`, and determines which threads to wake.
    fn look_for_rows(
        &self,
        consumer: u64,
        take: Take,
        out: &mut Vec<Leased>,
    ) -> Result<Look<'_>, ConsumerError> {
        let now = self.clock.now();
        let mut model = self.model();
        if model.closed {
            return Err(ConsumerError::Closed);
        }
        let (rows_before, returned_before) = (model.rows(), model.returns_at());
        let more = model.lease(consumer, take, out, &now);
        // Who sleeps until an earlier lease ends must hear of one that ends before.
        let sooner = model.returns_at().is_some_and(|at| returned_before.is_none_or(|before| at < before));
        let expired = model.rows() < rows_before;
        let wake = if sooner || expired { Some(self.whom_to_wake(&model)) } else { None };
        Ok(Look { model, more, wake, now })
    }

    /// Unlocks the model, gives its receipts, and wakes the threads in `wake`; producers too, because expired rows made room.
    fn let_go(&self, mut model: MutexGuard<'_, Model>, wake: Option<Wake>) {
        let receipts = std::mem::take(&mut model.out);
        drop(model);
        receipts.deliver();
        if let Some(wake) = wake {
            self.wake(wake);
            self.room.turn();
        }
    }
}
