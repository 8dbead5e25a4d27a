//! Judgement of clients on the listener's certificate, which they alone refuse: the gateway itself sees handshakes that end. One judgement for `check`,
//! for a renewal, and for the status.

use std::path::Path;
use std::time::SystemTime;

use edge_bridge::net::{CertificateProblem, server_certificate_problem};

/// Reason for which every client that looks at the listener's certificate refuses it. Some that look take one with another problem, such as one that
/// signed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnfitForClients {
    HasEnded,
    NotYetValid,
    NotForServers,
}

impl UnfitForClients {
    /// Judges a certificate with this problem. `None` if some clients may take it.
    pub(crate) fn of(problem: &CertificateProblem) -> Option<Self> {
        match problem {
            CertificateProblem::Expired => Some(Self::HasEnded),
            CertificateProblem::NotYetValid => Some(Self::NotYetValid),
            CertificateProblem::NotForServers => Some(Self::NotForServers),
            _ => None,
        }
    }

    /// Returns whether it is so for certain: where the clock is not known to be right, the certificate may be valid already.
    pub(crate) fn is_certain(self, is_clock_right: bool) -> bool {
        self != Self::NotYetValid || is_clock_right
    }

    /// Returns the words behind "the certificate".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::HasEnded => "has ended",
            Self::NotYetValid => "is not valid yet",
            Self::NotForServers => "is not one for servers (its extended key usage lacks serverAuth)",
        }
    }
}

/// Reads the listener's certificate, and returns the problem that clients have with it at this time. `None` if they have none, or the file cannot be
/// read.
pub(crate) fn listener_problem(cert: &Path, at: SystemTime) -> Option<CertificateProblem> {
    server_certificate_problem(cert, at).ok().flatten()
}

/// Returns the words for what clients do about this problem.
pub(crate) fn clients_answer(problem: &CertificateProblem) -> &'static str {
    if UnfitForClients::of(problem).is_some() { "clients refuse it" } else { "clients may refuse it" }
}
