//! Password file of one line, read at the start and again before each connection to the hub.

use std::io;
use std::path::{Path, PathBuf};

use super::section::Placed;
use super::{Findings, operator_file, secret_file};

/// Longest password in bytes, which MQTT's format sets.
const BYTES_MAX: usize = 65_535;

/// Returns the file's content without the line end.
///
/// # Errors
///
/// The file cannot be read, is empty, or is longer than a password may be.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = operator_file::read(path)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "empty"));
    }
    if line.len() > BYTES_MAX {
        let message = format!("{} bytes, a password has at most {BYTES_MAX}", line.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(line.to_vec())
}

/// Reads the file that `key` names, and reports its mistakes.
pub(super) fn checked(file: &Placed<PathBuf>, key: &str, findings: &mut Findings) -> Option<Vec<u8>> {
    let path = file.value.display();
    let password = match read(&file.value) {
        Ok(password) => password,
        Err(problem) => {
            findings.error(file.at, key, format!("{path}: {problem}"));
            return None;
        }
    };
    secret_file::warn_if_open(file, key, "password", findings);
    Some(password)
}
