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
/// The file cannot be read, is empty, has several lines or a control character, or is longer than a password may be.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = operator_file::read(path)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "empty"));
    }
    match mistake(line) {
        Some(message) => Err(io::Error::new(io::ErrorKind::InvalidData, message)),
        None => Ok(line.to_vec()),
    }
}

/// Returns why the line is none that somebody meant as a password. It is not quoted: it is a secret.
fn mistake(line: &[u8]) -> Option<String> {
    if line.len() > BYTES_MAX {
        return Some(format!("{} bytes, a password has at most {BYTES_MAX}", line.len()));
    }
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| line.starts_with(mark)) {
        return Some(
            "begins with a byte order mark, which would be sent: save it as UTF-8 without one".to_owned(),
        );
    }
    if line.contains(&b'\n') {
        return Some("several lines: a password is one".to_owned());
    }
    let control = line.iter().position(u8::is_ascii_control)?;
    Some(format!("a control character at byte {}: a password is one line of text", control + 1))
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
