//! Decoded session tables in memory, bounded in bytes; the least recently used leave first.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use edge_codec::compact::Table;

use crate::tables::TableId;

/// Memory of a conflict, about, in bytes.
const CONFLICT_BYTES: usize = 512;

/// A session table's name, below one topic of batches: two gateways that publish elsewhere never share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TableKey {
    /// Topic of the batches. The table is at or below `TOPIC/table/GATEWAY`.
    pub(super) topic: String,
    pub(super) id: TableId,
}

/// Conflict of two different tables under one name: nobody can say which of them a batch means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    id: TableId,
    sources: [String; 2],
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = &self.sources;
        write!(
            f,
            "{first} and {second} are different session tables under one name, {:016x}: neither is used",
            self.id
        )
    }
}

/// The outcome of adding a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    New,
    Known,
    Conflict(Conflict),
}

#[derive(Debug)]
pub(super) struct TableCache {
    entries: HashMap<TableKey, Entry>,
    /// Keys of the tables by their last use.
    order: BTreeMap<u64, TableKey>,
    uses: u64,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    content: Content,
    bytes: usize,
    used: u64,
}

#[derive(Debug)]
enum Content {
    Table { source: String, table: Box<Table> },
    Conflict(Conflict),
}

impl TableCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, bytes: 0, max_bytes }
    }

    pub(super) fn has(&self, key: &TableKey) -> bool {
        self.entries.contains_key(key)
    }

    /// The table, which is used by that. `None` if it is not here.
    pub(super) fn get(&mut self, key: &TableKey) -> Option<Result<&Table, &Conflict>> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some(match &entry.content {
            Content::Table { table, .. } => Ok(table),
            Content::Conflict(conflict) => Err(conflict),
        })
    }

    /// Adds the table that `source` named. The least recently used leave; the new one stays, however large it is.
    pub(super) fn add(&mut self, key: &TableKey, source: &str, table: Table) -> Added {
        let content = match self.entries.get(key).map(|entry| &entry.content) {
            None => Content::Table { source: source.to_owned(), table: Box::new(table) },
            Some(Content::Conflict(conflict)) => return Added::Conflict(conflict.clone()),
            Some(Content::Table { table: known, .. }) if known.bytes() == table.bytes() => {
                return Added::Known;
            }
            Some(Content::Table { source: first, .. }) => {
                let sources = [first.clone(), source.to_owned()];
                Content::Conflict(Conflict { id: key.id, sources })
            }
        };
        let (bytes, added) = match &content {
            Content::Table { table, .. } => (table.memory_bytes(), Added::New),
            Content::Conflict(conflict) => {
                let sources: usize = conflict.sources.iter().map(String::len).sum();
                (CONFLICT_BYTES + sources, Added::Conflict(conflict.clone()))
            }
        };
        self.remove(key);
        let bytes = bytes + 2 * key.topic.len() + source.len();
        while self.bytes + bytes > self.max_bytes {
            let Some(oldest) = self.order.values().next().cloned() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += bytes;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key.clone(), Entry { content, bytes, used: self.uses });
        added
    }

    fn remove(&mut self, key: &TableKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            self.order.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use edge_codec::SensorTable;

    use super::*;

    fn table(version: u32) -> Table {
        Table::new(version, &SensorTable::new())
    }

    fn key(topic: &str) -> TableKey {
        TableKey { topic: topic.to_owned(), id: 7 }
    }

    #[test]
    fn the_least_recently_used_leave_and_the_new_one_stays() {
        let one = table(1).memory_bytes() + "a".len() * 2 + "s".len();
        let mut cache = TableCache::new(3 * one);
        for topic in ["a", "b", "c"] {
            assert_eq!(cache.add(&key(topic), "s", table(1)), Added::New);
        }
        assert!(cache.get(&key("a")).is_some(), "used");
        assert_eq!(cache.add(&key("d"), "s", table(1)), Added::New);
        let here = |cache: &TableCache| ["a", "b", "c", "d"].map(|topic| cache.has(&key(topic)));
        assert_eq!(here(&cache), [true, false, true, true]);
        cache.max_bytes = 0;
        assert_eq!(cache.add(&key("b"), "s", table(1)), Added::New);
        assert_eq!(here(&cache), [false, true, false, false]);
        assert_eq!((cache.order.len(), cache.entries.len()), (1, 1));
    }

    #[test]
    fn two_tables_under_one_name_are_named_and_neither_is_used() {
        let mut cache = TableCache::new(1 << 20);
        assert_eq!(cache.add(&key("a"), "a/table/g1", table(1)), Added::New);
        assert_eq!(cache.add(&key("a"), "a/table/g2", table(1)), Added::Known, "the same bytes");
        assert_eq!(cache.add(&key("b"), "b/table/g1", table(2)), Added::New, "another topic");
        let Added::Conflict(conflict) = cache.add(&key("a"), "a/table/g3", table(2)) else {
            panic!("a conflict")
        };
        let said = conflict.to_string();
        assert!(
            ["a/table/g1", "a/table/g3", "under one name, 0000000000000007"]
                .iter()
                .all(|part| said.contains(part)),
            "{said}"
        );
        assert!(matches!(cache.get(&key("a")), Some(Err(_))));
        assert!(matches!(cache.add(&key("a"), "a/table/g1", table(1)), Added::Conflict(_)), "nor later");
        assert!(matches!(cache.get(&key("b")), Some(Ok(_))));
    }
}
