//! Planted hangs: calls that block on purpose.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::medium::Call;

/// A call that hangs, as one of a dying flash card does: from when it arrives until it is let go. Dropping it lets it go.
#[derive(Debug)]
#[must_use = "a hold that is dropped lets the call go"]
pub struct Hold(Arc<Gate>);

impl Hold {
    /// Blocks until the call has arrived.
    pub fn wait_until_held(&self) {
        let state = self.0.changed.wait_while(self.0.lock(), |state| *state == GateState::Waits);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.set(GateState::Open);
    }
}

/// Gate that a held call waits at.
#[derive(Debug)]
pub(super) struct Gate {
    call: Call,
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateState {
    /// The awaited call has not come yet.
    Waits,
    Holds,
    Open,
}

impl Gate {
    pub(super) fn new(call: Call) -> (Arc<Gate>, Hold) {
        let gate = Gate { call, state: Mutex::new(GateState::Waits), changed: Condvar::new() };
        let gate = Arc::new(gate);
        (gate.clone(), Hold(gate))
    }

    pub(super) fn is_for(&self, call: Call) -> bool {
        self.call == call
    }

    /// Blocks a call at the gate until its hold is dropped.
    pub(super) fn pass(&self) {
        let mut state = self.lock();
        if *state == GateState::Waits {
            *state = GateState::Holds;
            self.changed.notify_all();
        }
        let state = self.changed.wait_while(state, |state| *state != GateState::Open);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    fn set(&self, to: GateState) {
        *self.lock() = to;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
