//! Session tables by name, and batches read with them.

use std::collections::{BTreeMap, VecDeque};

use edge_codec::compact::{self, Table};
use edge_codec::{Batch, DecodeError, Format};

use crate::format::Kind;
use crate::input::limits;

/// A table with plans takes some MiB of memory at most, some ten KiB per sensor.
const TABLES_MAX: usize = 256;

/// The newest tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    by_id: BTreeMap<u32, Table>,
    /// Oldest first.
    order: VecDeque<u32>,
}

impl Tables {
    /// Whether it is a new one.
    pub(crate) fn insert(&mut self, table: Table) -> bool {
        let id = table.id();
        if self.by_id.insert(id, table).is_some() {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > TABLES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        true
    }

    pub(crate) fn knows(&self, id: u32) -> bool {
        self.by_id.contains_key(&id)
    }

    /// `arrival_ms` is for formats that count from it; a file has none.
    pub(crate) fn decode<'a>(
        &'a self,
        kind: Kind,
        payload: &'a [u8],
        arrival_ms: Option<i64>,
    ) -> Result<Batch<'a>, DecodeError> {
        let limits = limits();
        let Kind(format) = kind;
        if format == Format::Compact
            && let Some(id) = compact::table_wanted(payload, &limits)?
            && let Some(table) = self.by_id.get(&id)
        {
            return table.decode_batch(payload, &limits);
        }
        match arrival_ms {
            Some(arrival_ms) => format.decode_at(payload, arrival_ms, &limits),
            None => format.decode(payload, &limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use edge_codec::SensorTable;

    use super::*;

    #[test]
    fn the_oldest_tables_are_forgotten() {
        let mut tables = Tables::default();
        let made: Vec<Table> = (0..=TABLES_MAX as u32).map(|n| Table::new(n, &SensorTable::new())).collect();
        assert!(made.iter().all(|table| tables.insert(table.clone())));
        assert!(!tables.insert(made[1].clone()), "known");
        assert!(!tables.knows(made[0].id()) && tables.knows(made[1].id()));
    }
}
