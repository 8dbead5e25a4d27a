//! Extensions of a certificate (X.509, RFC 5280 §4.2), read from DER with bounds, because these bytes are foreign.

use super::certificate_dates::from_issuer;
use super::der::{BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element};

/// Tag of the extensions among the fields of a certificate.
const EXTENSIONS: u8 = 0xa3;

/// Returns the extensions, one behind the other; empty if there are none, as in version 1. `None`: the certificate cannot be read.
pub(in crate::net) fn extensions(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = from_issuer(certificate)?;
    let mut extensions = &[][..];
    while !fields.is_empty() {
        let (tag, content, rest) = element(fields)?;
        if tag == EXTENSIONS {
            let (SEQUENCE, all, _) = element(content)? else { return None };
            extensions = all;
        }
        fields = rest;
    }
    Some(extensions)
}

/// Returns the value of the extension of this kind, `Some(None)` if there is none. `None`: an extension cannot be read, or there are two of the kind.
pub(in crate::net) fn value<'a>(mut extensions: &'a [u8], kind: &[u8]) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    while !extensions.is_empty() {
        let (SEQUENCE, extension, rest) = element(extensions)? else { return None };
        extensions = rest;
        let (OBJECT_IDENTIFIER, of, value) = element(extension)? else { return None };
        if of == kind && found.replace(value).is_some() {
            return None;
        }
    }
    let Some(value) = found else { return Some(None) };
    let (tag, content, rest) = element(value)?;
    let (tag, content) = match tag {
        // It is critical, or not.
        BOOLEAN => element(rest).map(|(tag, content, _)| (tag, content))?,
        _ => (tag, content),
    };
    (tag == OCTET_STRING).then_some(Some(content))
}
