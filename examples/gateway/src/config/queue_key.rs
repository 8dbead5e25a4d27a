//! `[queue] key_file`: the key with which the queue encrypts what it writes.

use std::path::PathBuf;

use super::section::Section;
use super::{Findings, operator_file, secret_file};

/// Most bytes of a key file: a key as text, and line ends.
const BYTES_MAX: u64 = 4096;

#[cfg(feature = "encryption")]
type Key = edge_queue::Key;

/// Key that nobody has: a build without encryption.
#[cfg(not(feature = "encryption"))]
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {}

/// Key of the queue, and the file that has it.
#[derive(Clone, Debug)]
pub(crate) struct QueueKey {
    key: Key,
    file: PathBuf,
}

/// The same key in another file changes nothing.
impl PartialEq for QueueKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for QueueKey {}

impl QueueKey {
    /// Returns the file, and the key of the configuration that names it.
    pub(crate) fn place(&self) -> String {
        format!("{} ([queue] key_file)", self.file.display())
    }
}

/// Reads the key. `None`: the key of the file is missing, or its file has a mistake, which is in `findings`.
pub(super) fn queue_key(section: &mut Section<'_>, findings: &mut Findings) -> Option<QueueKey> {
    const KEY: &str = "queue.key_file";
    let file = section.path("key_file", findings)?;
    let path = file.value.display();
    let content = operator_file::read_within(&file.value, BYTES_MAX).map_err(|problem| problem.to_string());
    let key = content.and_then(|content| of_content(&content));
    let key = key.map_err(|problem| findings.error(file.at, KEY, format!("{path}: {problem}"))).ok()?;
    secret_file::warn_if_open(&file, KEY, "key", findings);
    Some(QueueKey { key, file: file.value })
}

#[cfg(feature = "encryption")]
fn of_content(content: &[u8]) -> Result<Key, String> {
    Key::from_content(content).map_err(|error| format!("{error}; `head -c 32 /dev/urandom` makes one"))
}

#[cfg(not(feature = "encryption"))]
fn of_content(_: &[u8]) -> Result<Key, String> {
    Err("encryption is not in this build: it needs the feature `encryption`".to_owned())
}

/// Returns the settings of a queue that is encrypted if there is a key.
pub(crate) fn encrypted(queue: edge_queue::Config, key: Option<&QueueKey>) -> edge_queue::Config {
    match key.map(|key| &key.key) {
        #[cfg(feature = "encryption")]
        Some(key) => queue.encryption(key.clone()),
        #[cfg(not(feature = "encryption"))]
        Some(key) => match *key {},
        None => queue,
    }
}
