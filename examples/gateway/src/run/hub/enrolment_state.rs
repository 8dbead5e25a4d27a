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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubJudgement {
    /// Last second of the certificate, with its chain, with which the hub accepted a CONNECT last, since 1970. `None` before the first.
    pub(crate) taken_ends_s: Option<u64>,
    /// Set while the hub refuses the one that was read last.
    pub(crate) is_refused: bool,
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
