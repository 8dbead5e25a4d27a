//! Files of session tables in the state directory: one for each version that this gateway made, so that it knows its tables again after a
//! restart.

#![allow(clippy::disallowed_methods, reason = "a shell: small files, off the network's thread")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use edge_state::file as state_file;
use sha2::{Digest, Sha256};

use super::compact::{KeptTables, version_name};

/// Size of the largest file that is read.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Most files of one topic that are read; a topic has fewer versions.
const FILES_MAX: usize = 32;

/// Handle to the files; clones share the byte counter.
#[derive(Clone, Debug)]
pub(crate) struct TableFiles {
    state: PathBuf,
    written: Arc<AtomicU64>,
}

impl TableFiles {
    pub(crate) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), written: Arc::default() }
    }

    /// Reads the tables that earlier processes made below these topics, each with its topic. The user of a table detects damage, and ignores such
    /// a table.
    pub(crate) fn load(&self, topics: &[String]) -> Vec<(String, Bytes)> {
        let files =
            topics.iter().flat_map(|topic| self.list(topic).into_iter().map(move |path| (topic, path)));
        files
            .filter_map(|(topic, name)| {
                match state_file::read(&self.state, &name, TABLE_BYTES_MAX) {
                    Ok(table) => Some((topic.clone(), Bytes::from(table))),
                    Err(error) => {
                        let path = self.state.join(name);
                        tracing::warn!(path = %path.display(), %error, "a session table cannot be read: it is made anew");
                        None
                    }
                }
            })
            .collect()
    }

    /// Writes and removes files as requested through `kept`, until the future is dropped.
    pub(crate) async fn keep(self, kept: KeptTables) {
        loop {
            for ((topic, id), table) in kept.next().await {
                let files = self.clone();
                let name = file_name(&topic, id);
                let done = tokio::task::spawn_blocking(move || files.change(&name, table.as_deref())).await;
                // A task that is blocked in a write is not aborted, so it ends in no other way.
                if let Ok(Err(error)) = done {
                    tracing::warn!(topic, %error, "a session table is not kept for the next start");
                }
            }
        }
    }

    /// Returns the bytes of table files written since the start.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn change(&self, name: &str, table: Option<&[u8]>) -> io::Result<()> {
        let Some(table) = table else {
            return match fs::remove_file(self.state.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        self.written.fetch_add(table.len() as u64, Ordering::Relaxed);
        state_file::replace(&self.state, name, &[table])
    }

    fn list(&self, topic: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
        let prefix = prefix(topic);
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| {
                let id = name.strip_prefix(&prefix).and_then(|id| u64::from_str_radix(id, 16).ok());
                id.is_some_and(|id| *name == file_name(topic, id))
            })
            .take(FILES_MAX)
            .collect()
    }
}

fn file_name(topic: &str, id: u64) -> String {
    prefix(topic) + &version_name(id)
}

fn prefix(topic: &str) -> String {
    let name: String = Sha256::digest(topic).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("table-{name}-")
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;

    use super::*;

    #[test]
    fn a_table_that_cannot_be_read_is_told_and_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let files = TableFiles::new(dir.path());
        std::fs::create_dir(dir.path().join(file_name("site", 1))).unwrap();
        files.change(&file_name("site", 2), Some(b"two")).unwrap();
        let topics = ["site".to_owned()];
        let told = captured(|| {
            assert_eq!(files.load(&topics), [("site".to_owned(), Bytes::from_static(b"two"))]);
        });
        assert!(told.contains(&file_name("site", 1)) && told.lines().count() == 1, "{told}");
    }
}
