//! Dead letters: messages that cannot be read, set aside as files, bounded in bytes.
//!
//! `rejects.jsonl` has a line for each: `{"time":…,"topic":…,"reason":…,"content_type":…,"bytes":…,"file":…}`. The file holds the
//! payload, as `edge-decode decode` reads it once its table is there. Whoever publishes chooses the topic: what a terminal would obey, or not
//! show, is escaped in the line.

#![allow(clippy::disallowed_methods, reason = "a shell: a file per message")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::private_files;
use crate::Failure;
use crate::json_text::json_text;

const INDEX: &str = "rejects.jsonl";

/// The folder of messages that were set aside.
#[derive(Debug)]
pub(super) struct Rejects {
    dir: PathBuf,
    max_bytes: u64,
    bytes: u64,
    number: u64,
    /// Time of the folder's last measurement, in milliseconds since 1970: somebody may have emptied it.
    measured_ms: i64,
}

/// A message to set aside.
#[derive(Debug)]
pub(super) struct Reject<'a> {
    pub(super) time_ms: i64,
    pub(super) topic: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) reason: &'a str,
    pub(super) payload: &'a [u8],
}

/// Error of setting a message aside.
#[derive(Debug, thiserror::Error)]
pub(super) enum RejectError {
    #[error("{dir} has its {max_bytes} bytes (--rejects-max): empty it", dir = dir.display())]
    Full { dir: PathBuf, max_bytes: u64 },
    #[error(
        "a message takes {bytes} bytes, and {dir} all in all {max_bytes} (--rejects-max): give it more",
        dir = dir.display()
    )]
    TooLarge { dir: PathBuf, bytes: u64, max_bytes: u64 },
    #[error("{dir}: {error}", dir = dir.display())]
    Io { dir: PathBuf, error: io::Error },
}

/// Milliseconds between measurements of a full folder.
const MEASURE_EVERY_MS: u64 = 1_000;

impl Rejects {
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io(dir.display(), &error);
        private_files::create_dir(dir).map_err(failed)?;
        // A folder that takes nothing is told at the start.
        private_files::append(&dir.join(INDEX)).map_err(failed)?;
        let bytes = measure(dir).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), max_bytes, bytes, number: 0, measured_ms: 0 })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sets a message aside. When this returns its payload and its line are on the disk.
    pub(super) fn add(&mut self, reject: &Reject<'_>) -> Result<(), RejectError> {
        let (name, line) = self.line(reject);
        let dir = self.dir.clone();
        let failed = |error| RejectError::Io { dir: dir.clone(), error };
        let bytes = (reject.payload.len() + line.len()) as u64;
        if bytes > self.max_bytes {
            return Err(RejectError::TooLarge { dir: self.dir.clone(), bytes, max_bytes: self.max_bytes });
        }
        // Whoever emptied it may have taken it away.
        private_files::create_dir(&self.dir).map_err(failed)?;
        // After a clock that was set back, too.
        let is_due = reject.time_ms.abs_diff(self.measured_ms) >= MEASURE_EVERY_MS;
        if self.bytes + bytes > self.max_bytes && is_due {
            self.measured_ms = reject.time_ms;
            self.bytes = measure(&self.dir).map_err(failed)?;
        }
        if self.bytes + bytes > self.max_bytes {
            return Err(RejectError::Full { dir: self.dir.clone(), max_bytes: self.max_bytes });
        }
        private_files::write(&self.dir, &name, reject.payload).map_err(failed)?;
        if let Err(error) = self.note(&line) {
            // The message is kept, and set aside under another name.
            let _ = fs::remove_file(self.dir.join(&name));
            return Err(failed(error));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Writes a line at the end of the index, which is opened each time: whoever empties the folder takes it away.
    fn note(&self, line: &str) -> io::Result<()> {
        // Whoever empties the folder meanwhile does it once.
        for _ in 0..3 {
            let mut index = private_files::append(&self.dir.join(INDEX))?;
            let end = index.metadata()?.len();
            let mut last = [b'\n'];
            match end.checked_sub(1) {
                Some(at) => index.read_exact_at(&mut last, at)?,
                None => File::open(&self.dir)?.sync_all()?,
            }
            // Behind a line that a full disk, or the end of the power, has torn.
            let begin = if last == [b'\n'] { "" } else { "\n" };
            index.write_all(format!("{begin}{line}").as_bytes())?;
            index.sync_data()?;
            if index.metadata()?.nlink() > 0 {
                return Ok(());
            }
        }
        Err(io::Error::other(format!("{INDEX} is taken away each time that it is made")))
    }

    fn line(&mut self, reject: &Reject<'_>) -> (String, String) {
        // The time alone is no name: it may stand still, or come twice.
        let name = loop {
            self.number += 1;
            let name = format!("{:013}-{:06}.payload", reject.time_ms, self.number);
            if !self.dir.join(&name).exists() {
                break name;
            }
        };
        let Reject { time_ms, topic, content_type, reason, payload } = reject;
        let (topic, reason) = (json_text(topic), json_text(reason));
        let content_type = content_type.map_or_else(|| "null".to_owned(), json_text);
        let bytes = payload.len();
        let line = format!(
            "{{\"time\":{time_ms},\"topic\":{topic},\"reason\":{reason},\"content_type\":{content_type},\
             \"bytes\":{bytes},\"file\":\"{name}\"}}\n"
        );
        (name, line)
    }
}

fn measure(dir: &Path) -> io::Result<u64> {
    fs::read_dir(dir)?.try_fold(0, |sum: u64, entry| match entry?.metadata() {
        Ok(meta) if meta.is_file() => Ok(sum.saturating_add(meta.len())),
        // Whoever empties it may be at it.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(sum),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(payload: &[u8]) -> Reject<'_> {
        Reject { time_ms: 5, topic: "a/\"b\"", content_type: None, reason: "why", payload }
    }

    #[test]
    fn messages_are_kept_with_their_reason_until_the_folder_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::open(dir.path(), 700).unwrap();
        rejects.add(&reject(&[0xff; 100])).unwrap();
        // The number begins anew and the time is the same: no file is overwritten.
        let mut rejects = Rejects::open(dir.path(), 700).unwrap();
        rejects.add(&reject(b"two")).unwrap();
        let lines = fs::read_to_string(dir.path().join(INDEX)).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let payloads = lines.iter().map(|l| fs::read(dir.path().join(l["file"].as_str().unwrap())).unwrap());
        assert_eq!(payloads.collect::<Vec<_>>(), [vec![0xff; 100], b"two".to_vec()]);
        assert_eq!((lines[0]["topic"].as_str(), lines[0]["bytes"].as_u64()), (Some("a/\"b\""), Some(100)));
        let full = rejects.add(&reject(&[0; 500]));
        assert!(matches!(full, Err(RejectError::Full { .. })), "{full:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        // The second time the clock was set back: it was full for as long as that.
        for time_ms in [5_000, 1_000] {
            let again = Reject { time_ms, ..reject(&[0; 300]) };
            rejects.add(&again).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "payload and index: it was emptied");
            assert!(rejects.add(&again).is_err(), "full");
            for entry in fs::read_dir(dir.path()).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
    }

    fn lines(dir: &Path) -> Vec<Result<serde_json::Value, serde_json::Error>> {
        let text = fs::read_to_string(dir.join(INDEX)).unwrap();
        text.lines().map(serde_json::from_str).collect()
    }

    /// It was: lines went into the index that was gone, until the folder was full.
    #[test]
    fn a_folder_that_is_emptied_or_taken_away_has_its_index_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("rejects");
        let mut rejects = Rejects::open(&dir, 1 << 20).unwrap();
        for round in 0..3 {
            rejects.add(&reject(b"payload")).unwrap();
            let lines = lines(&dir);
            let named = lines.iter().map(|line| line.as_ref().unwrap()["file"].as_str().unwrap());
            let there: Vec<_> = named.filter(|file| dir.join(file).exists()).collect();
            assert_eq!((there.len(), lines.len()), (1, 1), "round {round}");
            match round {
                0 => fs::read_dir(&dir)
                    .unwrap()
                    .for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap()),
                _ => fs::remove_dir_all(&dir).unwrap(),
            }
        }
    }

    #[test]
    fn a_line_that_was_torn_spoils_no_other_and_a_payload_without_its_line_goes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut rejects = Rejects::open(dir, 1 << 20).unwrap();
        fs::write(dir.join(INDEX), "{\"time\":5,\"top").unwrap();
        rejects.add(&reject(b"one")).unwrap();
        rejects.add(&reject(b"two")).unwrap();
        let are_whole: Vec<bool> = lines(dir).iter().map(Result::is_ok).collect();
        assert_eq!(are_whole, [false, true, true]);
        fs::remove_file(dir.join(INDEX)).unwrap();
        fs::create_dir(dir.join(INDEX)).unwrap();
        let failed = rejects.add(&reject(b"three"));
        assert!(matches!(failed, Err(RejectError::Io { .. })), "{failed:?}");
        assert_eq!(fs::read_dir(dir).unwrap().count(), 3, "two payloads, and what is no index");
        fs::remove_dir(dir.join(INDEX)).unwrap();
        rejects.add(&reject(b"three")).unwrap();
        assert_eq!(lines(dir).len(), 1);
    }

    #[test]
    fn a_message_that_never_has_room_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::open(dir.path(), 500).unwrap();
        let error = rejects.add(&reject(&[0; 500])).unwrap_err();
        assert!(matches!(error, RejectError::TooLarge { .. }), "{error}");
        rejects.add(&reject(&[0; 100])).unwrap();
    }

    #[test]
    fn what_others_chose_drives_no_terminal_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::open(dir.path(), 4_000).unwrap();
        let hidden = "a\"\n\u{1b}\u{202e}\u{feff}\u{200b}\u{e0041}\u{fdd0}b";
        let all = Reject { topic: hidden, reason: hidden, content_type: Some(hidden), ..reject(b"x") };
        rejects.add(&all).unwrap();
        let line = fs::read_to_string(dir.path().join(INDEX)).unwrap();
        assert!(!line.trim_end().chars().any(edge_csv::is_hidden), "{line:?}");
        assert!(line.contains("\\u202e") && line.contains("\\udb40\\udc41"), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        for key in ["topic", "reason", "content_type"] {
            assert_eq!(read[key].as_str(), Some(hidden), "{key}");
        }
    }
}
