//! State of the connection to the local broker, for the status and the probes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::run::hub::link_trouble::LinkTrouble;

/// State of the connection.
#[derive(Debug, Default)]
pub(crate) struct BrokerState {
    is_connected: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl BrokerState {
    /// Returns whether the broker has accepted the CONNECT and every subscription.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Returns the cause for which there is no connection until somebody changes something: a login that is refused, or a certificate. `None`: there is a
    /// connection, or the cause may pass.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
        if is_connected {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Takes the cause for which there is no connection.
    pub(super) fn set_cause(&self, why: &str) {
        let needs_somebody = LinkTrouble::of(why).is_some_and(LinkTrouble::needs_somebody);
        let trouble = needs_somebody.then(|| why.to_owned());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}
