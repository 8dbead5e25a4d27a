//! Parts of a certificate (X.509, RFC 5280 §4.1) that a renewal needs: names, key, validity, purposes and signature.

use std::ops::RangeInclusive;

use rustls::crypto::ring::default_provider;

use crate::der::{
    BIT_STRING, BOOLEAN, CONTEXT_0, CONTEXT_3, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, elements,
    optional, tagged,
};
use crate::utc;

/// Object identifier of the extension SubjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// Object identifier of the extension BasicConstraints, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// Object identifier of the extension ExtendedKeyUsage, 2.5.29.37.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// Object identifier of the purpose clientAuth, 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// Object identifier of any purpose, 2.5.29.37.0.
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// Object identifier of an RSA key, 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// Lengths in bytes of the RSA keys by which signatures can be verified: 2048 to 8192 bits.
const RSA_BYTES: RangeInclusive<usize> = 256..=1024;

/// First and last second in which a certificate is valid, since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub(crate) begin_s: u64,
    pub(crate) end_s: u64,
}

impl Validity {
    /// Returns the last second.
    #[must_use]
    pub fn end_s(self) -> u64 {
        self.end_s
    }

    /// Returns the whole life in seconds.
    #[must_use]
    pub fn life_s(self) -> u64 {
        self.end_s.saturating_sub(self.begin_s)
    }
}

/// Parts of a certificate, each an element of DER.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    pub(crate) der: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    /// SubjectPublicKeyInfo.
    pub(crate) public_key: &'a [u8],
    /// The whole extension SubjectAltName. `None`: there is none.
    pub(crate) alternative_names: Option<&'a [u8]>,
    /// All extensions, one behind the other.
    extensions: &'a [u8],
    /// What its authority signed.
    signed: &'a [u8],
    /// Content of the signature's AlgorithmIdentifier.
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
    /// First and last second of its life.
    pub validity: Validity,
}

impl<'a> Certificate<'a> {
    /// Reads the parts. `None`: it is no certificate.
    #[must_use]
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = tagged(der, SEQUENCE)?;
        let (fields, rest) = tagged(certificate.content, SEQUENCE)?;
        let (signature_algorithm, rest) = tagged(rest, SEQUENCE)?;
        let (signature, _) = tagged(rest, BIT_STRING)?;
        let (_version, rest) = optional(fields.content, CONTEXT_0);
        let (_serial, rest) = tagged(rest, INTEGER)?;
        let (_signature, rest) = tagged(rest, SEQUENCE)?;
        let (issuer, rest) = tagged(rest, SEQUENCE)?;
        let (validity, rest) = tagged(rest, SEQUENCE)?;
        let (subject, rest) = tagged(rest, SEQUENCE)?;
        let (public_key, rest) = tagged(rest, SEQUENCE)?;
        let mut dates = elements(validity.content).map(utc::of_certificate);
        let (begin_s, end_s) = (dates.next()??, dates.next()??);
        let extensions = elements(rest).find(|part| part.tag == CONTEXT_3);
        let extensions = extensions.and_then(|part| tagged(part.content, SEQUENCE));
        let extensions = extensions.map_or(&[][..], |(list, _)| list.content);
        Some(Self {
            der: certificate.whole,
            issuer: issuer.whole,
            subject: subject.whole,
            public_key: public_key.whole,
            alternative_names: extension(extensions, SUBJECT_ALT_NAME),
            extensions,
            signed: fields.whole,
            signature_algorithm: signature_algorithm.content,
            // Behind the number of bits that are not used, which is 0.
            signature: signature.content.get(1..)?,
            validity: Validity { begin_s, end_s },
        })
    }

    /// Returns its key, as SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key(&self) -> &'a [u8] {
        self.public_key
    }

    pub(crate) fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// Returns whether it is one of an authority, which could sign others.
    pub(crate) fn is_authority(&self) -> bool {
        let constraints = extension(self.extensions, BASIC_CONSTRAINTS).and_then(value);
        let first = constraints.and_then(|constraints| elements(constraints).next());
        first.is_some_and(|first| first.tag == BOOLEAN && first.content != [0])
    }

    /// Returns whether a client may show it: it says nothing of purposes, or names that one, or any.
    pub(crate) fn is_for_clients(&self) -> bool {
        let Some(usage) = extension(self.extensions, EXTENDED_KEY_USAGE) else { return true };
        let mut purposes = elements(value(usage).unwrap_or_default());
        purposes.any(|purpose| [CLIENT_AUTH, ANY_PURPOSE].contains(&purpose.content))
    }

    /// Returns whether its signature is by the key of this authority. `None`: it is of a kind, or by a key of a length, that cannot be verified here.
    pub(crate) fn is_signed_by(&self, authority: &Certificate<'_>) -> Option<bool> {
        let (key, _) = tagged(authority.public_key, SEQUENCE)?;
        let (key_algorithm, rest) = tagged(key.content, SEQUENCE)?;
        let bits = tagged(rest, BIT_STRING)?.0.content.get(1..)?;
        let known = default_provider().signature_verification_algorithms.all;
        let mut fitting = known.iter().filter(|one| {
            let is_of_key = one.public_key_alg_id().as_ref() == key_algorithm.content;
            is_of_key && one.signature_alg_id().as_ref() == self.signature_algorithm
        });
        let first = fitting.next()?;
        // For such a key it is wrong whatever it says.
        if is_rsa(key_algorithm.content) && !RSA_BYTES.contains(&modulus_bytes(bits)?) {
            return None;
        }
        Some(first.verify_signature(bits, self.signed, self.signature).is_ok())
    }
}

fn is_rsa(key_algorithm: &[u8]) -> bool {
    tagged(key_algorithm, OBJECT_IDENTIFIER).is_some_and(|(id, _)| id.content == RSA)
}

/// Returns the length of an RSA key (RFC 8017 §A.1.1).
fn modulus_bytes(key: &[u8]) -> Option<usize> {
    let (modulus, _) = tagged(tagged(key, SEQUENCE)?.0.content, INTEGER)?;
    Some(modulus.content.iter().skip_while(|byte| **byte == 0).count())
}

/// Returns the whole extension with this object identifier.
fn extension<'a>(all: &'a [u8], id: &[u8]) -> Option<&'a [u8]> {
    let is_it = |one: &[u8]| tagged(one, OBJECT_IDENTIFIER).is_some_and(|(found, _)| found.content == id);
    elements(all).find(|one| is_it(one.content)).map(|one| one.whole)
}

/// Returns the content of the sequence that is the value of an extension.
pub(crate) fn value(extension: &[u8]) -> Option<&[u8]> {
    let (extension, _) = tagged(extension, SEQUENCE)?;
    let (_id, rest) = tagged(extension.content, OBJECT_IDENTIFIER)?;
    let (_is_critical, rest) = optional(rest, BOOLEAN);
    let (octets, _) = tagged(rest, OCTET_STRING)?;
    Some(tagged(octets.content, SEQUENCE)?.0.content)
}
