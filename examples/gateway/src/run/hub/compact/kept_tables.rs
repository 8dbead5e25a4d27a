//! Changes of the files of session tables: the packer decides which tables are kept, and a task of its own writes the files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Pending changes, by topic above the tables and id of the version. `Some`: the file's new content; `None`: the file is removed.
pub(crate) type Changes = BTreeMap<(String, u64), Option<Bytes>>;

/// Handle to the changes; clones share them. Their number is bounded by the versions that a topic keeps, also while the disk hangs, because a
/// change replaces an earlier one of the same version, and a table that is removed before its file was begun leaves no change.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptTables(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    changes: Mutex<Changes>,
    changed: Notify,
}

impl KeptTables {
    pub(super) fn keep(&self, topic: &str, id: u64, table: Bytes) {
        self.lock().insert((topic.to_owned(), id), Some(table));
        self.0.changed.notify_one();
    }

    pub(super) fn remove(&self, topic: &str, id: u64) {
        let version = (topic.to_owned(), id);
        let mut changes = self.lock();
        if changes.remove(&version).flatten().is_none() {
            changes.insert(version, None);
        }
        drop(changes);
        self.0.changed.notify_one();
    }

    /// Waits until there are changes, and takes them.
    pub(crate) async fn next(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.lock());
            if !changes.is_empty() {
                return changes;
            }
            self.0.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // Nothing panics while holding it; if something did, a map is still a map.
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
