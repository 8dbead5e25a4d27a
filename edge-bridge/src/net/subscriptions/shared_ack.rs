//! Acknowledgement of a message that went to several subscriptions; the last of them sends the PUBACK or PUBREC.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::AckHandle;

/// The PUBACK or PUBREC of a message that went to one or more subscriptions.
#[derive(Debug)]
pub(in crate::net) struct SharedAck {
    /// Handle of the youngest copy of the message.
    handle: Mutex<AckHandle>,
    /// Number of subscriptions that have not acknowledged the message.
    left: AtomicUsize,
    /// Set once one subscription has acknowledged the message, because it was acted on.
    acted_on: AtomicBool,
    /// Set once one of them was given up, so that the message is to be delivered again.
    is_given_up: AtomicBool,
}

/// Need of a message of QoS 2 that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Copy {
    /// The first copy is on its way to an acknowledgement.
    Waits,
    /// The first copy was acknowledged, by a handle of an earlier connection perhaps.
    Done,
    /// The first copy was dropped.
    Wanted,
}

impl SharedAck {
    pub(in crate::net) fn new(handle: AckHandle, subscriptions: usize) -> Arc<Self> {
        Arc::new(Self {
            handle: Mutex::new(handle),
            left: AtomicUsize::new(subscriptions),
            acted_on: false.into(),
            is_given_up: false.into(),
        })
    }

    pub(in crate::net) fn handle(&self) -> AckHandle {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the acknowledgement of one subscription; returns whether it was the last.
    pub(in crate::net) fn release(&self) -> bool {
        self.acted_on.store(true, Ordering::Relaxed);
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Counts a subscription that ended without acknowledgement. Returns `None` if others are left, otherwise whether another one had
    /// acknowledged the message.
    pub(in crate::net) fn abandon(&self) -> Option<bool> {
        (self.left.fetch_sub(1, Ordering::AcqRel) == 1).then(|| self.acted_on.load(Ordering::Relaxed))
    }

    /// Notes that the application dropped the message without acknowledgement.
    pub(in crate::net) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Takes the handle of another copy, of a later connection, and returns what that copy is for. The handle first: whoever acknowledges meanwhile
    /// uses it, or is seen here.
    pub(in crate::net) fn renew(&self, handle: AckHandle) -> Copy {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = handle;
        self.copy()
    }

    /// Returns what another copy would be for.
    pub(in crate::net) fn copy(&self) -> Copy {
        let is_over = self.left.load(Ordering::Acquire) == 0;
        match (is_over, self.acted_on.load(Ordering::Relaxed)) {
            _ if self.is_given_up.load(Ordering::Acquire) => Copy::Wanted,
            (true, true) => Copy::Done,
            (true, false) => Copy::Wanted,
            (false, _) => Copy::Waits,
        }
    }
}
