//! Password file of one line.

#![allow(clippy::disallowed_methods, reason = "a shell: reads a file")]

use std::io;
use std::path::Path;

use crate::operator_file;

/// Longest password in bytes, which MQTT's format sets.
const BYTES_MAX: usize = 65_535;

/// Returns the file's content without the line end.
///
/// # Errors
/// The file cannot be read, is empty, has several lines or a control character, or is longer than a password may be.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_of_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let content = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            read(&file).map_err(|error| error.to_string())
        };
        for bytes in [&b"secret \xc3\xa4"[..], b"secret \xc3\xa4\n", b"secret \xc3\xa4\r\n"] {
            assert_eq!(content(bytes), Ok(b"secret \xc3\xa4".to_vec()));
        }
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"one\ntwo\n", "several lines"),
            (b"\xef\xbb\xbfsecret", "byte order mark"),
            (b"sec\tret", "control character at byte 4"),
            (&[b'x'; BYTES_MAX + 1], "65536 bytes"),
        ] {
            let error = content(bytes).unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(read(&file).is_err());
    }
}
