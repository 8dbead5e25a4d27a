//! Rows that cannot be parked and wait in their place: how many they are, also while they are looked at again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use edge_queue::{LANES_MAX, Lease};

use crate::bridge::spool::Left;
use crate::wire::Utf8;

/// Topics between two calls of the link at most: as many as it counts parked rows for.
const TOPICS_MAX: usize = 512;

/// Rows that were passed over since the last look. Link and task both add to it.
#[derive(Debug, Default)]
pub(super) struct InPlace {
    messages: AtomicU64,
    /// The row behind the last of them, by lane.
    until: [AtomicU64; LANES_MAX],
    /// Rows and messages by topic, until the link takes them.
    by_topic: Mutex<BTreeMap<Utf8, (u64, u64)>>,
}

impl InPlace {
    /// Messages, by weight.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Passes over a row. `topic`: it counts as parked for it.
    pub(super) fn leave(&self, lease: Lease, topic: Option<&Utf8>) {
        if let Some(topic) = topic {
            self.count(topic, u64::from(lease.weight()));
        }
        self.messages.fetch_add(u64::from(lease.weight()), Ordering::Relaxed);
        if let Some(until) = self.until.get(usize::from(lease.lane().0)) {
            until.fetch_max(lease.id().seq.saturating_add(1), Ordering::Relaxed);
        }
        lease.pass();
    }

    fn count(&self, topic: &Utf8, weight: u64) {
        let mut by_topic = self.by_topic();
        if let Some((rows, messages)) = by_topic.get_mut(topic) {
            (*rows, *messages) = (*rows + 1, *messages + weight);
        } else if by_topic.len() < TOPICS_MAX {
            // A copy: the topic's own bytes are a slice of a larger buffer.
            by_topic.insert(Utf8::try_from(topic.to_string()).unwrap_or_default(), (1, weight));
        }
    }

    /// Those since the last call.
    pub(super) fn take_left(&self) -> Vec<Left> {
        let by_topic = std::mem::take(&mut *self.by_topic());
        by_topic.into_iter().map(|(topic, (rows, weight))| Left::new(topic, rows, weight)).collect()
    }

    fn by_topic(&self) -> MutexGuard<'_, BTreeMap<Utf8, (u64, u64)>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Look at them: from its begin on they are leased again, one after the other, and until its turn comes each still waits in its place. Other rows
/// may come between, of other lanes, or of the same ones behind them.
#[derive(Debug, Default)]
pub(super) struct Look {
    messages: u64,
    until: [u64; LANES_MAX],
}

impl Look {
    /// Messages, by weight, whose turn has not come.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Begins with all that wait, and those that the last one did not come to.
    pub(super) fn begin(&mut self, all: &InPlace) {
        self.messages += all.messages.swap(0, Ordering::Relaxed);
        for (own, until) in self.until.iter_mut().zip(&all.until) {
            *own = (*own).max(until.swap(0, Ordering::Relaxed));
        }
    }

    /// A row was leased.
    pub(super) fn on_leased(&mut self, lease: &Lease) {
        let until = self.until.get(usize::from(lease.lane().0)).copied().unwrap_or(0);
        if lease.id().seq < until {
            self.messages = self.messages.saturating_sub(u64::from(lease.weight()));
        }
    }

    /// Every row has been leased: those that did not come expired, or made room.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
