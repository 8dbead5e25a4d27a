//! Text form of certificates and keys (RFC 7468).

use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::base64::encode;

const LINE: usize = 64;

/// Returns the bytes as a block with this label.
#[must_use]
pub fn block(label: &str, bytes: &[u8]) -> String {
    let (mut text, digits) = (format!("-----BEGIN {label}-----\n"), encode(bytes));
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
        rest = behind;
    }
    text + "-----END " + label + "-----\n"
}

/// Returns the certificates in a file of PEM, in their order, up to one that is none: those that TLS reads in it.
#[must_use]
pub fn certificates(file: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(file).map_while(Result::ok).map(|der| der.to_vec()).collect()
}
