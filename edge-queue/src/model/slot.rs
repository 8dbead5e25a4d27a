//! Receipts on their way: the model decides on them under its lock, they are handed out after it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::receipt::{Receipt, WaitError};

/// Where a receipt arrives and is waited for. Knows nobody: whoever waits brings his own reasons to hurry.
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

    pub(crate) fn wait(&self, time: Option<Duration>) -> Option<Result<Receipt, WaitError>> {
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

    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Receipt, WaitError>> {
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
