//! Tables that the hub has shown: filled by the subscription, looked at by the pack.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// A handle; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    by_topic: HashMap<String, Bytes>,
    lost: u64,
}

impl Shown {
    /// The hub has this table on this topic.
    pub(crate) fn note(&self, topic: &str, table: Bytes) {
        self.lock().by_topic.insert(topic.to_owned(), table);
    }

    /// The hub has lost its sessions, and what it had retained with them.
    pub(crate) fn lose(&self) {
        let mut state = self.lock();
        state.by_topic.clear();
        state.lost += 1;
    }

    /// Returns how often it has.
    pub(super) fn losses(&self) -> u64 {
        self.lock().lost
    }

    /// Returns what came since the last call.
    pub(super) fn take(&self, topic: &str) -> Option<Bytes> {
        self.lock().by_topic.remove(topic)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while holding it; if something did, a map is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
