//! Files of trusted authorities in which there is none. webpki takes the name and the key of each certificate in such a file for a trust anchor and looks
//! at no extension of it (RFC 5280 §6.2), so that it takes a peer's own certificate as well: what it is good for depends on who signed it.

use std::path::Path;

use super::certificate_dates::from_issuer;
use super::certificate_name::first_common_name;
use super::certificates;
use super::der::{BOOLEAN, SEQUENCE, element};
use super::error::TlsError;
use super::extensions::{extensions, value};
use super::revocation::quoted;

/// Object identifier 2.5.29.19, id-ce-basicConstraints, in DER.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// Consequence of a file of trusted authorities without a certificate that is an authority's (CA:TRUE).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingAuthority {
    /// One of the certificates signed itself: a peer is trusted that shows this very certificate, and so is every certificate that is made with its
    /// key, of whatever name.
    SelfSigned,
    /// All were signed by others: a peer that shows one of them is refused, because the certificate of whoever signed it is missing.
    SignedByOther {
        /// Common name in quotes of who signed the first one; `None` if it has none that can be read.
        issuer: Option<String>,
    },
}

/// Returns the consequence if no certificate in `ca` is an authority's; `None` if one is, or may be: one of version 1, or without extensions, does not
/// say. PEM.
///
/// # Errors
///
/// The file cannot be read, or has no certificate.
pub fn missing_authority(ca: impl AsRef<Path>) -> Result<Option<MissingAuthority>, TlsError> {
    let all = certificates(ca.as_ref())?;
    Ok(consequence(all.iter().map(AsRef::as_ref)))
}

fn consequence<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Option<MissingAuthority> {
    let mut first = None;
    let mut is_self_signed = false;
    for certificate in certificates {
        if is_authority(certificate)? {
            return None;
        }
        let (issuer, subject) = names(certificate)?;
        is_self_signed |= issuer == subject;
        first.get_or_insert(issuer);
    }
    let issuer = first_common_name(first?).map(quoted);
    Some(if is_self_signed {
        MissingAuthority::SelfSigned
    } else {
        MissingAuthority::SignedByOther { issuer }
    })
}

/// Returns whether a certificate is an authority's. `None`: it does not say, or cannot be read.
fn is_authority(certificate: &[u8]) -> Option<bool> {
    let extensions = extensions(certificate).filter(|extensions| !extensions.is_empty())?;
    let Some(constraints) = value(extensions, BASIC_CONSTRAINTS)? else { return Some(false) };
    let (SEQUENCE, constraints, _) = element(constraints)? else { return None };
    // The flag is left out where it is false.
    Some(matches!(element(constraints), Some((BOOLEAN, [flag], _)) if *flag != 0))
}

/// Returns the content of the names of who signed a certificate, and of its owner.
fn names(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, issuer, fields) = element(from_issuer(certificate)?)? else { return None };
    let (_validity, _, fields) = element(fields)?;
    let (SEQUENCE, subject, _) = element(fields)? else { return None };
    Some((issuer, subject))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{CertificateDer, UnixTime};

    use super::super::peer_verifier::HubVerifier;
    use super::super::roots;
    use super::*;

    /// A certificate of this name for the server `hub`, with its key.
    fn made(
        name: &str,
        is_ca: IsCa,
        signer: Option<&(CertificateParams, KeyPair)>,
    ) -> ((CertificateParams, KeyPair), rcgen::Certificate) {
        let mut params = CertificateParams::new(vec!["hub".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = match signer {
            Some((signer, with)) => params.signed_by(&key, &Issuer::from_params(signer, with)),
            None => params.self_signed(&key),
        };
        ((params, key), certificate.unwrap())
    }

    fn ca() -> IsCa {
        IsCa::Ca(BasicConstraints::Unconstrained)
    }

    /// Consequence of a file of these certificates, and whether with it a hub is trusted that shows this one.
    fn with(file: &[&rcgen::Certificate], shown: &rcgen::Certificate) -> (Option<MissingAuthority>, bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca");
        std::fs::write(&path, file.iter().map(|one| one.pem()).collect::<String>()).unwrap();
        let verifier = HubVerifier::new(roots(&path).unwrap(), &path).unwrap();
        let (shown, name) = (CertificateDer::from(shown.der().to_vec()), "hub".try_into().unwrap());
        let verified = verifier.verify_server_cert(&shown, &[], &name, &[], UnixTime::now());
        (missing_authority(&path).unwrap(), verified.is_ok())
    }

    /// As webpki takes each such file.
    #[test]
    fn a_hub_is_trusted_by_its_own_certificate_only_if_that_signed_itself() {
        let (plant, root) = made("plant", ca(), None);
        let (_, hub) = made("hub of the plant", IsCa::NoCa, Some(&plant));
        assert_eq!(with(&[&root], &hub), (None, true));
        let issuer = Some("\"plant\"".to_owned());
        let other = Some(MissingAuthority::SignedByOther { issuer });
        assert_eq!(with(&[&hub], &hub), (other.clone(), false));
        let (_, explicit) = made("hub of the plant", IsCa::ExplicitNoCa, Some(&plant));
        assert_eq!(with(&[&explicit], &explicit), (other, false), "CA:FALSE");
        assert_eq!(with(&[&hub, &root], &hub), (None, true), "the chain");
        for kind in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            let (own, alone) = made("hub", kind, None);
            assert_eq!(with(&[&alone], &alone), (Some(MissingAuthority::SelfSigned), true));
            assert_eq!(with(&[&hub, &alone], &alone), (Some(MissingAuthority::SelfSigned), true));
            let (_, renewed) = made("hub", kind, None);
            assert!(!with(&[&alone], &renewed).1, "it is renewed");
            let (_, forged) = made("whoever", IsCa::NoCa, Some(&own));
            assert!(with(&[&alone], &forged).1, "with its key a certificate is made");
        }
    }

    #[test]
    fn what_does_not_say_counts_as_an_authority_and_no_bytes_panic() {
        let (_, root) = made("plant", ca(), None);
        let (_, alone) = made("hub", IsCa::ExplicitNoCa, None);
        assert_eq!(consequence([root.der().as_ref()].into_iter()), None);
        assert_eq!(consequence([alone.der().as_ref()].into_iter()), Some(MissingAuthority::SelfSigned));
        for der in [root.der(), alone.der()] {
            for cut in 0..der.len() {
                let _ = consequence([&der[..cut]].into_iter());
                for value in [0, 1, 0x7f, 0x80, 0x82, 0xff] {
                    let mut wrong = der.to_vec();
                    wrong[cut] = value;
                    let _ = consequence([&wrong[..]].into_iter());
                }
            }
        }
        assert_eq!(consequence([&[][..]].into_iter()), None);
    }
}
