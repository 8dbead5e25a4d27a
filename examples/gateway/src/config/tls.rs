//! Checks of TLS files as their peers will check them, and the TLS settings of the listener.

#![allow(clippy::disallowed_methods, reason = "dates are those of this machine's clock")]

mod unfit_for_clients;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use edge_bridge::Tls;
use edge_bridge::net::{
    CertificateProblem, ClockFloor, MissingAuthority, ServerTls, TlsError, authorities_have_expired,
    certificate_chain_ends, client_certificate_problem, missing_authority, revocation_list_ends,
    revocation_lists_are_of, signer_socket,
};

use super::peer::{ClientKeys, Peer, short};
use super::section::Placed;
use super::{Findings, Severity, TlsAddresses, secret_file};
pub(crate) use unfit_for_clients::{UnfitForClients, clients_answer, listener_problem};

/// Remaining validity of a certificate below which it is reported, so that there is time to roll out a new one.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Files of the gateway as a client of this server, as far as they exist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) peer: Peer,
    pub(super) ca: Option<&'a Placed<PathBuf>>,
    pub(super) cert: Option<&'a Placed<PathBuf>>,
    pub(super) key: Option<&'a Placed<PathBuf>>,
    pub(super) crl: Option<&'a Placed<PathBuf>>,
    /// Longest age of a message in the queue. A client certificate that expires sooner is reported: what an outage keeps so long could not be
    /// delivered with it. `None`: only one that has expired, or does so within 30 days, is reported.
    pub(super) max_age: Option<Duration>,
    /// Set if the gateway renews its certificate by itself: then no certificate lasts long, and that is as it should be.
    pub(super) is_renewed: bool,
}

/// Reports errors that keep the gateway from connecting, and certificates that the server will refuse. Each file is checked, whatever is wrong with
/// another.
pub(super) fn check(files: Files<'_>, findings: &mut Findings) {
    let is_read = |file: &Placed<PathBuf>, key: &str, findings: &mut Findings| {
        let error = Tls::from_ca(&file.value).err();
        if let Some(error) = &error {
            findings.unusable(file.at, key, error.to_string());
        }
        error.is_none()
    };
    let (keys, peer) = (files.peer.keys(), files.peer.word());
    let trusted = format!("which {peer}s are trusted");
    for (file, key) in [(files.ca, keys.ca), (files.crl, keys.crl)] {
        file.iter().for_each(|file| secret_file::warn_if_writable(file, key, &trusted, findings));
    }
    let ca = files.ca.filter(|ca| is_read(ca, keys.ca, findings));
    ca.iter().for_each(|ca| check_authorities(ca, keys.ca, peer, findings));
    if let Some(crl) = files.crl {
        // Without authorities that can be read, those of the system stand for them.
        let trusting = ca.map_or_else(Tls::from_system, |ca| Tls::from_ca(&ca.value));
        check_crl(
            (crl, keys.crl),
            ca.map(|ca| (ca, short(keys.ca))),
            |path| trusting.map_or(Ok(()), |tls| tls.with_crl(path).map(drop)),
            findings,
        );
    }
    let cert = files.cert.filter(|cert| is_read(cert, keys.cert, findings));
    if let Some(key) = files.key {
        check_key(key, cert, keys, findings);
    }
    let soon = if files.is_renewed { Duration::ZERO } else { SOON };
    let times = (soon, files.max_age.unwrap_or_default());
    cert.iter().for_each(|cert| check_certificate(cert, ca, files.peer, times, findings));
}

/// Reports a file without lists of revoked certificates that can be used, lists that are out of date, and a file without one of the authorities
/// that are named.
fn check_crl(
    (crl, key): (&Placed<PathBuf>, &str),
    ca: Option<(&Placed<PathBuf>, &str)>,
    used: impl FnOnce(&Path) -> Result<(), TlsError>,
    findings: &mut Findings,
) {
    let ends = revocation_list_ends(&crl.value);
    let ends = match ends.and_then(|ends| used(&crl.value).map(|()| ends)) {
        Ok(ends) => ends,
        Err(error) => return findings.error(crl.at, key, error.to_string()),
    };
    let path = crl.value.display();
    if ends.iter().any(|end| *end <= SystemTime::now()) {
        let message = format!(
            "{path}: a list in it is out of date, by this machine's clock: who was revoked since is let in until there is a new one"
        );
        findings.warning(crl.at, key, message);
    }
    if let Some((ca, of)) = ca.filter(|(ca, _)| !is_list_of(&crl.value, &ca.value)) {
        // Not an error: it may be the list of an authority below, which peers show with their certificates.
        let message = format!(
            "{path}: no list in it is of an authority in {}, so that it keeps out nobody whom that one revoked: name that one's list, or put the authority of this list into `{of}`",
            ca.value.display()
        );
        findings.warning(crl.at, key, message);
    }
}

/// Returns whether an authority in `ca` made one of the lists in `crl`, or a file cannot be read, which is told elsewhere.
pub(crate) fn is_list_of(crl: &Path, ca: &Path) -> bool {
    revocation_lists_are_of(crl, ca).unwrap_or(true)
}

/// Returns whether the lists in `crl` can be used with the authorities in `ca`, or those of the system, or these cannot be read, which is told elsewhere.
pub(crate) fn is_list_usable(crl: &Path, ca: Option<&Path>) -> bool {
    ca.map_or_else(Tls::from_system, Tls::from_ca).map_or(true, |tls| tls.with_crl(crl).is_ok())
}

/// Reports a key that cannot be read, or does not belong to the certificate.
fn check_key(
    key: &Placed<PathBuf>,
    cert: Option<&Placed<PathBuf>>,
    keys: &ClientKeys,
    findings: &mut Findings,
) {
    if cert.is_none() && signer_socket(&key.value).is_some() {
        // It has nothing to be read, and no certificate that it could fit.
        return;
    }
    // Nothing else takes a certificate and its key alone, without authorities. Without a certificate only the reading of the key counts.
    let other = cert.unwrap_or(key);
    let Err(error) = ServerTls::from_pem(&other.value, &key.value, None) else { return };
    let of_cert = cert.filter(|cert| file_of(&error) == Some(cert.value.as_path()));
    let (at, name) = match (of_cert, &error) {
        (Some(cert), _) => (cert.at, keys.cert),
        (None, TlsError::Pem { .. } | TlsError::EncryptedKey(_)) => (key.at, keys.key),
        (None, _) if cert.is_some() => (key.at, keys.key),
        (None, _) => return,
    };
    findings.unusable(at, name, error.to_string());
}

/// Reports that the system has no bundle of authorities, which is needed without a file of authorities. `at` is the byte offset of the
/// address, and `key` its key.
pub(super) fn check_system(at: usize, key: &str, findings: &mut Findings) {
    match Tls::from_system() {
        Ok(_) => {}
        // The machine that checks need not be the one that runs.
        Err(error @ TlsError::NoSystemRoots) => findings.warning(at, key, error.to_string()),
        Err(error) => findings.error(at, key, error.to_string()),
    }
}

fn file_of(error: &TlsError) -> Option<&Path> {
    match error {
        TlsError::Pem { path, .. } | TlsError::NoCertificate(path) | TlsError::Refused { path, .. } => {
            Some(path)
        }
        TlsError::OtherKey { key, .. } => Some(key),
        _ => None,
    }
}

/// Reports a file of authorities that have expired, and one in which there is none for these peers.
fn check_authorities(ca: &Placed<PathBuf>, key: &str, peer: &str, findings: &mut Findings) {
    let have_expired = |time| authorities_have_expired(&ca.value, SystemTime::now() + time).unwrap_or(false);
    let path = ca.value.display();
    if have_expired(Duration::ZERO) {
        let message = format!("{path}: every certificate in it has expired, by this machine's clock");
        findings.add(Severity::ErrorInCheck, ca.at, key, message, None);
    } else if have_expired(SOON) {
        let message =
            format!("{path}: the last certificate in it expires within 30 days, by this machine's clock");
        findings.warning(ca.at, key, message);
    }
    match missing_authority(&ca.value).ok().flatten() {
        // Each handshake fails, but for a certificate that the owner of this one signed, which no other program takes.
        Some(MissingAuthority::SignedByOther { issuer }) => {
            let issuer = issuer.map_or_else(String::new, |name| format!(" {name}"));
            let message = format!(
                "{path}: no certificate of an authority (CA:TRUE) is in it, only one that another{issuer} signed: a {peer} that shows it is refused; put the certificate of that authority there"
            );
            findings.add(Severity::ErrorInCheck, ca.at, key, message, None);
        }
        // That works, and a site may have nothing else.
        Some(_) => {
            let message = format!(
                "{path}: no certificate of an authority (CA:TRUE) is in it, only one that signed itself: a {peer} that shows it is let in until it is renewed, and whoever has its key can make certificates of any name; with an authority, whose certificate belongs there, neither is so"
            );
            findings.warning(ca.at, key, message);
        }
        None => {}
    }
}

fn check_certificate(
    cert: &Placed<PathBuf>,
    ca: Option<&Placed<PathBuf>>,
    peer: Peer,
    (soon, max_age): (Duration, Duration),
    findings: &mut Findings,
) {
    // Dates are looked at before authorities: without another file any will do.
    let ca = ca.unwrap_or(cert);
    let now = SystemTime::now();
    let problem_in = |time| {
        let at = now.checked_add(time)?;
        client_certificate_problem(&cert.value, &ca.value, at).ok().flatten()
    };
    let (name, peer) = (peer.keys().cert, peer.word());
    check_chain((cert, name), max_age, findings);
    let (severity, said) = match problem_in(Duration::ZERO) {
        // Hubs may trust others for their clients than those that signed their own certificates, as those of the large clouds do. A file of the
        // gateway's names none of them, so that one of a foreign authority, one behind a missing intermediate and a good one look the same.
        None | Some(CertificateProblem::OtherAuthority) => match problem_in(soon) {
            Some(CertificateProblem::Expired) => (
                Severity::Warning,
                "the certificate expires within 30 days, by this machine's clock".to_owned(),
            ),
            _ if problem_in(max_age) == Some(CertificateProblem::Expired) => (
                Severity::Warning,
                "the certificate expires before `[queue] max_age` has passed: what an outage keeps so long cannot be delivered with it".to_owned(),
            ),
            _ => return,
        },
        Some(problem @ CertificateProblem::Expired) => {
            (Severity::ErrorInCheck, format!("{problem}, by this machine's clock: the {peer} will refuse it"))
        }
        Some(problem @ CertificateProblem::NotYetValid) => {
            (Severity::Warning, format!("{problem}, by this machine's clock: the {peer} judges by its own"))
        }
        Some(problem) => (Severity::Warning, format!("{problem}: a {peer} may refuse it")),
    };
    findings.add(severity, cert.at, name, format!("{}: {said}", cert.value.display()), None);
}

/// Reports the certificates of a chain behind the first one, those of the authorities between the owner and the one that peers trust, when they
/// expire. A warning even when they have: a peer may have newer ones of the same authorities.
fn check_chain((cert, name): (&Placed<PathBuf>, &str), max_age: Duration, findings: &mut Findings) {
    let ends = certificate_chain_ends(&cert.value).unwrap_or_default();
    let Some(end) = ends.get(1..).and_then(|behind| behind.iter().min()) else { return };
    let left = end.duration_since(SystemTime::now());
    let said = match left {
        Err(_) => "has expired: a peer without a newer one will refuse the chain",
        Ok(left) if left < SOON => "expires within 30 days",
        Ok(left) if left < max_age => "expires before `[queue] max_age` has passed",
        Ok(_) => return,
    };
    let message = format!(
        "{}: a certificate behind the first one {said}, by this machine's clock",
        cert.value.display()
    );
    findings.warning(cert.at, name, message);
}

/// Returns the TLS of the listener. Certificates of clients are judged within `floor`. With an error its own certificate cannot be used, and each
/// handshake fails before there is one.
///
/// # Errors
/// One of the files by which clients are judged is not valid.
pub(crate) fn listener_tls(
    files: &TlsAddresses,
    floor: ClockFloor,
) -> Result<(ServerTls, Option<TlsError>), TlsError> {
    let tls = ServerTls::with_unusable_certificate(&files.cert, files.client_ca.as_deref())?;
    let tls = tls.with_certificate_user(files.client_user);
    let tls = match &files.client_crl {
        Some(crl) => tls.with_client_crl(crl)?,
        None => tls,
    };
    let tls = tls.with_clock_floor(floor)?;
    Ok(match tls.clone().with_identity(&files.cert, &files.key) {
        Ok(tls) => (tls, None),
        Err(error) => (tls, Some(error)),
    })
}

/// Reports errors that keep the listener from using TLS, and certificates that its clients will refuse.
pub(super) fn check_listener(
    cert: &Placed<PathBuf>,
    key: &Placed<PathBuf>,
    [client_ca, client_crl]: [Option<&Placed<PathBuf>>; 2],
    findings: &mut Findings,
) {
    secret_file::warn_if_open(key, "local.key", "key", findings);
    for (file, key) in [(client_ca, "local.client_ca"), (client_crl, "local.client_crl")] {
        file.iter().for_each(|file| secret_file::warn_if_writable(file, key, "who is let in", findings));
    }
    if let Err(error) = ServerTls::from_pem(&cert.value, &key.value, None) {
        let is_about_cert = file_of(&error) == Some(cert.value.as_path());
        let (at, name) = if is_about_cert { (cert.at, "local.cert") } else { (key.at, "local.key") };
        findings.unusable(at, name, error.to_string());
        return;
    }
    if let Some(ca) = client_ca {
        check_authorities(ca, "local.client_ca", "client", findings);
        match ServerTls::from_pem(&cert.value, &key.value, Some(&ca.value)) {
            Err(error) => findings.error(ca.at, "local.client_ca", error.to_string()),
            Ok(tls) => client_crl.into_iter().for_each(|crl| {
                let used = |path: &Path| tls.clone().with_client_crl(path).map(drop);
                check_crl((crl, "local.client_crl"), Some((ca, "client_ca")), used, findings);
            }),
        }
    }
    check_chain((cert, "local.cert"), Duration::ZERO, findings);
    let now = SystemTime::now();
    let problem_in = |time| listener_problem(&cert.value, now + time);
    let said = match (problem_in(Duration::ZERO), problem_in(SOON)) {
        (Some(problem @ CertificateProblem::NotYetValid), _) => {
            format!("{problem}, by this machine's clock: clients judge by theirs")
        }
        (Some(problem @ CertificateProblem::Expired), _) => {
            format!("{problem}, by this machine's clock: {}", clients_answer(&problem))
        }
        (Some(problem), _) => format!("{problem}: {}", clients_answer(&problem)),
        (None, Some(CertificateProblem::Expired)) => {
            "the certificate expires within 30 days, by this machine's clock".to_owned()
        }
        (None, _) => return,
    };
    findings.warning(cert.at, "local.cert", format!("{}: {said}", cert.value.display()));
}

#[cfg(test)]
mod tests;
