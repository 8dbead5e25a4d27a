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

/// Judgement of the hub on the gateway's certificate.
///
/// A certificate is known by the SHA-256 of its DER: two may end in the same second, and that in the file may not have been shown to the hub yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubJudgement {
    /// Certificate with which the hub accepted a CONNECT last. `None` before the first.
    pub(crate) taken: Option<[u8; 32]>,
    /// Certificate that the hub refuses. `None` while it refuses none.
    pub(crate) refused: Option<[u8; 32]>,
}

/// Handle to the state; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnrolmentState(Arc<Mutex<(Enrolment, HubJudgement)>>);

impl EnrolmentState {
    /// Creates the state of a gateway that waits for its first certificate, or of one that has one.
    pub(crate) fn new(waits_for_first: bool) -> Self {
        let enrolment = Enrolment { waits_for_first, failure: None };
        Self(Arc::new(Mutex::new((enrolment, HubJudgement::default()))))
    }

    pub(crate) fn get(&self) -> Enrolment {
        self.lock().0.clone()
    }

    #[cfg(feature = "est")]
    pub(super) fn set(&self, enrolment: Enrolment) {
        self.lock().0 = enrolment;
    }

    #[cfg(feature = "est")]
    pub(super) fn judgement(&self) -> HubJudgement {
        self.lock().1
    }

    /// Records the hub's judgement, for the task that asks for certificates.
    pub(crate) fn judge(&self, judgement: HubJudgement) {
        self.lock().1 = judgement;
    }

    fn lock(&self) -> MutexGuard<'_, (Enrolment, HubJudgement)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
