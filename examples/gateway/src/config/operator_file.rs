//! Files that the operator hands over, such as configuration, rules, passwords and certificates: read within one limit, and only regular ones. A pipe
//! would block the start until it has a writer, and a large file would take the memory and keep a stop waiting.

#![allow(clippy::disallowed_methods, reason = "a shell: reads files")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a file.
pub(crate) const BYTES_MAX: u64 = 1 << 20;

/// Checks that the path is a regular file that is not too large.
///
/// # Errors
/// The path does not exist, or is no regular file, or a larger one.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    within(check_kind(path)?)
}

/// Checks that the path is a regular file, and returns its size in bytes.
///
/// # Errors
/// The path does not exist, or is no regular file.
pub(crate) fn check_kind(path: &Path) -> io::Result<u64> {
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a file, but a pipe, a socket or a device",
        ));
    }
    Ok(about.len())
}

/// Reads a file.
///
/// # Errors
/// As [`check`]; or it cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    check(path)?;
    let mut bytes = Vec::new();
    // It may have grown since it was looked at.
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    within(bytes.len() as u64)?;
    Ok(bytes)
}

/// Reads a text file.
///
/// # Errors
/// As [`read`]; or it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

fn within(bytes: u64) -> io::Result<()> {
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{bytes} bytes, at most {BYTES_MAX} are read")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_limit_is_read_and_a_larger_one_is_refused_with_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(read_text(&path).unwrap().len(), 1 << 20);
        // Sparse: nothing of it is read.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        for refused in [check(&path), read(&path).map(drop), read_text(&path).map(drop)] {
            let error = refused.unwrap_err();
            assert_eq!(error.to_string(), "1099511627776 bytes, at most 1048576 are read");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        // What says that it is empty, and goes on for ever when it is read.
        assert!(read(Path::new("/dev/zero")).is_err());
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
