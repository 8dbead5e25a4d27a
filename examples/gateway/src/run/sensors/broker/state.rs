//! State of the connection to the local broker, for the status and the probes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::run::hub::link_trouble::LinkTrouble;

/// Time without a connection from which on the gateway is degraded: longer than a broker takes to start again.
const AWAY_MAX_MS: u64 = 10_000;

/// Shortest connection that ends such a time: through one that ends at once next to nothing comes in.
const LASTING_MS: u64 = 5_000;

/// State of the connection.
#[derive(Debug)]
pub(crate) struct BrokerState {
    is_connected: AtomicBool,
    /// Up time at which the last connection began.
    connected_at_ms: AtomicU64,
    /// Up time at which the last connection that lasted ended, or the attempts began.
    away_since_ms: AtomicU64,
    cause: Mutex<Option<String>>,
}

impl BrokerState {
    /// Creates the state of attempts that begin at `now_ms`, with no connection.
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            is_connected: false.into(),
            connected_at_ms: now_ms.into(),
            away_since_ms: now_ms.into(),
            cause: Mutex::default(),
        }
    }

    /// Returns whether the broker has accepted the CONNECT and every subscription.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }

    /// Returns why there is no connection. `None`: nothing has failed yet, or the broker has accepted the last CONNECT.
    pub(crate) fn cause(&self) -> Option<String> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the cause lasts until somebody changes something: a login that is refused, or a certificate.
    pub(super) fn needs_somebody(&self) -> bool {
        self.cause().as_deref().and_then(LinkTrouble::of).is_some_and(LinkTrouble::needs_somebody)
    }

    /// Returns whether nothing comes in for want of a connection, and it is no short interruption.
    pub(crate) fn is_missed(&self, now_ms: u64) -> bool {
        // The flag before the time, which is written before it.
        if self.is_connected() {
            return false;
        }
        let away_ms = now_ms.saturating_sub(self.away_since_ms.load(Ordering::Relaxed));
        away_ms >= AWAY_MAX_MS || self.needs_somebody()
    }

    pub(super) fn set_connected(&self, is_connected: bool, now_ms: u64) {
        let was_connected = self.is_connected();
        if is_connected && !was_connected {
            self.connected_at_ms.store(now_ms, Ordering::Relaxed);
        } else if was_connected && !is_connected {
            let lasted_ms = now_ms.saturating_sub(self.connected_at_ms.load(Ordering::Relaxed));
            if lasted_ms >= LASTING_MS {
                self.away_since_ms.store(now_ms, Ordering::Relaxed);
            }
        }
        self.is_connected.store(is_connected, Ordering::Release);
    }

    /// Takes in that the broker has accepted the CONNECT: certificates and login are in order, whatever becomes of the subscriptions.
    pub(super) fn accept(&self) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes the cause for which there is no connection.
    pub(super) fn set_cause(&self, why: &str) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use edge_bridge::session::Closed;
    use edge_bridge::wire::ReasonCode;

    use super::*;

    #[test]
    fn a_login_that_is_mended_is_no_trouble_although_a_subscription_is_refused() {
        let state = BrokerState::new(0);
        state.set_cause(&Closed::Refused(ReasonCode::NOT_AUTHORIZED).to_string());
        assert!(state.needs_somebody() && state.is_missed(1));
        state.accept();
        state.set_connected(false, 1);
        assert_eq!((state.cause(), state.is_connected(), state.is_missed(2)), (None, false, false));
    }

    #[test]
    fn a_broker_is_missed_after_ten_seconds() {
        let state = BrokerState::new(0);
        state.set_cause("cannot connect: Connection refused");
        assert!(!state.is_missed(9_999) && state.is_missed(10_000));
        state.set_connected(true, 11_000);
        assert!(!state.is_missed(1_000_000));
        state.set_connected(false, 1_000_000);
        state.set_connected(false, 1_005_000);
        assert!(!state.is_missed(1_009_999) && state.is_missed(1_010_000));
    }

    #[test]
    fn a_broker_that_ends_each_connection_at_once_is_missed() {
        let state = BrokerState::new(0);
        for at_ms in (0..60_000).step_by(6_000) {
            state.set_connected(true, at_ms);
            assert!(!state.is_missed(at_ms + 500));
            state.set_connected(false, at_ms + 1_000);
            assert_eq!(state.is_missed(at_ms + 5_999), at_ms >= 6_000, "{at_ms}");
        }
        state.set_connected(true, 60_000);
        state.set_connected(false, 65_000);
        assert!(!state.is_missed(74_999) && state.is_missed(75_000));
    }
}
