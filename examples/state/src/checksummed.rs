//! Small files with a checksum: one line with version and SHA-256, then the body.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IntoInnerError, Read, Seek, Write};
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

/// Replaces the file, durably, by a body of at most `bytes_max` that `write` writes piece by piece: it is never in memory as a whole.
///
/// # Errors
/// The disk refused, `write` did, or the body would be larger ([`FileTooLarge`](io::ErrorKind::FileTooLarge), without an error of the system). The
/// old content is still there, unless only the last sync failed.
pub fn replace_by(
    dir: &Path,
    name: &str,
    version: &str,
    bytes_max: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    file::replace_by(dir, name, |file| {
        // The sum is known at the end; its place is here.
        file.write_all(format!("{version}{}\n", sum(b"")).as_bytes())?;
        let summed = Summed { to: &mut *file, hash: Sha256::new(), left: bytes_max };
        let mut body = BufWriter::with_capacity(PIECE_BYTES, summed);
        write(&mut body)?;
        let summed = body.into_inner().map_err(IntoInnerError::into_error)?;
        let head = format!("{version}{}\n", hex(&summed.hash.finalize()));
        file.rewind()?;
        file.write_all(head.as_bytes())
    })
}

/// Writer that sums up what goes through it, up to a limit.
struct Summed<W> {
    to: W,
    hash: Sha256,
    left: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than the file may be"));
        }
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads the body of a file of at most `bytes_max`. Before the body takes memory the checksum is tried piece by piece, so a damaged file takes none,
/// however large it is.
///
/// # Errors
/// As [`file::read`], or the file is damaged or of another version.
pub fn read(dir: &Path, name: &str, version: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let (_, mut body) = open(dir, name, &[version], bytes_max)?;
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file of at most `bytes_max`, and tries its checksum. Returns the place of its version in `versions`, and a reader of its body, which is
/// never in memory as a whole.
///
/// # Errors
/// As [`read`].
pub fn open(
    dir: &Path,
    name: &str,
    versions: &[&str],
    bytes_max: u64,
) -> io::Result<(usize, impl Read + use<>)> {
    let mut file = file::open(dir, name, bytes_max)?;
    if !is_whole(&file, versions, bytes_max)? {
        return Err(damaged());
    }
    file.rewind()?;
    let mut body = BufReader::with_capacity(PIECE_BYTES, file.take(bytes_max));
    let mut head = Vec::new();
    body.by_ref().take(HEAD_BYTES_MAX).read_until(b'\n', &mut head)?;
    let version = versions.iter().position(|version| head.starts_with(version.as_bytes()));
    Ok((version.ok_or_else(damaged)?, body))
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
