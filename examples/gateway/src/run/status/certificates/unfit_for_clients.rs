//! Certificate of the listener for which each client refuses it, although it has not ended: nobody is let in with TLS, and the gateway itself sees
//! handshakes alone that end.

use std::path::Path;
use std::time::SystemTime;

use edge_bridge::net::{CertificateProblem, server_certificate_problem};

/// Reason for which each client refuses a certificate that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnfitForClients {
    NotYetValid,
    NotForServers,
}

impl UnfitForClients {
    /// Reads a certificate's file, and judges it at this time. `None` if clients may take it, or the file cannot be read.
    pub(super) fn of(path: &Path, at: SystemTime) -> Option<Self> {
        match server_certificate_problem(path, at).ok()?? {
            CertificateProblem::NotYetValid => Some(Self::NotYetValid),
            CertificateProblem::NotForServers => Some(Self::NotForServers),
            _ => None,
        }
    }

    /// Returns whether it is so for certain: where the clock is not known to be right, the certificate may be valid already.
    pub(super) fn is_certain(self, is_clock_right: bool) -> bool {
        self != Self::NotYetValid || is_clock_right
    }

    /// Returns the words behind "the certificate".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotYetValid => "is not valid yet",
            Self::NotForServers => "is not one for servers (its extended key usage lacks serverAuth)",
        }
    }
}
