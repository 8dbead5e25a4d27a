//! Salvage of rows from a file that redb refuses: the raw bytes are searched for values, whose own checksums prove them.
//!
//! Old pages hold rows that were removed long ago. Those below a lane's floor are left out (the newest bookkeeping found has the floor); a row
//! acknowledged above the floor may come back only together with the bookkeeping that has its acknowledgement. If no bookkeeping is left, every
//! readable row is kept: a duplicate is better than a loss. An open queue takes only the rows that it knows, because it would give the numbers of
//! others to new rows.

use redb::{Database, ReadableTable};

use super::PAGE_BYTES;
use super::backend::Backend;
use super::panic_fence::Trouble;
use super::table::ROWS;
use super::value::{
    HEAD_MAGIC, Head, PREFIX_BYTES, ROW_MAGIC, RowValue, Totals, decode_head, decode_row, encode_row,
};
use crate::row::{LANES_MAX, Seq};
use crate::state::State;
use crate::store::Options;

/// Bytes read at a time; RAM does not depend on the size of the file.
const WINDOW_BYTES: usize = 1024 * 1024;
/// Bytes that a value may have besides a row's key, meta and payload, or that the bookkeeping may have.
const VALUE_SLACK_BYTES: usize = 256 * 1024;
/// Most rows that one commit copies into the new file.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 512 * 1024;

/// Copies every wanted row from `old` to `new` and returns the bookkeeping to continue with.
pub(super) fn carry_over(
    old: &Backend,
    known: Option<&Head>,
    new: &Database,
    options: &Options,
) -> Result<Head, Trouble> {
    let mut best: Option<Head> = known.cloned();
    let mut generation = 0;
    scan(old, options, HEAD_MAGIC, |bytes| {
        let Ok(found) = decode_head(bytes) else { return Ok(()) };
        generation = found.generation.max(generation);
        match (&mut best, known) {
            // A queue that runs knows best. A commit that failed may be in the file, and what it removed is removed.
            (Some(best), Some(known)) if found.generation == known.generation.saturating_add(1) => {
                best.removed = found.removed;
            }
            (Some(best), None) if best.generation < found.generation => *best = found,
            (best @ None, None) => *best = Some(found),
            _ => {}
        }
        Ok(())
    })?;
    let any_known = best.is_some();
    let mut head = best.unwrap_or_else(|| Head::new(State::new(options.gateway, options.lanes)));
    head.clean = false;
    head.generation = head.generation.max(generation);
    let mut oldest: [Option<(u64, Totals)>; LANES_MAX] = [None; LANES_MAX];
    let mut batch = Batch { new, rows: Vec::new(), bytes: 0 };
    scan(old, options, ROW_MAGIC, |bytes| {
        let Ok(value) = decode_row(bytes) else { return Ok(()) };
        let lane = usize::from(value.row.lane.0);
        let (Some(state), Some(written), Some(removed), Some(first)) = (
            head.state.lane.get(lane),
            head.written.get_mut(lane),
            head.removed.get_mut(lane),
            oldest.get_mut(lane),
        ) else {
            return Ok(());
        };
        let newest = known.and_then(|known| known.written.get(lane)).map_or(Seq::MAX, |(seq, _)| *seq);
        if value.row.seq > newest {
            return Ok(());
        }
        if value.row.seq < state.floor {
            // It stays behind, and is not missing before the rows that come along.
            if value.totals.rows > removed.rows {
                *removed = value.totals;
            }
            return Ok(());
        }
        head.state.epoch = head.state.epoch.max(value.row.epoch);
        if value.row.seq > written.0 {
            *written = (value.row.seq, value.totals);
        }
        if first.is_none_or(|(seq, _)| value.row.seq < seq) {
            let rows = value.totals.rows.saturating_sub(1);
            let weight = value.totals.weight.saturating_sub(u64::from(value.row.weight));
            *first = Some((value.row.seq, Totals { rows, weight }));
        }
        batch.push(value)
    })?;
    batch.flush()?;
    if !any_known {
        // Nobody knows what was removed before the oldest row: count from there.
        for (slot, first) in head.removed.iter_mut().zip(oldest) {
            *slot = first.map_or(Totals::default(), |(_, totals)| totals);
        }
    }
    Ok(head)
}

struct Batch<'a> {
    new: &'a Database,
    rows: Vec<RowValue>,
    bytes: usize,
}

impl Batch<'_> {
    fn push(&mut self, value: RowValue) -> Result<(), Trouble> {
        self.bytes = self.bytes.saturating_add(value.row.payload.len());
        self.rows.push(value);
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        self.bytes = 0;
        let txn = self.new.begin_write().map_err(redb::Error::from)?;
        let mut table = txn.open_table(ROWS).map_err(redb::Error::from)?;
        for value in self.rows.drain(..) {
            let key = (value.row.lane.0, value.row.seq);
            // The same number twice: an unconfirmed row of a crashed run and its successor. The later epoch is it.
            let older = table.get(key).map_err(redb::Error::from)?;
            let older = older.and_then(|guard| decode_row(guard.value()).ok()).map(|found| found.row.epoch);
            if older.is_none_or(|epoch| epoch < value.row.epoch) {
                table
                    .insert(key, encode_row(&value.row, value.totals).as_slice())
                    .map_err(redb::Error::from)?;
            }
        }
        drop(table);
        txn.commit().map_err(|e| redb::Error::from(e).into())
    }
}

/// Calls `found` with the bytes from every occurrence of `magic` on, long enough for the longest value.
fn scan(
    old: &Backend,
    options: &Options,
    magic: [u8; 4],
    mut found: impl FnMut(&[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let overlap = options.row_bytes_max.saturating_add(VALUE_SLACK_BYTES).next_multiple_of(PAGE_BYTES);
    let len = redb::StorageBackend::len(old)?;
    let mut window = Vec::new();
    let mut at: u64 = 0;
    while at < len {
        let want = (WINDOW_BYTES.saturating_add(overlap) as u64).min(len - at);
        window.resize(usize::try_from(want).unwrap_or(0), 0);
        read_tolerant(old, at, &mut window);
        let starts = window.len().min(WINDOW_BYTES);
        for start in 0..starts {
            if let Some(bytes) = window.get(start..)
                && bytes.len() >= PREFIX_BYTES
                && bytes.starts_with(&magic)
            {
                found(bytes)?;
            }
        }
        at = at.saturating_add(WINDOW_BYTES as u64);
    }
    Ok(())
}

/// Reads page by page where the whole window cannot be read; an unreadable page is zeros.
fn read_tolerant(old: &Backend, at: u64, window: &mut [u8]) {
    if redb::StorageBackend::read(old, at, window).is_ok() {
        return;
    }
    let mut offset = at;
    for page in window.chunks_mut(PAGE_BYTES) {
        if redb::StorageBackend::read(old, offset, page).is_err() {
            page.fill(0);
        }
        offset = offset.saturating_add(page.len() as u64);
    }
}
