//! Acknowledgement of a message that several subscriptions share; the last of them gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::session::AckHandle;

/// The PUBACK of a message that went to one or more subscriptions.
#[derive(Debug)]
pub(super) struct SharedAck {
    pub(super) handle: AckHandle,
    /// Number of subscriptions that are not done.
    left: AtomicUsize,
    /// Set once one of them is done, because the message has been acted on.
    acted_on: AtomicBool,
}

impl SharedAck {
    pub(super) fn new(handle: AckHandle, subscriptions: usize) -> Arc<Self> {
        Arc::new(Self { handle, left: AtomicUsize::new(subscriptions), acted_on: false.into() })
    }

    /// Notes that one subscription is done; returns whether it was the last.
    pub(super) fn release(&self) -> bool {
        self.acted_on.store(true, Ordering::Relaxed);
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Notes that one subscription ended without being done. Returns `None` if others are left, otherwise whether another one had acted on the
    /// message.
    pub(super) fn abandon(&self) -> Option<bool> {
        (self.left.fetch_sub(1, Ordering::AcqRel) == 1).then(|| self.acted_on.load(Ordering::Relaxed))
    }
}
