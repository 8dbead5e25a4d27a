//! Text form of certificates and keys (RFC 7468).

use std::fmt::Write as _;

use crate::base64::{decode, encode};

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

/// Returns the bytes of the first block with this label, or `None` if there is none.
#[must_use]
pub fn first(label: &str, text: &str) -> Option<Vec<u8>> {
    decode(split(label, text)?.0.as_bytes())
}

/// Returns the bytes of all blocks with this label, in their order, without those that are no base64.
#[must_use]
pub fn all(label: &str, mut text: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((digits, rest)) = split(label, text) {
        found.extend(decode(digits.as_bytes()));
        text = rest;
    }
    found
}

/// Splits a text into the digits of its first block with this label, and what follows the block.
fn split<'a>(label: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    rest.split_once(&format!("-----END {label}-----"))
}
