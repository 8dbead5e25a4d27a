//! What became of a pushed row, and the handle that waits for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::engine::Engine;
use crate::state::Reason;

/// What became of a row. Never given early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// On the medium: it survives a power cut.
    Stored,
    /// Every consumer registered at the push acknowledged it before it had to be written.
    HandedOver,
    /// Given up by the policy you chose; the loss is recorded for each consumer.
    Settled(Reason),
    /// In RAM only: the memory store, or `OnFault::Volatile` while the store fails.
    Volatile,
}

/// Why a receipt will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The queue was closed while the store could not take the row: treat it as not accepted.
    Closed,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue was closed before the row was safe")
    }
}

impl std::error::Error for WaitError {}

/// A receipt still to come. Dropping it cancels nothing: the row is committed all the same.
///
/// Also a [`Future`]; it needs no runtime.
#[must_use = "a row without a receipt may still be lost in a power cut"]
pub struct Pending {
    slot: Arc<Slot>,
    engine: Arc<Engine>,
}

impl Pending {
    pub(crate) fn new(slot: Arc<Slot>, engine: Arc<Engine>) -> Pending {
        Pending { slot, engine }
    }

    /// Waits for the receipt: at most `ack_within` while the store works, for as long as it fails else. A thread's third
    /// wait in a row within 50 ms of its one before commits at once instead of waiting for company.
    ///
    /// # Errors
    /// [`WaitError::Closed`] when the queue was closed and the row could not be made safe.
    pub fn wait(&self) -> Result<Receipt, WaitError> {
        if let Some(done) = self.slot.get() {
            return done;
        }
        let row = self.engine.before_wait();
        let done = self.slot.wait(None);
        self.engine.after_wait(row);
        done.unwrap_or(Err(WaitError::Closed))
    }

    /// Waits at most `time`; `None` when the receipt is still to come.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn wait_timeout(&self, time: Duration) -> Result<Option<Receipt>, WaitError> {
        self.slot.wait(Some(time)).transpose()
    }

    /// The receipt if it is there.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn try_get(&self) -> Result<Option<Receipt>, WaitError> {
        self.slot.get().transpose()
    }
}

impl Future for Pending {
    type Output = Result<Receipt, WaitError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(cx.waker())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.slot.get()).finish()
    }
}

/// Where the engine puts a receipt.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
    arrived: Condvar,
}

#[derive(Default)]
struct SlotState {
    receipt: Option<Result<Receipt, WaitError>>,
    waker: Option<Waker>,
    /// Spares a system call per row: almost nobody blocks on a condvar.
    waiting: bool,
}

impl Slot {
    pub(crate) fn resolve(&self, receipt: Result<Receipt, WaitError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.receipt.is_some() {
            return;
        }
        state.receipt = Some(receipt);
        let waker = state.waker.take();
        if state.waiting {
            self.arrived.notify_all();
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn get(&self) -> Option<Result<Receipt, WaitError>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).receipt
    }

    fn wait(&self, time: Option<Duration>) -> Option<Result<Receipt, WaitError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting = true;
        match time {
            None => {
                let state = self.arrived.wait_while(state, |s| s.receipt.is_none());
                state.unwrap_or_else(PoisonError::into_inner).receipt
            }
            Some(time) => {
                let waited = self.arrived.wait_timeout_while(state, time, |s| s.receipt.is_none());
                waited.unwrap_or_else(PoisonError::into_inner).0.receipt
            }
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<Receipt, WaitError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.receipt {
            Some(receipt) => Poll::Ready(receipt),
            None => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }
}

/// Receipts the model decided on, to be handed out after its lock is released.
#[derive(Default)]
pub(crate) struct Outbox(Vec<(Arc<Slot>, Result<Receipt, WaitError>)>);

impl Outbox {
    pub(crate) fn put(&mut self, slot: Option<Arc<Slot>>, receipt: Receipt) {
        if let Some(slot) = slot {
            self.0.push((slot, Ok(receipt)));
        }
    }

    pub(crate) fn refuse(&mut self, slot: Option<Arc<Slot>>) {
        if let Some(slot) = slot {
            self.0.push((slot, Err(WaitError::Closed)));
        }
    }

    pub(crate) fn deliver(self) {
        for (slot, receipt) in self.0 {
            // With one owner left nobody can ask any more.
            if Arc::strong_count(&slot) > 1 {
                slot.resolve(receipt);
            }
        }
    }
}
