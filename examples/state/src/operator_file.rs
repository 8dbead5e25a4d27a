//! Files that the operator hands over, such as configuration, rules, passwords and certificates: read within one limit, and only regular ones. A pipe
//! would block the start until it has a writer, and a large file would take the memory and keep a stop waiting. Other than in a state directory, links
//! are followed.

#![allow(clippy::disallowed_methods, reason = "a shell: reads files")]

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, PROC_SUPER_MAGIC, statfs};

/// Most bytes of a file.
pub const BYTES_MAX: u64 = 1 << 20;

/// Checks that the path is a regular file that is not too large.
///
/// # Errors
/// The path does not exist, or is no regular file, or a larger one.
pub fn check(path: &Path) -> io::Result<()> {
    within(regular(path)?.len(), BYTES_MAX)
}

/// Opens a regular file. Nothing waits: some file systems have files that say that they are regular, and have nothing to read yet.
///
/// # Errors
/// The path does not exist, is no regular file, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, which some devices notice.
    regular(path)?;
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // Another one may be there by now.
    no_other_kind(&file.metadata()?)?;
    Ok(file)
}

/// Reads a file.
///
/// # Errors
/// As [`check`]; or it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, BYTES_MAX)
}

/// Reads a file of at most `bytes_max`.
///
/// # Errors
/// As [`read`] with that limit.
pub fn read_within(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    within(file.metadata()?.len(), bytes_max)?;
    let mut bytes = Vec::new();
    // It may have grown since it was looked at.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    within(bytes.len() as u64, bytes_max)?;
    Ok(bytes)
}

/// Reads a text file.
///
/// # Errors
/// As [`read`]; or it is not UTF-8: then the error names the first line that is not.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8: save it as UTF-8"))
    })
}

/// Reads a file of filter rules or of control loops, unless it holds more than may be parsed.
///
/// # Errors
/// As [`read_text`]; or it holds [too much](crate::toml_amount::RULES): then the error names the line and the limit.
#[cfg(feature = "rules")]
pub fn read_rules(path: &Path) -> io::Result<String> {
    let text = read_text(path)?;
    crate::toml_amount::check_rules(&text)
        .map_err(|excess| io::Error::new(io::ErrorKind::InvalidData, excess))?;
    Ok(text)
}

/// Returns whether something has this path, be it of no use.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Returns whether both paths name one regular file, be it by a link: written, it would take the other one with it.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let known = |path: &Path| std::fs::metadata(path).ok().filter(Metadata::is_file);
    known(one).zip(known(other)).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Returns what is known of a regular file. One of `/proc` says that it is, and that it is empty, whatever it holds: reading the kernel's messages there
/// takes them from who waits for them.
fn regular(path: &Path) -> io::Result<Metadata> {
    let about = std::fs::metadata(path)?;
    no_other_kind(&about)?;
    if statfs(path)?.f_type == PROC_SUPER_MAGIC {
        return Err(is_no_file("a part of /proc"));
    }
    Ok(about)
}

fn no_other_kind(about: &Metadata) -> io::Result<()> {
    let kind = about.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Err(is_no_file(match () {
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }))
}

fn is_no_file(kind: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("not a file, but {kind}"))
}

fn within(bytes: u64, bytes_max: u64) -> io::Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{bytes} bytes, at most {bytes_max} are read")))
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
        assert_eq!(read_within(&path, 9).unwrap_err().to_string(), "1048576 bytes, at most 9 are read");
        // Sparse: nothing of it is read.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        for refused in [check(&path), read(&path).map(drop), read_text(&path).map(drop)] {
            let error = refused.unwrap_err();
            assert_eq!(error.to_string(), "1099511627776 bytes, at most 1048576 are read");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_text_in_another_encoding_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        // "°" of Latin-1, and UTF-16 with its mark.
        for (bytes, line) in [(&b"a = 1\n\nunit = \"\xb0C\"\n"[..], 3), (b"\xff\xfea\0\n\0", 1)] {
            std::fs::write(&path, bytes).unwrap();
            let said = read_text(&path).unwrap_err().to_string();
            assert_eq!(said, format!("line {line} is not UTF-8: save it as UTF-8"));
        }
    }

    #[test]
    fn only_regular_files_are_read_and_links_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("f"), "x").unwrap();
        std::os::unix::fs::symlink(at("f"), at("link")).unwrap();
        assert_eq!(read_text(&at("link")).unwrap(), "x");
        let pipe = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(pipe.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/proc/kmsg", at("kernel")).unwrap();
        for (path, kind) in [
            (at("pipe"), "a pipe"),
            (at("socket"), "a socket"),
            // It says that it is empty, and goes on for ever when it is read.
            ("/dev/zero".into(), "a device"),
            // It says that it is a file, and a read waits for the next message.
            ("/proc/kmsg".into(), "a part of /proc"),
            (at("kernel"), "a part of /proc"),
        ] {
            let why = format!("not a file, but {kind}");
            for refused in [check(&path), read(&path).map(drop), open(&path).map(drop)] {
                assert_eq!(refused.unwrap_err().to_string(), why, "{}", path.display());
            }
        }
        assert_eq!(read(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A million bytes of tables would take a hundred times as much when they are parsed.
    #[cfg(feature = "rules")]
    #[test]
    fn a_file_of_rules_is_counted_before_it_is_parsed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "[[rule]]\n".repeat(4_000)).unwrap();
        assert_eq!(read_rules(&path).unwrap().len(), 36_000);
        std::fs::write(&path, "[[output]]\n".repeat(4_001)).unwrap();
        assert_eq!(read_rules(&path).unwrap_err().to_string(), "line 4001: at most 4000 tables [[…]]");
    }

    /// As `trace_pipe` of the kernel's tracing does not have, beside `/proc`.
    #[test]
    fn what_has_nothing_to_read_yet_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let file = open(&dir.path().join("f")).unwrap();
        assert!(rustix::fs::fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    }
}
