//! Reference implementation of the contract of [`store`](crate::store), in as few lines as possible.

use std::collections::BTreeMap;

use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::{DoneRows, ReadLimit, Store, StoreError, StoreStats, StoredChunk};

/// A store whose whole content is a sorted map.
#[derive(Clone, Debug)]
pub struct ModelStore {
    stage: Vec<StoredRow>,
    rows: BTreeMap<(Lane, Seq), StoredRow>,
    state: State,
    stats: StoreStats,
}

impl ModelStore {
    /// An empty store whose bookkeeping is `state`.
    pub fn new(state: State) -> ModelStore {
        ModelStore { stage: Vec::new(), rows: BTreeMap::new(), state, stats: StoreStats::default() }
    }

    /// The bookkeeping of the last commit.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Committed rows not yet given up.
    pub fn rows(&self) -> &BTreeMap<(Lane, Seq), StoredRow> {
        &self.rows
    }
}

impl Store for ModelStore {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.stage.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, _changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.rows.extend(self.stage.drain(..).map(|row| ((row.lane, row.seq), row)));
        self.state.clone_from(state);
        self.stats.commits += 1;
        Ok(())
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        let mut chunk = StoredChunk::default();
        let mut bytes = 0;
        for ((_, seq), row) in self.rows.range((lane, from)..=(lane, Seq::MAX)) {
            bytes += row.key.len() + row.meta.len() + row.payload.len();
            if !chunk.rows.is_empty() && (chunk.rows.len() >= limit.rows || bytes > limit.bytes) {
                chunk.next = Some(*seq);
                break;
            }
            chunk.rows.push(row.clone());
        }
        Ok(chunk)
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.rows.retain(|&(of, seq), _| of != lane || !done.covers(seq, seq));
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        self.stats
    }
}
