//! Reads rows and notices missing ones: each row tells how many rows its lane had before it.

use redb::{Database, ReadableDatabase};

use super::RedbStore;
use super::panic_fence::{Trouble, fence};
use super::table::ROWS;
use super::value::{Totals, decode_row};
use crate::row::{LANES_MAX, Lane, Seq};
use crate::store::{Lost, ReadLimit, StoredChunk};

/// State that reading keeps between calls.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Row at which the last read of each lane ended, and the lane's totals there, so that a read that goes on needs no look
    /// back.
    place: [Option<(Seq, Totals)>; LANES_MAX],
}

impl Walk {
    pub(super) fn forget_place(&mut self) {
        self.place = [None; LANES_MAX];
    }
}

/// A scan under way: what it found survives a panic of redb in the middle.
struct Scan {
    chunk: StoredChunk,
    bytes: usize,
    next: Seq,
    /// Number up to which every row is accounted for, and the lane's totals there; `None` before the first look.
    before: Option<(Seq, Totals)>,
    /// Set when no row is missing between `before` and where the scan began.
    sure: bool,
    full: bool,
}

impl RedbStore {
    pub(super) fn read_chunk(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, Trouble> {
        let below = self.below.get(usize::from(lane.0)).copied().unwrap_or(1);
        let next = from.max(below);
        let place = self.walk.place.get(usize::from(lane.0)).copied().flatten();
        let before = place.filter(|(seq, _)| seq.checked_add(1) == Some(next));
        let mut scan = Scan {
            chunk: StoredChunk::default(),
            bytes: 0,
            next,
            before,
            sure: before.is_some(),
            full: false,
        };
        let mut result = self.scan(lane, limit, &mut scan);
        // A failed handle is opened anew and a damaged file rebuilt, once each; then the answer stands.
        for _ in 0..2 {
            match &result {
                Ok(()) => break,
                Err(Trouble::Damaged(why)) => self.rebuild(&why.clone())?,
                Err(_) => {
                    self.failed = true;
                    self.ensure_open()?;
                }
            }
            result = self.scan(lane, limit, &mut scan);
        }
        result?;
        if !scan.full {
            self.account_for_end(lane, &mut scan);
        }
        if let Some(slot) = self.walk.place.get_mut(usize::from(lane.0)) {
            *slot = scan.before;
        }
        scan.chunk.next = scan.full.then_some(scan.next);
        Ok(scan.chunk)
    }

    fn scan(&mut self, lane: Lane, limit: ReadLimit, scan: &mut Scan) -> Result<(), Trouble> {
        if self.db.is_none() {
            self.ensure_open()?;
        }
        let Some(db) = &self.db else { return Ok(()) };
        let removed = self.head.removed.get(usize::from(lane.0)).copied().unwrap_or_default();
        let hidden = &self.hidden;
        fence(|| {
            if scan.before.is_none() {
                let (totals, sure) = look_back(db, lane, scan.next, removed)?;
                (scan.before, scan.sure) = (Some((scan.next.saturating_sub(1), totals)), sure);
            }
            let txn = db.begin_read().map_err(redb::Error::from)?;
            let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
            let range = (lane.0, scan.next)..=(lane.0, Seq::MAX);
            for entry in table.range(range).map_err(redb::Error::from)? {
                let (key, value) = entry.map_err(redb::Error::from)?;
                let (_, seq) = key.value();
                if hidden.contains(&(lane.0, seq)) {
                    continue;
                }
                let row = match decode_row(value.value()) {
                    Ok(found) if (found.row.lane, found.row.seq) == (lane, seq) => found,
                    // The next sound row, or the end, says how much is missing.
                    _ => continue,
                };
                let size = row.row.key.len() + row.row.meta.len() + row.row.payload.len();
                let rows = scan.chunk.rows.len();
                if rows >= limit.rows.max(1) || (rows > 0 && scan.bytes.saturating_add(size) > limit.bytes) {
                    scan.full = true;
                    return Ok(());
                }
                scan.note_gap(seq, row.totals, u64::from(row.row.weight));
                scan.bytes = scan.bytes.saturating_add(size);
                scan.next = seq.saturating_add(1);
                scan.chunk.rows.push(row.row);
            }
            Ok(())
        })
    }

    /// Reports what was written after the last row found as lost, once a scan has come to the end.
    fn account_for_end(&self, lane: Lane, scan: &mut Scan) {
        let Some((last, totals)) = self.head.written.get(usize::from(lane.0)).copied() else { return };
        if scan.before.is_some_and(|(seq, _)| seq < last) && scan.next <= last {
            // As if a row without weight of its own stood right behind the last number written.
            let behind = Totals { rows: totals.rows.saturating_add(1), weight: totals.weight };
            scan.note_gap(last.saturating_add(1), behind, 0);
            scan.before = Some((last, totals));
        }
    }
}

impl Scan {
    /// Notes a row at `seq`, and reports the rows as lost that its totals count beyond those of the row before it.
    fn note_gap(&mut self, seq: Seq, totals: Totals, own_weight: u64) {
        if let Some((before, at)) = self.before {
            let rows = totals.rows.saturating_sub(at.rows).saturating_sub(1);
            let weight = totals.weight.saturating_sub(at.weight).saturating_sub(own_weight);
            let (first, last) = (before.saturating_add(1), seq.saturating_sub(1));
            // What is missing below the first number asked for is not this reader's.
            if rows > 0 && first <= last {
                let rows = rows.min(last - first + 1);
                self.chunk.lost.push(Lost { first, last, rows, weight: weight.max(rows), exact: self.sure });
            }
        }
        (self.before, self.sure) = (Some((seq, totals)), true);
    }
}

/// Returns the totals of the last sound row before `from`, or of what was removed before the oldest row; and whether no row can
/// be missing between it and `from`.
fn look_back(db: &Database, lane: Lane, from: Seq, removed: Totals) -> Result<(Totals, bool), Trouble> {
    let txn = db.begin_read().map_err(redb::Error::from)?;
    let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
    let mut damaged: u64 = 0;
    for entry in table.range((lane.0, 0)..(lane.0, from)).map_err(redb::Error::from)?.rev() {
        let (_, value) = entry.map_err(redb::Error::from)?;
        match decode_row(value.value()) {
            Ok(found) if found.row.lane == lane && found.row.seq < from => {
                // Damaged ones in between belong to whoever reads there.
                let rows = found.totals.rows.saturating_add(damaged);
                let weight = found.totals.weight.saturating_add(damaged);
                return Ok((Totals { rows, weight }, found.row.seq.saturating_add(1) == from));
            }
            // A damaged page can lead to rows that were not asked for.
            Ok(_) => {}
            Err(_) => damaged = damaged.saturating_add(1),
        }
    }
    Ok((removed, damaged == 0))
}
