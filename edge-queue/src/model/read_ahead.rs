//! Read-ahead: rows from one read of the store for a consumer's next leases.

use std::collections::VecDeque;

use super::Model;
use crate::row::{Seq, StoredRow};
use crate::store::{ReadLimit, StoredChunk};

/// Most rows and bytes read ahead per consumer and lane, which is also their RAM.
pub(crate) const AHEAD: ReadLimit = ReadLimit { rows: 256, bytes: 64 * 1024 };

/// Stored rows read ahead: all rows from `from` to below `upto`.
#[derive(Default)]
pub(crate) struct ReadAhead {
    from: Seq,
    upto: Seq,
    rows: VecDeque<StoredRow>,
}

impl ReadAhead {
    pub(crate) fn new(from: Seq, upto: Seq, rows: Vec<StoredRow>) -> ReadAhead {
        ReadAhead { from, upto, rows: rows.into() }
    }

    /// Finds the first row at or after `seq`. `None` when that was not read ahead, `Err` with the number below which there is
    /// none, else the row.
    pub(crate) fn seek(&mut self, seq: Seq) -> Option<Result<&StoredRow, Seq>> {
        if seq < self.from || seq >= self.upto {
            return None;
        }
        while self.rows.front().is_some_and(|row| row.seq < seq) {
            self.rows.pop_front();
        }
        self.from = seq;
        Some(self.rows.front().ok_or(self.upto))
    }

    /// Takes out the row that [`ReadAhead::seek`] found; `None` when it found none. If the row is given back it is read again.
    pub(crate) fn take(&mut self) -> Option<StoredRow> {
        let row = self.rows.pop_front()?;
        self.from = row.seq.saturating_add(1);
        Some(row)
    }
}

impl Model {
    /// Replaces a consumer's read-ahead by the rows of a read that [`More::Read`](super::More::Read) asked for. Sequence numbers that the read shows
    /// to be holes are done for all consumers.
    pub(crate) fn offer(&mut self, id: u64, lane: usize, from: Seq, below: Seq, chunk: StoredChunk) {
        let (rows, upto) = self.note_read(lane, from, below, chunk);
        if let Some(cursor) = self.consumer_at(id).and_then(|consumer| self.cursor_mut(consumer, lane)) {
            cursor.fetched = ReadAhead::new(from, upto, rows);
        }
    }
}
