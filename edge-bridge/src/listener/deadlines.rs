//! Deadlines of connections and sessions, ordered by time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Deadlines by key. When a deadline moves to a later time, its early entry stays and is skipped when it comes up. A keep alive moves with every
/// packet, and so costs nothing.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    queue: BTreeSet<(u64, K)>,
    at_ms: HashMap<K, u64>,
}

impl<K: Copy + Ord + Hash> Deadlines<K> {
    pub(super) fn new() -> Self {
        Self { queue: BTreeSet::new(), at_ms: HashMap::new() }
    }

    /// Moves the deadline of `key` to `at_ms` if it is later.
    pub(super) fn no_later(&mut self, key: K, at_ms: u64) {
        match self.at_ms.get(&key) {
            Some(earlier) if *earlier <= at_ms => return,
            Some(later) => {
                self.queue.remove(&(*later, key));
            }
            None => {}
        }
        self.queue.insert((at_ms, key));
        self.at_ms.insert(key, at_ms);
    }

    pub(super) fn forget(&mut self, key: K) {
        if let Some(at_ms) = self.at_ms.remove(&key) {
            self.queue.remove(&(at_ms, key));
        }
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.queue.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the key of a deadline that has passed; `None` if there is none.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<K> {
        let (at_ms, key) = *self.queue.first()?;
        if at_ms > now_ms {
            return None;
        }
        self.queue.pop_first();
        self.at_ms.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_wins_and_later_is_found_early() {
        let mut deadlines = Deadlines::new();
        deadlines.no_later('a', 50);
        deadlines.no_later('a', 90);
        deadlines.no_later('b', 70);
        deadlines.no_later('b', 40);
        assert_eq!(deadlines.next(), Some(40));
        assert_eq!(deadlines.pop_due(60), Some('b'));
        assert_eq!(deadlines.pop_due(60), Some('a'));
        assert_eq!(deadlines.pop_due(u64::MAX), None);
        deadlines.no_later('a', 10);
        deadlines.forget('a');
        assert_eq!(deadlines.next(), None);
    }
}
