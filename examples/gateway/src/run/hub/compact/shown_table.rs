//! Table that the hub has echoed, decoded and with its encoder while batches refer to it. Both are caches that can be dropped at any time: the
//! next batch decodes the table again.

use std::sync::Arc;

use edge_codec::compact::{Encoder, Level, Table};

use crate::run::filters::reading_row::ReadingRow;

use super::super::batch::{Head, Piece, pieces};
use super::sensor_numbers::Names;
use super::versions::Versions;

/// Table that batches may refer to.
#[derive(Debug)]
pub(super) struct ShownTable {
    pub(super) id: u64,
    /// Generation of the topic's numbers when the table was made.
    generation: u64,
    decoded: Option<Decoded>,
}

#[derive(Debug)]
struct Decoded {
    table: Arc<Table>,
    table_bytes: usize,
    /// The table's own numbers of the sensors, if the topic's have changed since. `None`: both are the same.
    names: Option<Names>,
    /// Encoder against the table, which caches the plan of each sensor.
    encoder: Option<Encoder>,
    encoder_bytes: usize,
}

impl ShownTable {
    pub(super) fn new(id: u64, generation: u64) -> Self {
        Self { id, generation, decoded: None }
    }

    /// Decodes the table, if it is not. `names`: the topic's numbers. Returns `false` if its bytes made room in memory.
    pub(super) fn open(&mut self, versions: &Versions, names: &Names) -> bool {
        if self.decoded.is_some() {
            return true;
        }
        let Some(table) = versions.find(self.id).and_then(|announced| announced.decode()) else {
            return false;
        };
        let is_alike = self.generation == names.generation();
        let names = if is_alike { None } else { Names::of(&table) };
        let (table_bytes, table) = (table.memory_bytes(), Arc::new(table));
        self.decoded = Some(Decoded { table, table_bytes, names, encoder: None, encoder_bytes: 0 });
        true
    }

    /// Drops what was decoded, and the encoder. Returns `false` if there was nothing.
    pub(super) fn close(&mut self) -> bool {
        self.decoded.take().is_some()
    }

    pub(super) fn drop_encoder(&mut self) {
        self.decoded.iter_mut().for_each(|decoded| (decoded.encoder, decoded.encoder_bytes) = (None, 0));
    }

    /// Keeps the table's own numbers, because those of the topic have changed.
    pub(super) fn keep_numbers(&mut self) {
        let decoded = self.decoded.iter_mut().filter(|decoded| decoded.names.is_none());
        decoded.for_each(|decoded| decoded.names = Names::of(&decoded.table));
    }

    pub(super) fn table(&self) -> Option<&Table> {
        self.decoded.as_ref().map(|decoded| &*decoded.table)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.decoded.as_ref().map_or(0, |decoded| {
            let names = decoded.names.as_ref().map_or(0, Names::memory_bytes);
            decoded.table_bytes + names + decoded.encoder_bytes
        })
    }

    /// Returns whether the table has the row's sensor. `names`: the topic's numbers.
    pub(super) fn knows(&self, names: &Names, row: &ReadingRow<'_>) -> bool {
        self.decoded.as_ref().is_some_and(|decoded| {
            let names = decoded.names.as_ref().unwrap_or(names);
            let number = names.find(&row.sensor, &row.unit);
            number.is_some_and(|number| (number as usize) < decoded.table.sensors().len())
        })
    }

    /// Encodes rows against the table. `numbers` are those of the topic. `None`: the table lacks a sensor, or is not open.
    pub(super) fn encode(
        &mut self,
        level: Level,
        head: Head,
        rows: &[(u64, ReadingRow<'_>)],
        numbers: &[u32],
        max_bytes: usize,
    ) -> Option<Vec<Piece>> {
        let decoded = self.decoded.as_mut()?;
        let numbers = decoded.numbers(numbers, rows)?;
        let encoder = decoded.encoder.take().filter(|_| head.id.is_some());
        let mut encoder = encoder.unwrap_or_else(|| Encoder::with_table(decoded.table.clone()).level(level));
        let pieces = pieces(&mut encoder, head, rows, &numbers, max_bytes);
        // One that found no room for its rows still has them: they come again, and must not be in another batch.
        let encoder = Some(encoder).filter(|encoder| encoder.is_empty());
        decoded.encoder_bytes = encoder.as_ref().map_or(0, Encoder::memory_bytes);
        decoded.encoder = encoder;
        Some(pieces)
    }
}

impl Decoded {
    /// Returns the table's numbers of these rows' sensors, if it has all of them. `numbers` are those of the topic.
    fn numbers(&self, numbers: &[u32], rows: &[(u64, ReadingRow<'_>)]) -> Option<Vec<u32>> {
        let Some(names) = &self.names else {
            let len = self.table.sensors().len();
            return numbers.iter().all(|number| (*number as usize) < len).then(|| numbers.to_vec());
        };
        rows.iter().map(|(_, row)| names.find(&row.sensor, &row.unit)).collect()
    }
}
