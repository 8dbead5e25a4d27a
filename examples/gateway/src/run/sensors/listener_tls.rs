//! TLS settings of the listener while it runs: own certificate with its key, authorities of clients, and lists of what they revoked are renewed each by
//! itself. What cannot be read stays as it was and is told, and holds up none of the others.

#![allow(clippy::disallowed_methods, reason = "a shell: dates are those of this machine's clock")]

use std::path::Path;
use std::time::SystemTime;

use edge_bridge::net::{CertificateProblem, ClockFloor, ServerTls, TlsError, certificate_ends};

use crate::config::tls::{UnfitForClients, clients_answer, listener_problem, listener_tls};
use crate::config::{TlsAddresses, operator_file};

use super::unusable_certificate::UnusableCertificate;

/// Settings in force, and the contents of the files that they are from.
#[derive(Clone)]
pub(super) struct ListenerTls {
    pub(super) in_force: ServerTls,
    /// Settings at the time at which the lists were read: what they must not lose depends on the authorities of then.
    listed: ServerTls,
    cert: Content,
    client_ca: Content,
    client_crl: Content,
    shown: Shown,
    /// Content that was refused as not valid yet by a clock that was known to be right.
    too_early: Content,
    /// Tells whether this machine's clock is known to be right.
    floor: ClockFloor,
    /// Error of the certificate that cannot be used since the start. `None`: one could.
    pub(super) unusable: Option<UnusableCertificate>,
}

/// Objections of clients to the certificate in force.
#[derive(Clone, Copy, Default)]
struct Shown {
    is_not_for_servers: bool,
    /// Last second in which it is valid; `None` if that cannot be read.
    ends: Option<SystemTime>,
}

impl Shown {
    fn of(files: &TlsAddresses, problem: Option<&CertificateProblem>) -> Self {
        Self {
            is_not_for_servers: problem == Some(&CertificateProblem::NotForServers),
            ends: certificate_ends(&files.cert).ok().and_then(|ends| ends.first().copied()),
        }
    }

    /// Returns whether clients that look at it refuse it.
    fn is_of_no_use(self, now: SystemTime) -> bool {
        self.is_not_for_servers || self.ends.is_some_and(|end| end < now)
    }
}

/// Bytes of a file; `None` if there is none, or it cannot be read.
type Content = Option<Vec<u8>>;

/// Outcome of a look at changed files.
pub(super) struct Renewal {
    pub(super) tls: ListenerTls,
    /// Set if another certificate is shown from now on.
    pub(super) shows_another: bool,
    /// Reason for which clients refuse that one, or some of them may; `None` if there is none, or no other one is shown.
    pub(super) doubt: Option<String>,
    /// Set if clients are judged by other authorities or lists from now on.
    pub(super) verifies_again: bool,
    /// Errors of what stays as it was, in one text; `None` if there is none.
    pub(super) failed: Option<String>,
    /// Set if none of the errors can end without a change of a file.
    pub(super) is_of_content: bool,
}

impl ListenerTls {
    pub(super) fn open(files: &TlsAddresses, floor: ClockFloor) -> Result<Self, TlsError> {
        // Before the settings are read from them: a change in between is found later.
        let [cert, client_ca, client_crl] = contents(files);
        let shown = Shown::of(files, listener_problem(&files.cert, SystemTime::now()).as_ref());
        let (in_force, unusable) = listener_tls(files, floor.clone())?;
        let unusable = unusable.map(|error| UnusableCertificate::new(&error, files, error.is_unread()));
        // Of one that is of no use nothing is in force.
        let cert = cert.filter(|_| unusable.is_none());
        let listed = in_force.clone();
        let too_early = None;
        Ok(Self { listed, in_force, cert, client_ca, client_crl, shown, too_early, floor, unusable })
    }

    /// Reads the files again. Blocks.
    pub(super) fn renewed(&self, files: &TlsAddresses) -> Renewal {
        let (mut tls, mut failed, mut is_of_content) = (self.clone(), Vec::new(), true);
        let [cert, client_ca, client_crl] = contents(files);
        let mut tell = |error: &TlsError| {
            failed.push(error.to_string());
            is_of_content &= !error.is_unread();
        };
        if let Some(path) = files.client_ca.as_ref().filter(|_| client_ca != self.client_ca) {
            match tls.trusting(path, files.client_crl.as_deref()) {
                Ok(settings) => (tls.in_force, tls.client_ca) = (settings, client_ca),
                Err(error) => tell(&error),
            }
        }
        if let Some(path) = files.client_crl.as_ref().filter(|_| client_crl != self.client_crl) {
            match tls.revoking(path) {
                Ok(settings) => {
                    (tls.in_force, tls.listed, tls.client_crl) = (settings.clone(), settings, client_crl);
                }
                Err(error) => tell(&error),
            }
        }
        let problem = self.problem(files, &cert);
        if self.unusable.is_some() {
            match first_identity(&tls.in_force, files) {
                Ok(settings) => (tls.in_force, tls.cert, tls.unusable) = (settings, cert, None),
                Err(unusable) => {
                    is_of_content &= !unusable.is_unread;
                    tls.unusable = Some(unusable);
                }
            }
        } else {
            match self.identity(&tls.in_force, files, &cert, problem.as_ref()) {
                Ok(settings) => (tls.in_force, tls.cert) = (settings, cert),
                Err((error, is_of_cert)) => {
                    failed.push(error);
                    is_of_content &= is_of_cert;
                    let is_clock_right = self.floor.get().is_none();
                    if is_clock_right && problem == Some(CertificateProblem::NotYetValid) {
                        tls.too_early = cert;
                    }
                }
            }
        }
        let shows_another = tls.cert != self.cert;
        if shows_another {
            tls.shown = Shown::of(files, problem.as_ref());
        }
        Renewal {
            shows_another,
            doubt: problem.filter(|_| shows_another).map(|problem| doubt(files, &problem)),
            verifies_again: (&tls.client_ca, &tls.client_crl) != (&self.client_ca, &self.client_crl),
            failed: (!failed.is_empty()).then(|| failed.join("; ")),
            is_of_content,
            tls,
        }
    }

    fn trusting(&self, ca: &Path, crl: Option<&Path>) -> Result<ServerTls, TlsError> {
        match (self.in_force.clone().with_client_authorities(ca), crl) {
            // One of the same name with another key comes with its list, or stays out.
            (Err(TlsError::RevocationsOfOtherKey { .. }), Some(crl)) => {
                let settings = self.in_force.clone().with_client_authorities_and_crl(ca, crl)?;
                settings.keeps_revocations_of(&self.listed, SystemTime::now())?;
                Ok(settings)
            }
            (renewed, _) => renewed,
        }
    }

    fn revoking(&self, path: &Path) -> Result<ServerTls, TlsError> {
        let settings = self.in_force.clone().with_client_crl(path)?;
        // The wrong file in the place of a list would let everybody in again.
        settings.keeps_revocations_of(&self.listed, SystemTime::now())?;
        Ok(settings)
    }

    /// Returns the settings with the certificate that the files have now, with this content and this problem, in the place of another one.
    ///
    /// # Errors
    /// It is of no use, and the one in force is not, in words, and whether that ends only with a change of its files.
    fn identity(
        &self,
        tls: &ServerTls,
        files: &TlsAddresses,
        cert: &Content,
        problem: Option<&CertificateProblem>,
    ) -> Result<ServerTls, (String, bool)> {
        if let Some((problem, unfit)) =
            problem.and_then(|problem| Some((problem, UnfitForClients::of(problem)?)))
        {
            if *cert == self.cert {
                // It was in force before it ended, or since the start.
                return Ok(tls.clone());
            }
            // Clients that take the one in force may look at nothing.
            if !self.shown.is_of_no_use(SystemTime::now()) {
                // One that is not valid yet becomes so without a change of its file.
                let is_of_cert = unfit != UnfitForClients::NotYetValid;
                return Err((doubt(files, problem), is_of_cert));
            }
        }
        usable(tls, files).map_err(|(error, is_of_content)| (error.to_string(), is_of_content))
    }

    /// Returns what clients have against the certificate of this content, as far as it is known here; `None` if nothing. One that is not valid yet by a
    /// clock that may be wrong is none of those, since clients judge by theirs, unless a right clock has said so.
    fn problem(&self, files: &TlsAddresses, cert: &Content) -> Option<CertificateProblem> {
        let is_clock_right = self.floor.get().is_none();
        let may_be_valid = |problem: &CertificateProblem| {
            UnfitForClients::of(problem).is_some_and(|unfit| !unfit.is_certain(is_clock_right))
                && *cert != self.too_early
        };
        listener_problem(&files.cert, SystemTime::now()).filter(|problem| !may_be_valid(problem))
    }
}

/// Returns the settings with the certificate that the files have now, where there was none that could be used: any will do.
fn first_identity(tls: &ServerTls, files: &TlsAddresses) -> Result<ServerTls, UnusableCertificate> {
    usable(tls, files)
        .map_err(|(error, is_of_content)| UnusableCertificate::new(&error, files, !is_of_content))
}

/// Returns the settings with the certificate and the key of the files, if they fit.
///
/// # Errors
/// They do not, and whether that ends only with a change of a file.
fn usable(tls: &ServerTls, files: &TlsAddresses) -> Result<ServerTls, (TlsError, bool)> {
    let renewed = tls.clone().with_identity(&files.cert, &files.key);
    let renewed = renewed.map_err(|error| {
        let is_of_content = !error.is_unread();
        (error, is_of_content)
    })?;
    match renewed.check_signer() {
        // The signer may get the key of the certificate later than this file.
        Err(error) if is_of_other_key(&error) => Err((error, false)),
        _ => Ok(renewed),
    }
}

fn doubt(files: &TlsAddresses, problem: &CertificateProblem) -> String {
    format!("{}: {problem}, {} ([local] cert)", files.cert.display(), clients_answer(problem))
}

fn is_of_other_key(error: &TlsError) -> bool {
    matches!(error, TlsError::Signer { source, .. } if source.is_of_other_key())
}

fn contents(files: &TlsAddresses) -> [Content; 3] {
    [Some(&files.cert), files.client_ca.as_ref(), files.client_crl.as_ref()]
        .map(|path| path.and_then(|path| operator_file::read(path).ok()))
}

#[cfg(test)]
mod tests;
