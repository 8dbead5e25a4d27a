//! Store in RAM: for tests and for sites without flash. Receipts of a queue on it are `Volatile`.

use std::collections::BTreeMap;

use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::{DoneRows, Options, ReadLimit, Recovered, Store, StoreError, StoreStats, StoredChunk};

/// [`Store`] in RAM, whose rows are lost when it is dropped.
#[derive(Debug)]
pub struct Memory {
    staged: Vec<StoredRow>,
    lanes: [BTreeMap<Seq, StoredRow>; LANES_MAX],
    commits: u64,
}

impl Memory {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Memory {
        Memory { staged: Vec::new(), lanes: std::array::from_fn(|_| BTreeMap::new()), commits: 0 }
    }

    /// Creates an empty store, with the state that a queue needs to start on it.
    #[must_use]
    pub fn open(options: &Options) -> (Memory, Recovered) {
        let mut state = State::new(options.gateway, options.lanes);
        state.epoch = 1;
        (Memory::new(), Recovered::clean(state))
    }

    fn lane_mut(&mut self, lane: Lane) -> Option<&mut BTreeMap<Seq, StoredRow>> {
        self.lanes.get_mut(usize::from(lane.0))
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

impl Store for Memory {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.staged.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, _changes: &[Change], _state: &State) -> Result<(), StoreError> {
        for row in std::mem::take(&mut self.staged) {
            if let Some(lane) = self.lane_mut(row.lane) {
                lane.insert(row.seq, row);
            }
        }
        self.commits += 1;
        Ok(())
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        let mut chunk = StoredChunk::default();
        let mut bytes = 0usize;
        let Some(rows) = self.lane_mut(lane) else { return Ok(chunk) };
        for (seq, row) in rows.range(from..) {
            let size = row.key.len() + row.meta.len() + row.payload.len();
            let full = chunk.rows.len() >= limit.rows.max(1) || bytes.saturating_add(size) > limit.bytes;
            if full && !chunk.rows.is_empty() {
                chunk.next = Some(*seq);
                break;
            }
            bytes = bytes.saturating_add(size);
            chunk.rows.push(row.clone());
        }
        Ok(chunk)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        if let Some(rows) = self.lane_mut(lane) {
            for (first, last) in done.ranges() {
                while let Some((&seq, _)) = rows.range(first..=last).next() {
                    rows.remove(&seq);
                }
            }
        }
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        StoreStats { commits: self.commits, ..StoreStats::default() }
    }
}
