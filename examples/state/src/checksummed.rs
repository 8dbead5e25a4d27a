//! Small files with a checksum: one line with version and SHA-256, then the body.

use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::file;

/// Replaces the file, durably, as [`file::replace`] does.
///
/// # Errors
/// The disk refused.
pub fn replace(dir: &Path, name: &str, version: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("{version}{}\n", sum(body));
    file::replace(dir, name, &[head.as_bytes(), body])
}

/// Reads the body of a file of at most `bytes_max`.
///
/// # Errors
/// As [`file::read`], or the file is damaged or of another version.
pub fn read(dir: &Path, name: &str, version: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    body_of(&file::read(dir, name, bytes_max)?, version).map(<[u8]>::to_vec).ok_or_else(damaged)
}

/// Returns the body. `None`: the checksum is wrong or the version is another.
#[must_use]
pub fn body_of<'a>(text: &'a [u8], version: &str) -> Option<&'a [u8]> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = text.split_at_checked(end)?;
    let body = rest.get(1..)?;
    head.strip_prefix(version.as_bytes()).filter(|known| *known == sum(body).as_bytes())?;
    Some(body)
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
