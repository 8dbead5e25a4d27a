//! Files of the session tables that were made here: the pack says what is to be kept, a task of its own writes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// What is not yet done, by topic above the tables and name of the version; `None`: the file goes.
pub(crate) type Changes = BTreeMap<(String, u64), Option<Bytes>>;

/// A handle; clones are the same. Bounded by the versions that a topic keeps, also while the disk hangs: a change takes the place of the one
/// before it, and a table that goes before its file was begun leaves nothing.
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

    /// Waits until there is something to do, and takes it.
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
