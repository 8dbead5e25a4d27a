//! Small files with a checksum: one line with version and SHA-256, then the body.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::file;

/// Bytes of a file that are read at a time while the checksum is tried.
const PIECE_BYTES: usize = 64 * 1024;
/// Length of the longest first line, in bytes.
const HEAD_BYTES_MAX: u64 = 256;

/// Replaces the file, durably, as [`file::replace`] does.
///
/// # Errors
/// The disk refused.
pub fn replace(dir: &Path, name: &str, version: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("{version}{}\n", sum(body));
    file::replace(dir, name, &[head.as_bytes(), body])
}

/// Reads the body of a file of at most `bytes_max`. Before the body takes memory the checksum is tried piece by piece, so a damaged file takes none,
/// however large it is.
///
/// # Errors
/// As [`file::read`], or the file is damaged or of another version.
pub fn read(dir: &Path, name: &str, version: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = read_whole(dir, name, &[version], bytes_max)?;
    let body = body_of(&bytes, version).ok_or_else(damaged)?.len();
    bytes.drain(..bytes.len() - body);
    Ok(bytes)
}

/// Reads a file of at most `bytes_max` and one of these versions, with its first line, for [`body_of`]. Takes no memory for a damaged one, as [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_whole(dir: &Path, name: &str, versions: &[&str], bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut file = file::open(dir, name, bytes_max)?;
    if !is_whole(&file, versions, bytes_max)? {
        return Err(damaged());
    }
    file.rewind()?;
    file::read_opened(&file, bytes_max)
}

/// Returns whether an open file has the checksum of its first line.
fn is_whole(file: &File, versions: &[&str], bytes_max: u64) -> io::Result<bool> {
    let mut input = BufReader::with_capacity(PIECE_BYTES, file.take(bytes_max));
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES_MAX).read_until(b'\n', &mut head)?;
    if !versions.iter().any(|version| head.starts_with(version.as_bytes())) {
        return Ok(false);
    }
    let mut hash = Sha256::new();
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        let bytes = piece.len();
        input.consume(bytes);
    }
    let sum = hex(&hash.finalize());
    Ok(versions.iter().any(|version| head == format!("{version}{sum}\n").as_bytes()))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
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
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
