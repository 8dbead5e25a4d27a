//! File of the [`DeliveredIdentities`]: lines are appended and synced, and the file is rewritten when it has grown or an append failed.

#![allow(clippy::disallowed_methods, reason = "a shell: one file")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use edge_state::file as state_file;
use rustix::fs::OFlags;

use super::delivered_identities::DeliveredIdentities;

/// Name in the state directory.
const FILE: &str = "commands";
/// Size from which the file is rewritten, in bytes. The open commands and the newest ended ones are usually a fifth of that.
const GROWN_BYTES: u64 = 1 << 20;
/// Size of the largest file that is read, in bytes: 512 commands without an answer, of 20 KiB each if every byte of their topics is escaped, and
/// 1 MiB of appended lines.
const BYTES_MAX: u64 = 16 << 20;

/// File, open for appending once its content is known.
#[derive(Debug)]
pub(super) struct DeliveredIdentitiesFile {
    dir: PathBuf,
    /// Open file. `None`: the content on disk is unknown, so the file must be rewritten.
    file: Option<File>,
    bytes: u64,
}

impl DeliveredIdentitiesFile {
    /// Reads the delivered identities of the last process. A missing file counts as empty, and so does an unreadable one, which is logged.
    pub(super) fn open(dir: &Path) -> (Self, DeliveredIdentities) {
        let path = dir.join(FILE);
        let identities = match state_file::read(dir, FILE, BYTES_MAX) {
            Ok(text) => {
                let (identities, damaged) = DeliveredIdentities::read(&text);
                if damaged > 0 {
                    tracing::error!(path = %path.display(), damaged, "lines about commands are damaged: a copy of one of these may be given again");
                }
                identities
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(path = %path.display(), %error, "which commands were given is not known: a copy may be given again");
                }
                DeliveredIdentities::default()
            }
        };
        (Self::unknown(dir), identities)
    }

    /// Creates the value for a file with unknown content.
    pub(super) fn unknown(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), file: None, bytes: 0 }
    }

    /// Returns whether the next write must replace the whole file.
    pub(super) fn wants_all(&self) -> bool {
        self.file.is_none() || self.bytes > GROWN_BYTES
    }

    /// Makes lines durable: behind `all` of the identities, which replace the file, or at its end. The lines also say
    /// what the identities leave out: forgotten ones.
    ///
    /// # Errors
    /// The disk refused; it is unknown whether the lines are in the file.
    pub(super) fn keep(&mut self, all: Option<String>, lines: &str) -> io::Result<()> {
        match all {
            Some(all) => self.replace(&(all + lines)),
            None => self.append(lines),
        }
    }

    /// Appends lines, durably.
    ///
    /// # Errors
    /// The disk refused; it is unknown whether the lines are in the file.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        let appended = match &mut self.file {
            Some(file) => file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()),
            None => Err(io::Error::other("it is to be written anew")),
        };
        self.bytes += lines.len() as u64;
        if appended.is_err() {
            self.file = None;
        }
        appended
    }

    /// Replaces the whole content by these lines, durably.
    ///
    /// # Errors
    /// The disk refused; the file has its old content or these lines.
    fn replace(&mut self, lines: &str) -> io::Result<()> {
        self.file = None;
        state_file::replace(&self.dir, FILE, &[lines.as_bytes()])?;
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new().append(true).custom_flags(flags).open(self.dir.join(FILE))?;
        self.file = Some(file);
        self.bytes = lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::ReturnAddress;
    use super::super::delivered_identities::{Change, Record};
    use super::super::identity::Key;
    use super::*;

    #[test]
    fn what_was_appended_is_there_for_the_next_run_and_a_disk_that_refuses_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let line = |n, change| Record { key: Key([n; 16]), change }.to_line();
        let (mut file, none) = DeliveredIdentitiesFile::open(dir.path());
        assert_eq!((file.wants_all(), none), (true, DeliveredIdentities::default()));
        file.append("x").unwrap_err();
        file.replace(&line(1, Change::Answered)).unwrap();
        assert!(!file.wants_all());
        file.append(&line(2, Change::Answered)).unwrap();
        let (_, identities) = DeliveredIdentitiesFile::open(dir.path());
        assert!(identities.get(Key([1; 16])).is_some() && identities.get(Key([2; 16])).is_some());
        // A directory in its place: neither is replaced nor read.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        file.replace("").unwrap_err();
        assert!(file.wants_all(), "the next write is of everything");
        assert_eq!(DeliveredIdentitiesFile::open(dir.path()).1, DeliveredIdentities::default());
    }

    /// At a stop a command that nobody got is forgotten, and counts as new when the hub sends it again; the identities still have it as given.
    #[test]
    fn an_identity_that_is_forgotten_while_the_file_is_written_anew_stays_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let to = ReturnAddress { command: "c".into(), id: None, topic: "t".into(), correlation: Vec::new() };
        let record = |n, change| Record { key: Key([n; 16]), change };
        let mut identities = DeliveredIdentities::default();
        for n in [1, 2] {
            identities.apply(&record(n, Change::Started(to.clone())));
        }
        let (mut file, _) = DeliveredIdentitiesFile::open(dir.path());
        assert!(file.wants_all());
        file.keep(Some(identities.to_text()), &record(1, Change::Forgotten).to_line()).unwrap();
        let known = |n| DeliveredIdentitiesFile::open(dir.path()).1.get(Key([n; 16])).is_some();
        assert_eq!([1, 2].map(known), [false, true]);
        file.keep(None, &record(2, Change::Forgotten).to_line()).unwrap();
        assert_eq!([1, 2].map(known), [false, false], "nor where it is appended");
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = DeliveredIdentitiesFile::open(dir.path());
        file.replace("").unwrap();
        let line = Record { key: Key([1; 16]), change: Change::Answered }.to_line();
        let mut lines = 0;
        while !file.wants_all() {
            file.append(&line.repeat(1_000)).unwrap();
            lines += 1_000;
        }
        assert!((20_000..30_000).contains(&lines), "{lines}");
    }
}
