//! The mark of a clean stop, which carries the filters' states.
//!
//! It is written when everything else is done, and taken away durably before the first reading: a run that ends
//! otherwise leaves none, so that every sensor's first reading passes and messages that may be copies are marked. A start
//! that fails before its first reading leaves it for the next one.
//!
//! ```text
//! edge-gateway stopped 1 SHA-256-OF-THE-REST
//! [["MATCH", SNAPSHOT], …]
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "a shell: one small file, read at the start and written at the end"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use edge_filter::Snapshot;
use sha2::{Digest, Sha256};

const FILE: &str = "stopped.json";
const FILE_NEW: &str = "stopped.json.new";
const VERSION: &str = "edge-gateway stopped 1 ";
/// 10 000 sensors in each of some routes; a larger file is none of ours.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Marks that the last run left.
#[derive(Debug, Default)]
pub(crate) struct LastRun {
    /// It ended as it should.
    pub(crate) clean: bool,
    /// By the route's `match`.
    pub(crate) snapshots: Vec<(String, Snapshot)>,
}

/// Reads the mark, and leaves it. A mark that cannot be read counts as an unclean stop.
pub(crate) fn read(state: &Path) -> LastRun {
    let path = state.join(FILE);
    let small = fs::metadata(&path).map(|meta| meta.len() <= FILE_BYTES_MAX);
    let text = match small {
        Ok(true) => fs::read(&path),
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return LastRun::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the mark of the last stop cannot be read");
            Vec::new()
        }
    };
    match parse(&text) {
        Some(snapshots) => LastRun { clean: true, snapshots },
        None => {
            tracing::warn!(path = %path.display(), "the mark of the last stop is damaged: starting as after a kill");
            LastRun::default()
        }
    }
}

/// Takes the mark away: when this returns it is gone from the disk too. To be called when nothing can fail before the
/// first reading any more, and before that.
///
/// # Errors
/// The disk refused.
pub(crate) fn remove(state: &Path) -> io::Result<()> {
    match fs::remove_file(state.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed?,
    }
    File::open(state)?.sync_all()
}

/// Leaves the mark, durably.
///
/// # Errors
/// The disk refused; then the next start is one after an unclean stop.
pub(crate) fn leave(state: &Path, snapshots: &[(String, Snapshot)]) -> io::Result<()> {
    let body = serde_json::to_vec(snapshots)?;
    let head = format!("{VERSION}{}\n", hex(&body));
    let (path, new) = (state.join(FILE), state.join(FILE_NEW));
    let mut file = File::create(&new)?;
    file.write_all(head.as_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(state)?.sync_all()
}

fn parse(text: &[u8]) -> Option<Vec<(String, Snapshot)>> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = text.split_at_checked(end)?;
    let body = rest.get(1..)?;
    let sum = head.strip_prefix(VERSION.as_bytes())?;
    (sum == hex(body).as_bytes()).then(|| serde_json::from_slice(body).ok()).flatten()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_filter::{Pipeline, Quality, Reading, Value};

    fn snapshot() -> Snapshot {
        let mut pipeline =
            Pipeline::from_toml("[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1.0 } } ]")
                .unwrap();
        let sensor = pipeline.intern("a");
        let reading = Reading { sensor, time: 1, value: Value::F64(0.1), quality: Quality::GOOD };
        let _ = pipeline.process(reading, 1, &mut |_| {});
        pipeline.snapshot()
    }

    #[test]
    fn what_is_left_is_there_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!read(dir.path()).clean, "nothing was left");
        remove(dir.path()).unwrap();
        leave(dir.path(), &[("a/#".to_owned(), snapshot())]).unwrap();
        // What a filter finds out again by itself is not written, so the written forms are compared.
        let written = |snapshots: &[(String, Snapshot)]| serde_json::to_string(snapshots).unwrap();
        for start in ["one that fails", "the next"] {
            let last = read(dir.path());
            assert!(last.clean, "{start}");
            assert_eq!(written(&last.snapshots), written(&[("a/#".to_owned(), snapshot())]), "{start}");
        }
        remove(dir.path()).unwrap();
        assert!(!read(dir.path()).clean, "gone");
    }

    #[test]
    fn a_damaged_mark_is_an_unclean_stop() {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), &[("a/#".to_owned(), snapshot())]).unwrap();
        let path = dir.path().join(FILE);
        let good = fs::read(&path).unwrap();
        for (what, bad) in [
            ("a bit", good.iter().enumerate().map(|(n, b)| if n == 120 { b ^ 1 } else { *b }).collect()),
            ("cut", good[..good.len() - 1].to_vec()),
            ("empty", Vec::new()),
            ("another version", [b"edge-gateway stopped 2 ".as_slice(), &good[23..]].concat()),
        ] {
            fs::write(&path, bad).unwrap();
            let last = read(dir.path());
            assert!(!last.clean && last.snapshots.is_empty(), "{what}");
        }
        remove(dir.path()).unwrap();
        assert!(!path.exists());
    }
}
