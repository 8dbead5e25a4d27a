//! TLS settings of the listener while it runs: own certificate with its key, authorities of clients, and lists of what they revoked are renewed each by
//! itself. What cannot be read stays as it was and is told, and holds up none of the others.

#![allow(clippy::disallowed_methods, reason = "a shell: dates are those of this machine's clock")]

use std::path::Path;
use std::time::SystemTime;

use edge_bridge::net::{CertificateProblem, ClockFloor, ServerTls, TlsError};

use crate::config::tls::{is_of_no_use, listener_problem, listener_tls};
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
    /// Set if clients that look at it refuse the certificate in force, and did so when it was taken.
    is_of_no_use: bool,
    /// Tells whether this machine's clock is known to be right.
    floor: ClockFloor,
    /// Error of the certificate that cannot be used since the start. `None`: one could.
    pub(super) unusable: Option<UnusableCertificate>,
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
        let is_of_no_use = problem(files, &floor).is_some_and(|problem| is_of_no_use(&problem));
        let (in_force, unusable) = listener_tls(files, floor.clone())?;
        let unusable = unusable.map(|error| UnusableCertificate::new(&error, files, error.is_unread()));
        // Of one that is of no use nothing is in force.
        let cert = cert.filter(|_| unusable.is_none());
        let listed = in_force.clone();
        Ok(Self { listed, in_force, cert, client_ca, client_crl, is_of_no_use, floor, unusable })
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
            match tls.in_force.clone().with_client_authorities(path) {
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
        if self.unusable.is_some() {
            match first_identity(&tls.in_force, files) {
                Ok(settings) => (tls.in_force, tls.cert, tls.unusable) = (settings, cert, None),
                Err(unusable) => {
                    is_of_content &= !unusable.is_unread;
                    tls.unusable = Some(unusable);
                }
            }
        } else {
            match self.identity(&tls.in_force, files, cert == self.cert) {
                Ok(settings) => (tls.in_force, tls.cert) = (settings, cert),
                Err((error, is_of_cert)) => {
                    failed.push(error);
                    is_of_content &= is_of_cert;
                }
            }
        }
        let shows_another = tls.cert != self.cert;
        let against = if shows_another { problem(files, &self.floor) } else { None };
        if shows_another {
            tls.is_of_no_use = against.as_ref().is_some_and(is_of_no_use);
        }
        Renewal {
            shows_another,
            doubt: against.map(|problem| doubt(files, &problem)),
            verifies_again: (&tls.client_ca, &tls.client_crl) != (&self.client_ca, &self.client_crl),
            failed: (!failed.is_empty()).then(|| failed.join("; ")),
            is_of_content,
            tls,
        }
    }

    fn revoking(&self, path: &Path) -> Result<ServerTls, TlsError> {
        let settings = self.in_force.clone().with_client_crl(path)?;
        // The wrong file in the place of a list would let everybody in again.
        settings.keeps_revocations_of(&self.listed, SystemTime::now())?;
        Ok(settings)
    }

    /// Returns the settings with the certificate that the files have now in the place of another one.
    ///
    /// # Errors
    /// It is of no use, and the one in force is not, in words, and whether that ends only with a change of its files.
    fn identity(
        &self,
        tls: &ServerTls,
        files: &TlsAddresses,
        is_same: bool,
    ) -> Result<ServerTls, (String, bool)> {
        if let Some(problem) = problem(files, &self.floor).filter(is_of_no_use) {
            if is_same {
                // It was in force before it ended, or since the start.
                return Ok(tls.clone());
            }
            // Clients that took one like it may look at nothing.
            if !self.is_of_no_use {
                // One that is not valid yet becomes so without a change of its file.
                let is_of_cert = problem != CertificateProblem::NotYetValid;
                return Err((doubt(files, &problem), is_of_cert));
            }
        }
        usable(tls, files).map_err(|(error, is_of_content)| (error.to_string(), is_of_content))
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

/// Returns what clients have against the certificate, as far as it is known here; `None` if nothing. A certificate that is not valid yet by a clock
/// that may be wrong is none of those: clients judge by theirs.
fn problem(files: &TlsAddresses, floor: &ClockFloor) -> Option<CertificateProblem> {
    let may_be_valid =
        |problem: &CertificateProblem| *problem == CertificateProblem::NotYetValid && floor.get().is_some();
    listener_problem(files).filter(|problem| !may_be_valid(problem))
}

fn doubt(files: &TlsAddresses, problem: &CertificateProblem) -> String {
    let said = if is_of_no_use(problem) { "clients refuse it" } else { "clients may refuse it" };
    format!("{}: {problem}, {said} ([local] cert)", files.cert.display())
}

fn is_of_other_key(error: &TlsError) -> bool {
    matches!(error, TlsError::Signer { source, .. } if source.is_of_other_key())
}

fn contents(files: &TlsAddresses) -> [Content; 3] {
    [Some(&files.cert), files.client_ca.as_ref(), files.client_crl.as_ref()]
        .map(|path| path.and_then(|path| operator_file::read(path).ok()))
}

#[cfg(test)]
mod tests {
    use edge_bridge::net::CertificateUser;
    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::*;

    /// Files of a listener that lets in clients with a certificate.
    fn written(dir: &Path) -> TlsAddresses {
        let write = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name)
        };
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let list = rcgen::CertificateRevocationListParams {
            this_update: SystemTime::now().into(),
            next_update: (SystemTime::now() + day).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&Issuer::from_params(&params, &key)).unwrap().pem().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        TlsAddresses {
            addresses: vec!["127.0.0.1:1".parse().unwrap()],
            cert: write("cert", &cert),
            key: write("key", &key.serialize_pem()),
            client_ca: Some(write("ca", &cert)),
            client_crl: Some(write("crl", &list)),
            client_user: CertificateUser::CommonName,
        }
    }

    /// Such as on a disk that is away for a moment: the stamps of the files are the same afterwards.
    #[test]
    fn what_could_not_be_read_may_be_readable_the_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        assert_eq!(tls.renewed(&files).failed, None);
        for name in ["cert", "key", "ca", "crl"] {
            let path = dir.path().join(name);
            let before = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let renewal = tls.renewed(&files);
            assert!(renewal.failed.is_some() && !renewal.is_of_content, "{name}: {:?}", renewal.failed);
            std::fs::write(&path, "nothing").unwrap();
            let renewal = tls.renewed(&files);
            assert!(renewal.failed.is_some() && renewal.is_of_content, "{name}: {:?}", renewal.failed);
            std::fs::write(&path, before).unwrap();
        }
    }

    /// There is nothing that could stay as it was.
    #[test]
    fn a_certificate_that_cannot_be_used_since_the_start_is_told_as_no_renewal() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        let renewal = tls.renewed(&files);
        assert_eq!((renewal.failed, renewal.shows_another), (None, false));
        assert!(tls.unusable.is_some() && renewal.tls.unusable == tls.unusable);
        std::fs::write(&files.key, key).unwrap();
        let renewal = renewal.tls.renewed(&files);
        assert!(renewal.shows_another && renewal.tls.unusable.is_none());
    }

    /// Certificate for `key` of these years and uses.
    fn of_key(key: &str, years: [i32; 2], uses: &[rcgen::ExtendedKeyUsagePurpose]) -> String {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        [params.not_before, params.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
        params.extended_key_usages = uses.to_vec();
        params.self_signed(&KeyPair::from_pem(key).unwrap()).unwrap().pem()
    }

    /// With one certificate for hub and listener, and clients that do not look at it.
    #[test]
    fn clients_that_take_one_for_clients_are_shown_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let key = std::fs::read_to_string(&files.key).unwrap();
        let next = |years| {
            let usage = rcgen::ExtendedKeyUsagePurpose::ClientAuth;
            std::fs::write(&files.cert, of_key(&key, years, &[usage])).unwrap();
        };
        next([2000, 2159]);
        let first = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        next([2000, 2160]);
        let second = first.renewed(&files);
        assert!(second.shows_another && second.failed.is_none(), "{:?}", second.failed);
        assert!(second.doubt.is_some(), "it is said");
        next([2000, 2161]);
        assert!(second.tls.renewed(&files).shows_another, "nor is the third refused for the second");
    }

    /// Such as in 1970, without a battery, before a time server answers: clients judge by their clocks.
    #[test]
    fn a_clock_that_may_be_wrong_keeps_out_no_certificate_as_not_valid_yet() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let key = std::fs::read_to_string(&files.key).unwrap();
        let tls = ListenerTls::open(&files, ClockFloor::new(|| Some(SystemTime::UNIX_EPOCH))).unwrap();
        let server = rcgen::ExtendedKeyUsagePurpose::ServerAuth;
        std::fs::write(&files.cert, of_key(&key, [2150, 2160], &[server])).unwrap();
        let renewal = tls.renewed(&files);
        assert!(renewal.shows_another && renewal.failed.is_none(), "{:?}", renewal.failed);
        assert_eq!(renewal.doubt, None);
    }

    #[test]
    fn a_certificate_that_no_client_takes_is_not_shown_in_place_of_one_in_force() {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let tls = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        let key = std::fs::read_to_string(&files.key).unwrap();
        for (years, uses, problem) in [
            ([2000, 2001], ServerAuth, "the certificate has expired"),
            ([2150, 2160], ServerAuth, "the certificate is not valid yet"),
            ([2000, 2160], ClientAuth, "the certificate is not one for servers"),
        ] {
            std::fs::write(&files.cert, of_key(&key, years, &[uses])).unwrap();
            let renewal = tls.renewed(&files);
            let failed = renewal.failed.unwrap_or_default();
            let path = files.cert.display();
            assert_eq!(failed, format!("{path}: {problem}, clients refuse it ([local] cert)"));
            assert!(!renewal.shows_another);
            // It is looked at again only if time alone can make it good.
            assert_eq!(renewal.is_of_content, problem != "the certificate is not valid yet");
            // At a start there is no other one.
            let started = ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
            assert_eq!((started.unusable.clone(), started.renewed(&files).failed), (None, None), "{problem}");
        }
        std::fs::write(&files.cert, of_key(&key, [2000, 2160], &[ServerAuth])).unwrap();
        let renewal = tls.renewed(&files);
        assert!(renewal.shows_another && renewal.failed.is_none(), "{:?}", renewal.failed);
        assert_eq!(renewal.doubt, None);
    }

    /// Where none could be used, or another one that some clients take was in force.
    #[test]
    fn a_certificate_that_clients_refuse_is_shown_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path());
        let open = || ListenerTls::open(&files, ClockFloor::new(|| None)).unwrap();
        let authority = std::fs::read(&files.cert).unwrap();
        let key = std::fs::read_to_string(&files.key).unwrap();
        let usage = rcgen::ExtendedKeyUsagePurpose::ClientAuth;
        std::fs::remove_file(&files.key).unwrap();
        let without = open();
        std::fs::write(&files.key, &key).unwrap();
        std::fs::write(&files.cert, of_key(&key, [2000, 2160], &[usage])).unwrap();
        let renewal = without.renewed(&files);
        let path = files.cert.display();
        let expected =
            format!("{path}: the certificate is not one for servers, clients refuse it ([local] cert)");
        assert_eq!((renewal.shows_another, renewal.doubt), (true, Some(expected)));
        assert_eq!(renewal.tls.renewed(&files).doubt, None, "it is the same");
        std::fs::write(&files.cert, of_key(&key, [2000, 2160], &[])).unwrap();
        let good = open();
        std::fs::write(&files.cert, authority).unwrap();
        let doubt = good.renewed(&files).doubt.unwrap();
        assert!(
            doubt.contains("made for an authority") && doubt.contains("clients may refuse it"),
            "{doubt}"
        );
    }
}
