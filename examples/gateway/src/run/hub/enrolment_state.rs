//! State of the gateway's enrolment at an EST server, for the status. Empty where others renew the certificate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Enrolment at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enrolment {
    /// Set until the gateway has its first certificate; it does not dial the hub before.
    pub(crate) waits_for_first: bool,
    /// Reason why the last request brought no certificate. `None`: it did, or there was none.
    pub(crate) failure: Option<String>,
}

/// Handle to the state; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnrolmentState(Arc<Mutex<Enrolment>>);

impl EnrolmentState {
    /// Creates the state of a gateway that waits for its first certificate, or of one that has one.
    pub(crate) fn new(waits_for_first: bool) -> Self {
        Self(Arc::new(Mutex::new(Enrolment { waits_for_first, failure: None })))
    }

    pub(crate) fn get(&self) -> Enrolment {
        self.lock().clone()
    }

    #[cfg(feature = "est")]
    pub(super) fn set(&self, enrolment: Enrolment) {
        *self.lock() = enrolment;
    }

    fn lock(&self) -> MutexGuard<'_, Enrolment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
