//! Data mule: what waits at a site is carried to the hub's side as a file, published there, and released by a receipt that is brought back.
//!
//! 1. An *export* is the head of the site (how its messages are made) and the export stream of the queue. It releases nothing.
//! 2. An *ingest* publishes an export as the link would, and writes the identities that got their PUBACK into a *receipt*, and no other.
//! 3. To *settle* a receipt is to acknowledge exactly these identities in the queue.
//!
//! So a row leaves the queue only when the hub has it, whatever becomes of sticks, receipts and the link meanwhile; a copy has the identity of the
//! first. Nothing here waits, and nothing from a stick is believed: see the bounds of each file.

pub(crate) mod export_head;
#[cfg(test)]
mod history_tests;
pub(crate) mod identities;
pub(crate) mod receipt;
pub(crate) mod stick_spool;

use sha2::{Digest, Sha256};

/// Returns the checksum of the texts on a stick: the first 64 bits of their SHA-256, hexadecimal.
fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a number as it is written: `radix` digits without sign or leading `+`.
fn number(text: &str, radix: u32) -> Option<u64> {
    let is_plain = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| is_plain)
}
