//! Files of session tables in the state directory: one for each version that this gateway made, so that it knows its tables again after a
//! restart.

#![allow(clippy::disallowed_methods, reason = "a shell: small files, off the network's thread")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edge_state::file as state_file;
use sha2::{Digest, Sha256};

use super::compact::{Announced, KeptTables, version_name};

/// Size of the largest file that is read.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Most files of one topic that are read; a topic has fewer versions.
const FILES_MAX: usize = 32;
/// Most bytes of all tables that stay in memory; of others the gateway knows that it made them.
const BYTES_MAX: usize = 4 << 20;

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

    /// Reads the tables that earlier processes made below these topics, each with its topic. Damaged ones are ignored. One at a time is decoded,
    /// and the bytes of all together that stay in memory are bounded; the newest of each topic come first.
    pub(crate) fn load(&self, topics: &[String]) -> Vec<(String, Announced)> {
        let mut files = Vec::new();
        for topic in topics {
            files.extend(self.list(topic).into_iter().enumerate().map(|(rank, name)| (rank, topic, name)));
        }
        files.sort_by_key(|(rank, _, _)| *rank);
        let mut held = 0;
        let read = |(_, topic, name): (usize, &String, String)| {
            let table = state_file::read(&self.state, &name, TABLE_BYTES_MAX)
                .and_then(|table| Announced::saved(&table).ok_or_else(|| io::Error::other("it is damaged")));
            let table = match table {
                Ok(table) => table,
                Err(error) => {
                    let path = self.state.join(name);
                    tracing::warn!(path = %path.display(), %error, "a session table cannot be read: it is made anew");
                    return None;
                }
            };
            let fits = held + table.len() <= BYTES_MAX;
            held += if fits { table.len() } else { 0 };
            Some((topic.clone(), if fits { table } else { table.without_bytes() }))
        };
        files.into_iter().filter_map(read).collect()
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

    /// Returns the files of a topic, the newest first.
    fn list(&self, topic: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
        let prefix = prefix(topic);
        let mut files: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let id = u64::from_str_radix(name.strip_prefix(&prefix)?, 16).ok()?;
                (name == file_name(topic, id))
                    .then(|| (entry.metadata().and_then(|file| file.modified()).ok(), name))
            })
            .collect();
        files.sort_unstable_by(|one, other| other.cmp(one));
        files.into_iter().map(|(_, name)| name).take(FILES_MAX).collect()
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
    use edge_codec::SensorTable;
    use edge_codec::compact::Table;

    use crate::run::log::captured_log::captured;

    use super::*;

    /// 48 topics with sixteen versions of 256 KiB each would be 200 MiB.
    #[test]
    fn of_tables_beyond_the_bound_the_gateway_knows_and_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = TableFiles::new(dir.path());
        let topics: Vec<String> = (0..20).map(|n| format!("site{n}")).collect();
        for (version, topic) in (0..40).zip(topics.iter().cycle()) {
            let mut sensors = SensorTable::new();
            (0..500).for_each(|n| drop(sensors.insert(n, format!("{n:0400}"), "")));
            let table = Table::new(version, &sensors);
            files.change(&file_name(topic, table.id()), Some(table.bytes())).unwrap();
        }
        let loaded = files.load(&topics);
        let held: Vec<&String> =
            loaded.iter().filter(|(_, table)| table.has_bytes()).map(|(topic, _)| topic).collect();
        let bytes: usize =
            loaded.iter().filter(|(_, table)| table.has_bytes()).map(|(_, table)| table.len()).sum();
        assert_eq!(loaded.len(), 40);
        assert!((BYTES_MAX - 300_000..=BYTES_MAX).contains(&bytes), "{bytes}");
        let topics: std::collections::BTreeSet<_> = held.iter().collect();
        assert_eq!(topics.len(), held.len(), "the newest of each first");
    }

    #[test]
    fn a_table_that_cannot_be_read_is_told_and_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let files = TableFiles::new(dir.path());
        std::fs::create_dir(dir.path().join(file_name("site", 1))).unwrap();
        files.change(&file_name("site", 3), Some(b"damaged")).unwrap();
        let table = Table::new(2, &SensorTable::new());
        files.change(&file_name("site", 2), Some(table.bytes())).unwrap();
        let topics = ["site".to_owned()];
        let told = captured(|| {
            assert_eq!(files.load(&topics), [("site".to_owned(), Announced::saved(table.bytes()).unwrap())]);
        });
        let is_told = |id| told.contains(&file_name("site", id));
        assert!(is_told(1) && is_told(3) && told.lines().count() == 2, "{told}");
    }
}
