//! Verification of the signatures of lists of revoked certificates when they are loaded. webpki verifies them at each handshake alone: in force, a list that
//! has an authority's name and another one's signature refuses whoever that authority certified.

use std::path::Path;

use rustls::{RootCertStore, crypto};

use super::certificate_name::first_common_name;
use super::der::{BIT_STRING, SEQUENCE, element};
use super::error::TlsError;
use super::revocation::{RevocationLists, issuer, quoted};

/// Outcome of a verification with one key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Good,
    OtherKey,
    UnsupportedAlgorithm,
}

/// Checks that of each list whose issuer is one of `roots`, by its name, such an authority has the key that signed it. Of the list of another authority
/// nothing is known before a peer shows that one's certificate. `ca` is the file of the roots.
///
/// # Errors
///
/// Names the list's file and its issuer.
pub(in crate::net) fn check(
    lists: &RevocationLists,
    roots: &RootCertStore,
    ca: &Path,
) -> Result<(), TlsError> {
    for list in &lists.lists {
        let found: Vec<_> = signatures(list, roots).collect();
        if found.is_empty() || found.contains(&Signature::Good) {
            continue;
        }
        let (path, authority) = (lists.file.clone(), authority(list));
        return Err(match found.contains(&Signature::OtherKey) {
            true => TlsError::RevocationsOfOtherKey { path, authority, ca: ca.to_owned() },
            false => TlsError::RevocationsUnsupported { path, authority },
        });
    }
    Ok(())
}

/// Returns whether one of `roots` made the list, by name and key.
pub(in crate::net) fn is_of(list: &[u8], roots: &RootCertStore) -> bool {
    signatures(list, roots).any(|signature| signature == Signature::Good)
}

/// Returns the name of a list's issuer for a reader.
pub(in crate::net) fn authority(list: &[u8]) -> String {
    let name = issuer(list).and_then(first_common_name);
    name.map_or_else(|| "an authority without a name".to_owned(), quoted)
}

/// Verifies a list with the key of each root that has its issuer's name.
fn signatures<'a>(list: &'a [u8], roots: &'a RootCertStore) -> impl Iterator<Item = Signature> + 'a {
    let name = issuer(list);
    let named = roots.roots.iter().filter(move |root| Some(root.subject.as_ref()) == name);
    // What cannot be taken apart is none that the key signed.
    named.map(|root| verified(list, &root.subject_public_key_info).unwrap_or(Signature::OtherKey))
}

/// Verifies a list with a key, the content of a SubjectPublicKeyInfo, by the algorithms with which webpki does.
fn verified(list: &[u8], key: &[u8]) -> Option<Signature> {
    let (SEQUENCE, parts, _) = element(list)? else { return None };
    let (SEQUENCE, _, behind) = element(parts)? else { return None };
    let (signed, _) = parts.split_at_checked(parts.len().checked_sub(behind.len())?)?;
    let (SEQUENCE, algorithm, behind) = element(behind)? else { return None };
    let signature = whole_bytes(behind)?;
    let (SEQUENCE, key_algorithm, behind) = element(key)? else { return None };
    let key = whole_bytes(behind)?;
    let provider = crypto::ring::default_provider();
    let known = provider.signature_verification_algorithms.all.iter();
    let mut known = known.filter(|known| known.signature_alg_id().as_ref() == algorithm).peekable();
    if known.peek().is_none() {
        return Some(Signature::UnsupportedAlgorithm);
    }
    let mut of_key = known.filter(|known| known.public_key_alg_id().as_ref() == key_algorithm);
    let is_good = of_key.any(|known| known.verify_signature(key, signed, signature).is_ok());
    Some(if is_good { Signature::Good } else { Signature::OtherKey })
}

/// Returns the content of a bit string of whole bytes, the first element.
fn whole_bytes(bytes: &[u8]) -> Option<&[u8]> {
    let (BIT_STRING, content, _) = element(bytes)? else { return None };
    content.split_first().and_then(|(unused, content)| (*unused == 0).then_some(content))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, DnType, Issuer, KeyIdMethod, KeyPair,
        date_time_ymd,
    };
    use rustls_pki_types::CertificateDer;

    use super::*;

    fn authority_of(key: &KeyPair) -> (Vec<u8>, CertificateDer<'static>) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "plant");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2040, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let own = params.self_signed(key).unwrap().der().clone();
        (list.signed_by(&Issuer::new(params, key)).unwrap().der().to_vec(), own)
    }

    #[test]
    fn each_kind_of_key_has_its_own_lists_alone() {
        let algorithms =
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
        let made: Vec<_> = algorithms.iter().chain(&algorithms).collect();
        let made = made.iter().map(|kind| authority_of(&KeyPair::generate_for(kind).unwrap()));
        let made: Vec<_> = made.collect();
        for (at, (list, _)) in made.iter().enumerate() {
            for (of, (_, own)) in made.iter().enumerate() {
                let mut roots = RootCertStore::empty();
                roots.add(own.clone()).unwrap();
                assert_eq!(is_of(list, &roots), at == of, "{at} {of}");
            }
        }
    }

    /// A bit of any byte, a cut anywhere.
    #[test]
    fn no_other_bytes_are_taken_for_signed_ones() {
        let (list, own) = authority_of(&KeyPair::generate().unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(own).unwrap();
        for at in 0..list.len() {
            let mut wrong = list.clone();
            wrong[at] ^= 1;
            assert!(!is_of(&wrong, &roots) && !is_of(&list[..at], &roots), "{at}");
        }
    }
}
