//! Leases: rows from RAM at once, from the store by reading, or later by waiting.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::ConsumerError;
#[cfg(feature = "tokio")]
use crate::flaw::{Flaw, planted};
use crate::model::{Leased, More, Take};
use crate::row::Seq;
use crate::store::ReadLimit;

use super::{Engine, lock};

/// Time that `lease` waits for the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Returns at once, with no row if none is ready.
    None,
    /// At most this long.
    For(Duration),
    /// Until there is one or the queue is closed.
    Forever,
}

/// Outcome of an attempt that does not wait for the disk.
#[cfg(feature = "tokio")]
pub(crate) enum Quick {
    Rows(Vec<Leased>),
    /// The rest needs a blocking call.
    Blocking,
    /// The waker will be called when there may be some.
    Later,
}

impl Engine {
    pub(crate) fn lease(&self, consumer: u64, take: Take, wait: Wait) -> Result<Vec<Leased>, ConsumerError> {
        let mut out = Vec::new();
        if take.rows == 0 {
            return Ok(out);
        }
        let until_ms = match wait {
            Wait::For(time) if !self.clock.manual() => Some(
                self.clock.now().up_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            ),
            Wait::Forever if !self.clock.manual() => None,
            _ => Some(0),
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

    /// Takes a step of a lease; `Ok(true)` when nothing more is to come.
    fn lease_step(
        &self,
        consumer: u64,
        take: Take,
        until_ms: Option<u64>,
        out: &mut Vec<Leased>,
    ) -> Result<bool, ConsumerError> {
        let now = self.clock.now();
        let mut model = self.model();
        if model.closed {
            return Err(ConsumerError::Closed);
        }
        let (rows_before, returned_before) = (model.rows(), model.returns_at());
        let more = model.lease(consumer, take, out, &now);
        let expired = model.rows() < rows_before;
        // Who sleeps until an earlier lease ends must hear of one that ends before.
        let sooner = model.returns_at().is_some_and(|at| returned_before.is_none_or(|before| at < before));
        let receipts = std::mem::take(&mut model.out);
        let left_ms = until_ms.map_or(Some(u64::MAX), |at| at.checked_sub(now.up_ms).filter(|ms| *ms > 0));
        if let (More::Done, true, Some(left)) = (more, out.is_empty(), left_ms) {
            self.someone_waits.store(true, Ordering::Relaxed);
            let returns = model.returns_at().map_or(u64::MAX, |at| at.saturating_sub(now.up_ms).max(1));
            let left = left.min(returns);
            if left == u64::MAX {
                drop(self.rows.wait(model).unwrap_or_else(PoisonError::into_inner));
            } else {
                let waited = self.rows.wait_timeout(model, Duration::from_millis(left));
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            receipts.deliver();
            return Ok(false);
        }
        let wake = sooner.then(|| self.whom_to_wake(&model));
        drop(model);
        receipts.deliver();
        wake.into_iter().for_each(|wake| self.wake(wake));
        if expired {
            self.room.turn();
        }
        match more {
            More::Gone => Err(ConsumerError::Forgotten),
            More::Done => Ok(true),
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
        let mut store = lock(&self.store);
        let open = store.as_mut().ok_or(ConsumerError::Closed)?;
        let chunk = self.read(open, lane, from, limit).map_err(ConsumerError::Store)?;
        self.with_model(|model| model.offer(consumer, lane, from, below, chunk));
        Ok(())
    }

    /// Forgets the waker of an async consumer that waits no longer.
    #[cfg(feature = "tokio")]
    pub(crate) fn forget_waiter(&self, waiter: u64) {
        lock(&self.wakers).retain(|(of, _)| *of != waiter || planted(Flaw::WakerKept));
    }

    /// Takes rows that are in RAM now, else says what to do. Never waits for the disk. The waker is kept until there are
    /// rows, one for each number a waiter has.
    #[cfg(feature = "tokio")]
    pub(crate) fn lease_quick(
        &self,
        consumer: u64,
        take: Take,
        (waiter, waker): (u64, &std::task::Waker),
    ) -> Result<Quick, ConsumerError> {
        let now = self.clock.now();
        let mut out = Vec::new();
        let mut model = self.model();
        if model.closed {
            return Err(ConsumerError::Closed);
        }
        let (rows_before, returned_before) = (model.rows(), model.returns_at());
        let more = model.lease(consumer, take, &mut out, &now);
        let expired = model.rows() < rows_before;
        let sooner = model.returns_at().is_some_and(|at| returned_before.is_none_or(|before| at < before));
        let wake = sooner.then(|| self.whom_to_wake(&model));
        let receipts = std::mem::take(&mut model.out);
        if out.is_empty() && matches!(more, More::Done) {
            let mut wakers = lock(&self.wakers);
            match wakers.iter_mut().find(|(of, _)| *of == waiter) {
                Some((_, known)) => known.clone_from(waker),
                None => wakers.push((waiter, waker.clone())),
            }
            self.someone_waits.store(true, Ordering::Relaxed);
        }
        drop(model);
        receipts.deliver();
        wake.into_iter().for_each(|wake| self.wake(wake));
        if expired {
            self.room.turn();
        }
        match more {
            More::Gone => Err(ConsumerError::Forgotten),
            _ if !out.is_empty() => Ok(Quick::Rows(out)),
            More::Done => Ok(Quick::Later),
            More::Read { .. } => Ok(Quick::Blocking),
        }
    }
}
