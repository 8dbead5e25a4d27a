//! The session tables that were ever seen, in memory and, if wanted, in a folder.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file per table")]

use std::fs;
use std::path::{Path, PathBuf};

use edge_codec::DecodeError;
use edge_codec::compact::Table;

use crate::tables::Tables;
use crate::{Failure, input};

const EXTENSION: &str = "table";

#[derive(Debug)]
pub(super) struct KnownTables {
    tables: Tables,
    dir: Option<PathBuf>,
}

impl KnownTables {
    /// A file that is no table is told and left alone.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Failure> {
        let mut tables = Tables::default();
        if let Some(dir) = dir {
            let failed = |error: std::io::Error| Failure::io(dir.display(), &error);
            fs::create_dir_all(dir).map_err(failed)?;
            for entry in fs::read_dir(dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_none_or(|extension| extension != EXTENSION) {
                    continue;
                }
                match input::table(&path) {
                    Ok(table) => {
                        table.map(|table| tables.insert(table));
                    }
                    Err(failure) => eprintln!("edge-decode: {failure}"),
                }
            }
        }
        Ok(Self { tables, dir: dir.map(Path::to_owned) })
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The name of the table, if it is a new one.
    pub(super) fn learn(&mut self, bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
        let table = Table::decode(bytes, &input::limits())?;
        let id = table.id();
        if self.tables.knows(id) {
            return Ok(None);
        }
        if let Some(dir) = &self.dir
            && let Err(failure) = input::save_table(&dir.join(format!("{id:07x}.{EXTENSION}")), &table)
        {
            eprintln!("edge-decode: {failure}");
        }
        self.tables.insert(table);
        Ok(Some(id))
    }
}
