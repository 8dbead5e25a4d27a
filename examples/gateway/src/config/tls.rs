//! Certificates and key of `[hub]`: built as the link builds them, and seen as the hub will see them.

#![allow(clippy::disallowed_methods, reason = "dates are those of this machine's clock")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use edge_bridge::Tls;
use edge_bridge::net::{CertificateProblem, TlsError, client_certificate_problem};

use super::{Findings, Hub};

/// So long before a certificate's end it is told: the time to roll out another one.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Without `ca` the authorities of the system are trusted.
pub(crate) fn tls(hub: &Hub) -> Result<Option<Tls>, TlsError> {
    if !hub.url.starts_with("mqtts://") {
        return Ok(None);
    }
    match (&hub.ca, &hub.cert, &hub.key) {
        (Some(ca), Some(cert), Some(key)) => Tls::from_pem(ca, cert, key),
        (Some(ca), ..) => Tls::from_ca(ca),
        (None, Some(cert), Some(key)) => Tls::from_system_with(cert, key),
        (None, ..) => Tls::from_system(),
    }
    .map(Some)
}

/// Reports what keeps the link from starting, and what its hub will not take. `place` knows the keys that name files, and where they stand.
pub(super) fn check(hub: &Hub, place: impl Fn(&Path) -> (String, usize), findings: &mut Findings) {
    match tls(hub) {
        Ok(Some(_)) => check_certificate(hub, place, findings),
        Ok(None) => {}
        Err(error) => {
            let (key, at) = place(file_of(&error));
            match error {
                // The machine that checks need not be the one that runs.
                TlsError::NoSystemRoots => findings.warning(at, &key, error.to_string()),
                _ => findings.error(at, &key, error.to_string()),
            }
        }
    }
}

fn file_of(error: &TlsError) -> &Path {
    match error {
        TlsError::Pem { path, .. } | TlsError::NoCertificate(path) | TlsError::Refused { path, .. } => path,
        _ => Path::new(""),
    }
}

fn check_certificate(hub: &Hub, place: impl Fn(&Path) -> (String, usize), findings: &mut Findings) {
    let Some(cert) = &hub.cert else { return };
    // Dates are looked at before authorities: without another file any will do.
    let ca = hub.ca.as_ref().unwrap_or(cert);
    let problem_in = |time| client_certificate_problem(cert, ca, SystemTime::now() + time).ok().flatten();
    let said = match problem_in(Duration::ZERO) {
        // Hubs may trust others for their clients than those that signed their own certificates.
        None | Some(CertificateProblem::OtherAuthority) => match problem_in(SOON) {
            Some(CertificateProblem::Expired) => {
                "the certificate expires within 30 days, by this machine's clock".to_owned()
            }
            _ => return,
        },
        Some(problem @ (CertificateProblem::Expired | CertificateProblem::NotYetValid)) => {
            format!("{problem}, by this machine's clock: the hub will refuse it")
        }
        Some(problem) => format!("{problem}: a hub may refuse it"),
    };
    let (key, at) = place(cert);
    findings.warning(at, &key, format!("{}: {said}", cert.display()));
}
