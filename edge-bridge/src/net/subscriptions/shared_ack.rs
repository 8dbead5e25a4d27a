//! Acknowledgement of a message that went to several subscriptions; the last of them sends the PUBACK.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::session::AckHandle;

/// The PUBACK of a message that went to one or more subscriptions.
#[derive(Debug)]
pub(in crate::net) struct SharedAck {
    pub(in crate::net) handle: AckHandle,
    /// Number of subscriptions that have not acknowledged the message.
    left: AtomicUsize,
    /// Set once one subscription has acknowledged the message, because it was acted on.
    acted_on: AtomicBool,
}

impl SharedAck {
    pub(in crate::net) fn new(handle: AckHandle, subscriptions: usize) -> Arc<Self> {
        Arc::new(Self { handle, left: AtomicUsize::new(subscriptions), acted_on: false.into() })
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
}
