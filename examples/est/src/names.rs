//! Names of a certificate: those that a request asks for, compared with those of the answer. Subject and alternative names are who the gateway is at its hub, so
//! an authority, or whoever speaks for it, changes them by no renewal.

use crate::certificate::{Certificate, value};
use crate::der::{
    IA5_STRING, OBJECT_IDENTIFIER, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, elements, tagged, written,
};
use crate::text::harmless;

/// Object identifier of a common name, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// Letters of the attributes of a subject that most have, by the last byte of their object identifier 2.5.4.N.
const LETTERS: [(u8, &str); 5] = [(3, "CN"), (5, "serialNumber"), (6, "C"), (10, "O"), (11, "OU")];
/// Kinds of alternative names that are text: mail, DNS and URI.
const TEXTS: [u8; 3] = [0x81, 0x82, 0x86];

/// Names for a certificate, in DER.
#[derive(Debug, Clone)]
pub struct Names {
    pub(crate) subject: Vec<u8>,
    pub(crate) alternative: Option<Vec<u8>>,
    /// Set for the first certificate: the authority may add to the common name what else it knows of the gateway.
    is_first: bool,
}

impl Names {
    /// Returns those of a certificate, byte by byte (RFC 7030 §4.2.2).
    #[must_use]
    pub fn of(certificate: &Certificate<'_>) -> Self {
        let alternative = certificate.alternative_names.map(<[u8]>::to_vec);
        Self { subject: certificate.subject.to_vec(), alternative, is_first: false }
    }

    /// Returns a common name alone, for a first certificate.
    #[must_use]
    pub fn common_name(name: &str) -> Self {
        let kind = written(OBJECT_IDENTIFIER, &[COMMON_NAME]);
        let attribute = written(SEQUENCE, &[&kind, &written(UTF8_STRING, &[name.as_bytes()])]);
        let subject = written(SEQUENCE, &[&written(SET, &[&attribute])]);
        Self { subject, alternative: None, is_first: true }
    }

    /// Returns whether a certificate has the subject that was asked for; of a first one, the common name.
    pub(crate) fn are_subject_of(&self, certificate: &Certificate<'_>) -> bool {
        if !self.is_first {
            return attributes(&self.subject) == attributes(certificate.subject);
        }
        let common = |name| -> Vec<_> {
            let all = attributes(name).into_iter().flatten();
            all.filter(|one| one.id == COMMON_NAME).collect()
        };
        common(&self.subject) == common(certificate.subject)
    }

    /// Returns whether a certificate has the alternative names that were asked for, in any order; a first one may have any.
    pub(crate) fn are_alternatives_of(&self, certificate: &Certificate<'_>) -> bool {
        let asked = self.alternative.as_deref();
        self.is_first || alternatives(asked) == alternatives(certificate.alternative_names)
    }
}

/// Attribute of a subject. Authorities write the same text as one or the other kind of string.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    id: &'a [u8],
    /// `None`: a text.
    tag: Option<u8>,
    value: &'a [u8],
}

/// Returns the attributes of each part of a name, in order.
fn attributes(name: &[u8]) -> Vec<Vec<Attribute<'_>>> {
    let of_pair = |pair| {
        let (id, rest) = tagged(pair, OBJECT_IDENTIFIER)?;
        let value = elements(rest).next()?;
        let is_text = [UTF8_STRING, PRINTABLE_STRING, IA5_STRING].contains(&value.tag);
        Some(Attribute { id: id.content, tag: (!is_text).then_some(value.tag), value: value.content })
    };
    // What cannot be read is not passed over: it is some name all the same.
    let unread = |pair| Attribute { id: &[], tag: None, value: pair };
    let parts = tagged(name, SEQUENCE).map_or(&[][..], |(name, _)| name.content);
    let parts = elements(parts).map(|part| {
        let pairs = elements(part.content).map(|pair| pair.content);
        let mut all: Vec<_> = pairs.map(|pair| of_pair(pair).unwrap_or(unread(pair))).collect();
        all.sort();
        all
    });
    parts.collect()
}

/// Returns the alternative names of an extension, sorted.
fn alternatives(extension: Option<&[u8]>) -> Vec<&[u8]> {
    let names = extension.and_then(value).unwrap_or_default();
    let mut all: Vec<_> = elements(names).map(|name| name.whole).collect();
    all.sort_unstable();
    all
}

/// Returns a subject as text for an operator.
pub(crate) fn subject_text(name: &[u8]) -> String {
    let text = |one: Attribute<'_>| {
        let letters = match one.id {
            [0x55, 0x04, last] => LETTERS.iter().find(|(id, _)| id == last).map(|(_, letters)| *letters),
            _ => None,
        };
        format!("{}={}", letters.unwrap_or("?"), harmless(&String::from_utf8_lossy(one.value)))
    };
    attributes(name).into_iter().flatten().map(text).collect::<Vec<_>>().join(", ")
}

/// Returns alternative names as text for an operator.
pub(crate) fn alternatives_text(extension: Option<&[u8]>) -> String {
    let names = extension.and_then(value).unwrap_or_default();
    let text = |name: crate::der::Element<'_>| match name.content {
        content if TEXTS.contains(&name.tag) => harmless(&String::from_utf8_lossy(content)),
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
        _ => "one of another kind".to_owned(),
    };
    let all: Vec<_> = elements(names).map(text).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
