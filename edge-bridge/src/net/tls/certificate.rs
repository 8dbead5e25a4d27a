//! Check of an own certificate as the peer will do it, because rustls checks an own certificate only against its key.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore, crypto};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate_kind::unfit_kind;
use super::error::TlsError;
use super::{certificates, roots};

/// Reason for which a peer would refuse a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// None of the authorities has signed the certificate, directly or by way of those behind it in the file. A hub may trust other
    /// authorities for its clients than the one that signed its own certificate.
    OtherAuthority,
    /// The certificate is for other purposes, because its extended key usage does not name clients.
    NotForClients,
    /// The certificate is for other purposes, because its extended key usage does not name servers.
    NotForServers,
    /// The certificate is of a kind that is refused whoever signed it, in words that follow "the certificate".
    Unfit(&'static str),
    /// Any other problem, in the words of rustls.
    Other(String),
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the certificate has expired",
            Self::NotYetValid => "the certificate is not valid yet",
            Self::OtherAuthority => "another authority has signed the certificate",
            Self::NotForClients => "the certificate is not one for clients",
            Self::NotForServers => "the certificate is not one for servers",
            Self::Unfit(kind) => return write!(f, "the certificate {kind}"),
            Self::Other(text) => return write!(f, "rustls says {text}"),
        })
    }
}

/// Checks the certificate in `cert` (with its chain behind it) at the time `at`, as a hub does that trusts the authorities in `ca`. PEM files.
/// `None` if a hub would accept it.
///
/// # Errors
///
/// A file cannot be read, or has no certificate.
pub fn client_certificate_problem(
    cert: impl AsRef<Path>,
    ca: impl AsRef<Path>,
    at: SystemTime,
) -> Result<Option<CertificateProblem>, TlsError> {
    let (chain, roots) = (certificates(cert.as_ref())?, roots(ca.as_ref())?);
    let Some((own, behind)) = chain.split_first() else { return Ok(None) };
    problem_of(own, behind, roots, at)
}

/// Checks the certificate in `cert` (with its chain behind it) at the time `at`, as a client of this server does. PEM file. Which authorities and which
/// name a client wants is not known here, and not checked; a certificate behind the first one is trusted. `None` if nothing else is against it.
///
/// # Errors
///
/// The file cannot be read, or has no certificate.
pub fn server_certificate_problem(
    cert: impl AsRef<Path>,
    at: SystemTime,
) -> Result<Option<CertificateProblem>, TlsError> {
    let chain = certificates(cert.as_ref())?;
    let Some((own, behind)) = chain.split_first() else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    let trusted = if behind.is_empty() { std::slice::from_ref(own) } else { behind };
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| TlsError::Verifier(error.to_string()))?;
    let any = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
    let Err(error) = verifier.verify_server_cert(own, behind, &any, &[], since_epoch(at)) else {
        return Ok(None);
    };
    Ok(match problem(&error) {
        CertificateProblem::NotForClients => Some(CertificateProblem::NotForServers),
        known @ (CertificateProblem::Expired
        | CertificateProblem::NotYetValid
        | CertificateProblem::Unfit(_)) => Some(known),
        _ => None,
    })
}

fn since_epoch(at: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns whether every certificate in `ca` has expired at the time `at`. PEM. The link does not check this itself, because rustls trusts an
/// authority without regard to its dates; hubs and tools with other libraries refuse certificates that such an authority signed.
///
/// # Errors
///
/// A file cannot be read, or has no certificate.
pub fn authorities_have_expired(ca: impl AsRef<Path>, at: SystemTime) -> Result<bool, TlsError> {
    for certificate in certificates(ca.as_ref())? {
        let mut roots = RootCertStore::empty();
        let added = roots.add(certificate.clone());
        added.map_err(|source| TlsError::Refused { path: ca.as_ref().to_owned(), source })?;
        // Dates are looked at before whether it may be a client's.
        if problem_of(&certificate, &[], roots, at)? != Some(CertificateProblem::Expired) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn problem_of(
    own: &CertificateDer<'_>,
    behind: &[CertificateDer<'_>],
    roots: RootCertStore,
    at: SystemTime,
) -> Result<Option<CertificateProblem>, TlsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| TlsError::Verifier(error.to_string()))?;
    Ok(verifier.verify_client_cert(own, behind, since_epoch(at)).err().map(|error| problem(&error)))
}

pub(in crate::net) fn problem(error: &Error) -> CertificateProblem {
    if let Error::InvalidCertificate(error) = error
        && let Some(kind) = unfit_kind(error)
    {
        return CertificateProblem::Unfit(kind);
    }
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            CertificateProblem::Expired
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => CertificateProblem::NotYetValid,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => CertificateProblem::OtherAuthority,
        Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => CertificateProblem::NotForClients,
        // Of this crate: rustls would show its fields.
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            CertificateProblem::Other(other.0.to_string())
        }
        other => CertificateProblem::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Two authorities, and a certificate of the first one for 2020.
        fn new(purpose: ExtendedKeyUsagePurpose) -> Self {
            let files = Self { dir: tempfile::tempdir().unwrap() };
            let authority = |name: &str| {
                let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
                let key = KeyPair::generate().unwrap();
                std::fs::write(files.path(name), params.self_signed(&key).unwrap().pem()).unwrap();
                Issuer::new(params, key)
            };
            let (own, _) = (authority("own"), authority("other"));
            let mut params = CertificateParams::new(vec!["site7".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            params.extended_key_usages = vec![purpose];
            let cert = params.signed_by(&KeyPair::generate().unwrap(), &own).unwrap();
            std::fs::write(files.path("cert"), cert.pem()).unwrap();
            files
        }

        fn problem(&self, ca: &str, year: u64) -> Option<CertificateProblem> {
            let at = UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600 + 86_400 * 30);
            client_certificate_problem(self.path("cert"), self.path(ca), at).unwrap()
        }
    }

    #[test]
    fn a_certificate_is_seen_as_a_hub_sees_it() {
        let files = Files::new(ExtendedKeyUsagePurpose::ClientAuth);
        assert_eq!(files.problem("own", 2020), None);
        assert_eq!(files.problem("own", 2019), Some(CertificateProblem::NotYetValid));
        assert_eq!(files.problem("own", 2021), Some(CertificateProblem::Expired));
        assert_eq!(files.problem("other", 2020), Some(CertificateProblem::OtherAuthority));
        // Dates are known whoever signed it.
        assert_eq!(files.problem("other", 2021), Some(CertificateProblem::Expired));
        assert_eq!(files.problem("cert", 2021), Some(CertificateProblem::Expired));
        let server = Files::new(ExtendedKeyUsagePurpose::ServerAuth);
        assert_eq!(server.problem("own", 2020), Some(CertificateProblem::NotForClients));
    }

    #[test]
    fn a_certificate_is_seen_as_a_client_of_its_server_sees_it() {
        let problem = |files: &Files, name: &str, year: u64| {
            let at = UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600 + 86_400 * 30);
            server_certificate_problem(files.path(name), at).unwrap()
        };
        let files = Files::new(ExtendedKeyUsagePurpose::ServerAuth);
        assert_eq!(problem(&files, "cert", 2020), None);
        assert_eq!(problem(&files, "cert", 2019), Some(CertificateProblem::NotYetValid));
        assert_eq!(problem(&files, "cert", 2021), Some(CertificateProblem::Expired));
        let kind = problem(&files, "own", 2020).unwrap().to_string();
        assert!(kind.contains("made for an authority (CA:TRUE)"), "{kind}");
        // With its authority behind it.
        let both = ["cert", "own"].map(|name| std::fs::read_to_string(files.path(name)).unwrap()).concat();
        std::fs::write(files.path("both"), both).unwrap();
        assert_eq!(problem(&files, "both", 2020), None);
        let client = Files::new(ExtendedKeyUsagePurpose::ClientAuth);
        assert_eq!(problem(&client, "cert", 2020), Some(CertificateProblem::NotForServers));
    }

    #[test]
    fn authorities_have_expired_when_the_last_of_them_has() {
        let authority = |until: i32| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca");
        std::fs::write(&path, authority(2021) + &authority(2023)).unwrap();
        let at = |year: u64| UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600 + 86_400 * 30);
        let expired = [2019, 2020, 2022, 2023].map(|year| authorities_have_expired(&path, at(year)).unwrap());
        assert_eq!(expired, [false, false, false, true]);
        std::fs::write(&path, "").unwrap();
        assert!(authorities_have_expired(&path, at(2020)).is_err());
    }

    #[test]
    fn a_file_that_is_none_is_an_error_that_names_it() {
        let files = Files::new(ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(files.path("empty"), "").unwrap();
        for (cert, ca) in [("empty", "own"), ("cert", "empty"), ("missing", "own")] {
            let error = client_certificate_problem(files.path(cert), files.path(ca), SystemTime::now());
            let said = error.unwrap_err().to_string();
            assert!(said.contains(if ca == "empty" { ca } else { cert }), "{said}");
        }
    }
}
