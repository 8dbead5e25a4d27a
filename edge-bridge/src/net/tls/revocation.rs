//! Lists of revoked certificates (CRL, RFC 5280 §5) in PEM files: read, judged by their dates, and named where one of them refuses a certificate.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::{CertRevocationListError, CertificateError, Error, OtherError};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::certificate_dates::time;
use super::certificate_name::common_name;
use super::der::{INTEGER, SEQUENCE, element, fields};
use super::error::TlsError;
use super::pem_files::read_pem;
use crate::escape::Escaped;

/// Most characters of a name that are shown.
const NAME_MAX: usize = 64;

/// Lists of a file, and the file for those who read an error.
#[derive(Debug)]
pub(in crate::net) struct RevocationLists {
    pub(in crate::net) file: PathBuf,
    pub(in crate::net) lists: Vec<CertificateRevocationListDer<'static>>,
}

impl RevocationLists {
    /// Reads the lists in a file, one at least.
    pub(in crate::net) fn read(path: &Path) -> Result<Self, TlsError> {
        let error = |source| TlsError::Pem { path: path.to_owned(), source };
        let bytes = read_pem(path)?;
        let mut lists: Vec<_> =
            CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(error)?;
        if lists.is_empty() {
            return Err(TlsError::NoRevocationList(path.to_owned()));
        }
        // Of several lists of one issuer webpki takes the first: it has to be the newest.
        lists.sort_by_key(|list| Reverse(this_update(list)));
        Ok(Self { file: path.to_owned(), lists })
    }
}

/// Returns the time by which each list of revoked certificates in `path` is to be replaced (`nextUpdate`), the newest list first. PEM. A list
/// without such a time is left out. It counts after that time, too.
///
/// # Errors
///
/// The file cannot be read, or has no list.
pub fn revocation_list_ends(path: impl AsRef<Path>) -> Result<Vec<SystemTime>, TlsError> {
    Ok(RevocationLists::read(path.as_ref())?.lists.iter().filter_map(|list| next_update(list)).collect())
}

/// Returns the time at which a list was made.
pub(in crate::net) fn this_update(list: &[u8]) -> Option<SystemTime> {
    let (kind, text, _) = element(from_this_update(list)?)?;
    time(kind, text)
}

/// Returns the time by which a list is to be replaced.
pub(in crate::net) fn next_update(list: &[u8]) -> Option<SystemTime> {
    let (_, _, fields) = element(from_this_update(list)?)?;
    let (kind, text, _) = element(fields)?;
    time(kind, text)
}

/// Returns the content of the name of the authority that made a list.
pub(in crate::net) fn issuer(list: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, issuer, _) = element(from_issuer(list)?)? else { return None };
    Some(issuer)
}

/// Returns the fields of a list from `thisUpdate` on, the time at which it was made.
fn from_this_update(list: &[u8]) -> Option<&[u8]> {
    let (_, _, fields) = element(from_issuer(list)?)?;
    Some(fields)
}

/// Returns the fields of a list from `issuer` on, the name of its authority.
fn from_issuer(list: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, list, _) = element(list)? else { return None };
    let (SEQUENCE, mut fields, _) = element(list)? else { return None };
    if let Some((INTEGER, _, rest)) = element(fields) {
        fields = rest;
    }
    let (_signature, _, fields) = element(fields)?;
    Some(fields)
}

/// Certificate that a list in a file revokes.
#[derive(Debug, PartialEq, Eq)]
struct Revoked {
    /// Common name, or serial number, of the certificate that was shown.
    name: String,
    /// Set if others stand behind it, which may be the revoked ones.
    has_chain: bool,
    file: PathBuf,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_chain = if self.has_chain { " (or an authority behind it)" } else { "" };
        // The file early: the log of the listener cuts what is long.
        write!(f, "{} is revoked by {}{or_chain}", self.name, self.file.display())
    }
}

impl std::error::Error for Revoked {}

/// List in a file that cannot say whether a certificate is revoked.
#[derive(Debug)]
struct Unusable {
    file: PathBuf,
    error: CertRevocationListError,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the list of revoked certificates is of no use: ", self.file.display())?;
        match &self.error {
            CertRevocationListError::BadSignature => {
                f.write_str("it is signed by another key than the certificate's authority has")
            }
            CertRevocationListError::IssuerInvalidForCrl => {
                f.write_str("its authority may not sign lists (cRLSign)")
            }
            CertRevocationListError::UnsupportedSignatureAlgorithmContext { .. }
            | CertRevocationListError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                f.write_str("it is signed by an algorithm that is not taken, such as SHA-1")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl std::error::Error for Unusable {}

/// Names certificate and file in an error about revocation; returns any other as it is.
pub(in crate::net) fn named(
    error: Error,
    file: &Path,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::Revoked) => {
            let (name, has_chain) = (name(end_entity), !intermediates.is_empty());
            let revoked = Revoked { name, has_chain, file: file.to_owned() };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(revoked))))
        }
        Error::InvalidCertRevocationList(error) => {
            let unusable = Unusable { file: file.to_owned(), error };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unusable))))
        }
        other => other,
    }
}

fn name(certificate: &[u8]) -> String {
    let of_serial = || {
        let serial = fields(certificate).and_then(element).map_or(&[][..], |(_, serial, _)| serial);
        let digits: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("serial number {digits}")
    };
    common_name(certificate).map_or_else(of_serial, quoted)
}

/// Returns a name for a message: cut to [`NAME_MAX`], escaped and in quotes.
pub(in crate::net) fn quoted(name: &str) -> String {
    let name: String = name.chars().take(NAME_MAX).collect();
    format!("\"{}\"", Escaped(&name))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod,
        KeyPair, RevokedCertParams, date_time_ymd,
    };

    use super::*;

    fn list(until: i32, revoked: usize) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let one = |serial: usize| RevokedCertParams {
            serial_number: (serial as u64 + 1).into(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: (0..revoked).map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&Issuer::new(params, KeyPair::generate().unwrap()))
        .unwrap()
        .pem()
        .unwrap()
    }

    #[test]
    fn each_list_of_a_file_has_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plant.crl");
        // The second is of more than 64 KiB, the third ends beyond two digits of a year.
        std::fs::write(&path, list(2027, 1) + &list(2030, 4_000) + &list(2050, 0)).unwrap();
        // `date -u -d DATE +%s`
        let expected =
            [1_798_761_600, 1_893_456_000, 2_524_608_000].map(|end| UNIX_EPOCH + Duration::from_secs(end));
        assert_eq!(revocation_list_ends(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_without_a_list_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plant.crl");
        std::fs::write(&path, "nothing").unwrap();
        let said = revocation_list_ends(&path).unwrap_err().to_string();
        assert!(said.contains("plant.crl: no list of revoked certificates"), "{said}");
        assert!(revocation_list_ends(dir.path()).is_err());
    }

    #[test]
    fn no_bytes_panic() {
        let der = lists_of(&list(2027, 2));
        for cut in 0..der.len() {
            let _ = (next_update(&der[..cut]), issuer(&der[..cut]));
            for value in [0, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut wrong = der.to_vec();
                wrong[cut] = value;
                let _ = (next_update(&wrong), issuer(&wrong));
            }
        }
    }

    fn lists_of(pem: &str) -> CertificateRevocationListDer<'static> {
        CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap()
    }
}
