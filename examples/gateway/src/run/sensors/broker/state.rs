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

    /// Returns the cause for which there is no connection until somebody changes something: a login that is refused, or a certificate. `None`: the broker
    /// has accepted the last CONNECT, or the cause may pass.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// Takes in that the broker has accepted the CONNECT: certificates and login are in order, whatever becomes of the subscriptions.
    pub(super) fn accept(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes the cause for which there is no connection.
    pub(super) fn set_cause(&self, why: &str) {
        let needs_somebody = LinkTrouble::of(why).is_some_and(LinkTrouble::needs_somebody);
        let trouble = needs_somebody.then(|| why.to_owned());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[cfg(test)]
mod tests {
    use edge_bridge::session::Closed;
    use edge_bridge::wire::ReasonCode;

    use super::*;

    #[test]
    fn a_login_that_is_mended_is_no_trouble_although_a_subscription_is_refused() {
        let state = BrokerState::default();
        state.set_cause(&Closed::Refused(ReasonCode::NOT_AUTHORIZED).to_string());
        assert!(state.trouble().is_some());
        state.accept();
        state.set_connected(false);
        assert_eq!((state.trouble(), state.is_connected()), (None, false));
    }
}
