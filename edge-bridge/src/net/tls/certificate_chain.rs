//! Chain in a file of certificates: the first one, and those behind it by which a peer gets from it to an authority that it trusts (RFC 5280 §6.1).

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

use super::certificate_dates::{from_issuer, not_after};
use super::certificates;
use super::der::{SEQUENCE, element};
use super::error::TlsError;

/// Most certificates of a chain that are looked at behind the first one.
const BEHIND_MAX: usize = 8;

/// Returns the last second in which each certificate of the chain in `path` is valid: of the first one, which is the owner's, then of the authority that
/// signed it, and so on. PEM. What is in the file beside the chain does not count, nor does an authority that signed itself: whoever trusts that has
/// it. Of several certificates of one authority, such as by an old and a new one above it, the one that ends last counts, because peers try each.
/// Empty if the dates of the first one cannot be read.
///
/// # Errors
///
/// The file cannot be read, or has no certificate.
pub fn certificate_chain_ends(path: impl AsRef<Path>) -> Result<Vec<SystemTime>, TlsError> {
    Ok(ends_of(&certificates(path.as_ref())?))
}

/// Returns the last second of the first of these certificates and those behind it, since 1970; `None` if there is none that can be read.
pub(super) fn last_second(all: &[CertificateDer<'_>]) -> Option<u64> {
    Some(ends_of(all).into_iter().min()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// SHA-256 of a certificate in DER.
pub(super) type Fingerprint = [u8; 32];

/// Returns the fingerprint of the first of these certificates, which is the owner's; `None` if there is none.
pub(super) fn fingerprint(all: &[CertificateDer<'_>]) -> Option<Fingerprint> {
    digest(&SHA256, all.first()?).as_ref().try_into().ok()
}

fn ends_of(all: &[CertificateDer<'_>]) -> Vec<SystemTime> {
    let links: Vec<_> = all.iter().map(|certificate| Link::of(certificate)).collect();
    match links.split_first() {
        Some((Some(first), behind)) => ends(first, behind),
        _ => Vec::new(),
    }
}

/// Parts of a certificate by which it belongs to a chain.
#[derive(Debug, Clone, Copy)]
struct Link<'a> {
    /// Content of the name of the authority that signed it.
    issuer: &'a [u8],
    /// Content of the owner's name.
    subject: &'a [u8],
    end: SystemTime,
}

impl<'a> Link<'a> {
    /// Reads the parts. `None`: one of them cannot be read.
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (SEQUENCE, issuer, fields) = element(from_issuer(certificate)?)? else { return None };
        let (_validity, _, fields) = element(fields)?;
        let (SEQUENCE, subject, _) = element(fields)? else { return None };
        Some(Self { issuer, subject, end: not_after(certificate)? })
    }

    fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }
}

fn ends(first: &Link<'_>, behind: &[Option<Link<'_>>]) -> Vec<SystemTime> {
    let (mut ends, mut last) = (vec![first.end], first);
    while ends.len() <= BEHIND_MAX && !last.is_self_signed() {
        let signers = behind.iter().flatten().filter(|link| link.subject == last.issuer);
        match signers.max_by_key(|link| link.end) {
            Some(signer) if !signer.is_self_signed() => {
                ends.push(signer.end);
                last = signer;
            }
            _ => break,
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

    use super::*;

    /// Name, issuer and day of the end of a certificate.
    type Certificate = (&'static str, &'static str, u64);

    fn at(day: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(86_400 * day)
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn certificate((name, issuer, end): Certificate) -> rcgen::Certificate {
        let (mut params, key) = (params(name), KeyPair::generate().unwrap());
        params.not_after = at(end).into();
        params.signed_by(&key, &Issuer::new(self::params(issuer), KeyPair::generate().unwrap())).unwrap()
    }

    #[track_caller]
    fn assert_ends(file: &[Certificate], expected: &[u64]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain");
        let text: String = file.iter().map(|of| certificate(*of).pem()).collect();
        std::fs::write(&path, text).unwrap();
        let expected: Vec<_> = expected.iter().map(|day| at(*day)).collect();
        assert_eq!(certificate_chain_ends(&path).unwrap(), expected, "{file:?}");
    }

    #[test]
    fn those_count_by_which_peers_come_to_an_authority() {
        assert_ends(&[("leaf", "a", 9_000)], &[9_000]);
        assert_ends(&[("leaf", "b", 9_000), ("b", "a", 8_000)], &[9_000, 8_000]);
        // In any order.
        assert_ends(&[("leaf", "c", 9), ("b", "a", 7), ("c", "b", 8)], &[9, 8, 7]);
        assert_ends(&[("leaf", "b", 9_000), ("other", "a", 8_000), ("b", "a", 7_000)], &[9_000, 7_000]);
    }

    #[test]
    fn an_authority_that_signed_itself_does_not_count_and_of_twins_the_last_to_end_does() {
        assert_ends(&[("leaf", "b", 9_000), ("b", "a", 8_000), ("a", "a", 1)], &[9_000, 8_000]);
        assert_ends(&[("leaf", "a", 9_000), ("a", "a", 1)], &[9_000]);
        assert_ends(&[("leaf", "leaf", 9_000), ("leaf", "a", 1)], &[9_000]);
        assert_ends(&[("leaf", "b", 9_000), ("b", "old", 5), ("b", "new", 8_000)], &[9_000, 8_000]);
        assert_ends(&[("leaf", "b", 9_000), ("b", "new", 8_000), ("b", "old", 5)], &[9_000, 8_000]);
        // The authority itself is in the file, beside a certificate of it by an older one.
        assert_ends(&[("leaf", "a", 9_000), ("a", "old", 5), ("a", "a", 10_000)], &[9_000]);
    }

    #[test]
    fn a_circle_ends() {
        let file = [("leaf", "a", 9_000), ("a", "b", 8_000), ("b", "a", 7_000)];
        let ends = [9_000, 8_000, 7_000, 8_000, 7_000, 8_000, 7_000, 8_000, 7_000];
        assert_ends(&file, &ends);
        assert_eq!(ends.len(), BEHIND_MAX + 1);
    }

    #[test]
    fn no_bytes_panic() {
        let whole = certificate(("leaf", "a", 9_000));
        let der = whole.der();
        for cut in 0..der.len() {
            assert!(Link::of(&der[..cut]).is_none());
            for value in [0, 0x7f, 0x80, 0x82, 0xff] {
                let mut wrong = der.to_vec();
                wrong[cut] = value;
                let _ = Link::of(&wrong);
            }
        }
        assert!(Link::of(der).is_some_and(|link| !link.is_self_signed() && link.end == at(9_000)));
    }
}
