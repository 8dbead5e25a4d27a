//! The session tables that are known: decoded in memory, and as files behind that.

use edge_codec::compact::Table;

use super::table_cache::{Added, Conflict, TableCache, TableKey};
use super::table_files::TableFiles;
use crate::tell;

#[derive(Debug)]
pub(super) struct KnownTables {
    cache: TableCache,
    files: Option<TableFiles>,
}

impl KnownTables {
    pub(super) fn new(cache: TableCache, files: Option<TableFiles>) -> Self {
        Self { cache, files }
    }

    /// The table of this name, read from its file if it has left the memory. `None` if it has to be fetched.
    pub(super) fn find(&mut self, key: &TableKey) -> Option<Result<&Table, &Conflict>> {
        self.load(key);
        self.cache.get(key)
    }

    /// Adds a table that `source`, a topic, announced.
    pub(super) fn learn(&mut self, key: &TableKey, source: &str, table: Table) -> Added {
        self.load(key);
        if let Some(files) = &mut self.files
            && let Err(failure) = files.save(key, &table)
        {
            tell(failure);
        }
        self.cache.add(key, source, table)
    }

    fn load(&mut self, key: &TableKey) {
        if let Some(files) = &mut self.files
            && !self.cache.has(key)
        {
            for (path, table) in files.load(key) {
                let _ = self.cache.add(key, &path, table);
            }
        }
    }
}
