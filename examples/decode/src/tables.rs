//! Session tables given as files, and payloads decoded with the table that they name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edge_codec::compact::{self, Table};
use edge_codec::{Batch, DecodeError, Format};

use crate::Failure;
use crate::format_name::Kind;
use crate::input::limits;

/// The name by which batches refer to a session table.
pub(crate) type TableId = u64;

/// Returns the name of the table that a payload needs, `None` if it needs none.
pub(crate) fn wanted(Kind(format): Kind, payload: &[u8]) -> Result<Option<TableId>, DecodeError> {
    match format {
        Format::Compact => compact::table_wanted(payload, &limits()),
        _ => Ok(None),
    }
}

/// Decodes a payload; `table` is the one that it needs. `arrival_ms` is for formats that count from it; a file has none.
pub(crate) fn decode<'a>(
    Kind(format): Kind,
    payload: &'a [u8],
    table: Option<&'a Table>,
    arrival_ms: Option<i64>,
) -> Result<Batch<'a>, DecodeError> {
    match (table, arrival_ms) {
        (Some(table), _) => table.decode_batch(payload, &limits()),
        (None, Some(arrival_ms)) => format.decode_at(payload, arrival_ms, &limits()),
        (None, None) => format.decode(payload, &limits()),
    }
}

/// The tables of a command line.
#[derive(Debug, Default)]
pub(crate) struct TableArguments {
    by_id: BTreeMap<TableId, (PathBuf, Table)>,
}

impl TableArguments {
    /// Adds the table of a file. Two different ones of one name are an error: nobody can say which a batch means.
    pub(crate) fn add(&mut self, path: &Path, table: Table) -> Result<(), Failure> {
        let id = table.id();
        match self.by_id.get(&id) {
            Some((first, known)) if known.bytes() != table.bytes() => Err(Failure::Failed(format!(
                "{} and {} are different session tables under one name, {id:016x}",
                first.display(),
                path.display()
            ))),
            _ => {
                self.by_id.insert(id, (path.to_owned(), table));
                Ok(())
            }
        }
    }

    /// Decodes a payload with the table that it needs, if that was given.
    pub(crate) fn decode<'a>(&'a self, kind: Kind, payload: &'a [u8]) -> Result<Batch<'a>, DecodeError> {
        let table = wanted(kind, payload)?.and_then(|id| self.by_id.get(&id));
        decode(kind, payload, table.map(|(_, table)| table), None)
    }
}
