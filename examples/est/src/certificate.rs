//! Parts of a certificate (X.509, RFC 5280 §4.1) that a renewal needs: names, key and validity.

use crate::der::{CONTEXT_0, CONTEXT_3, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, elements, optional, tagged};
use crate::utc;

/// Object identifier of the extension SubjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

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
    /// First and last second of its life.
    pub validity: Validity,
}

impl<'a> Certificate<'a> {
    /// Reads the parts. `None`: it is no certificate.
    #[must_use]
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = tagged(der, SEQUENCE)?;
        let (fields, _) = tagged(certificate.content, SEQUENCE)?;
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
        let is_names = |extension: &[u8]| {
            tagged(extension, OBJECT_IDENTIFIER).is_some_and(|(id, _)| id.content == SUBJECT_ALT_NAME)
        };
        let all = extensions.map_or(&[][..], |(list, _)| list.content);
        let names = elements(all).find(|extension| is_names(extension.content));
        Some(Self {
            der: certificate.whole,
            issuer: issuer.whole,
            subject: subject.whole,
            public_key: public_key.whole,
            alternative_names: names.map(|names| names.whole),
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
}
