//! Reading of rows with detection of missing ones: each row has the number of rows in its lane before it.

use std::collections::BTreeSet;
use std::io;

use redb::{Database, ReadableDatabase};

use super::RedbStore;
use super::panic_fence::{Trouble, fence};
use super::table::ROWS;
use super::table_state::{Astray, Order, TableState, check, out_of_place};
use super::value::{Totals, decode_row};
use crate::fault::FaultKind;
use crate::row::{LANES_MAX, Lane, Seq};
use crate::store::{Lost, ReadLimit, StoredChunk};

/// State of reading between calls.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Row at which the last read of each lane ended, and the lane's totals there, so that the next read can continue without a search backwards.
    place: [Option<(Seq, Totals)>; LANES_MAX],
}

impl Walk {
    pub(super) fn forget_place(&mut self) {
        self.place = [None; LANES_MAX];
    }
}

/// Most times that a read begins anew, after its file was opened again or rebuilt.
const AGAIN_MAX: u32 = 2;

/// A scan under way.
struct Scan {
    chunk: StoredChunk,
    bytes: usize,
    next: Seq,
    /// Sequence number up to which every row is accounted for, and the lane's totals there; `None` before the first look.
    before: Option<(Seq, Totals)>,
    /// Set if no row is missing between `before` and the begin of the scan.
    sure: bool,
    full: bool,
    /// Entries after `before` that cannot be decoded as rows.
    unreadable: u64,
    /// First and last number of each range in which more rows are missing than entries are unreadable, because a search of redb followed a
    /// damaged page.
    astray: Vec<(Seq, Seq)>,
}

impl RedbStore {
    pub(super) fn read_chunk(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, Trouble> {
        let mut again = 0;
        let scan = loop {
            let mut scan = self.begin(lane, from);
            let result = self.scan(lane, limit, &mut scan);
            // A failed handle is opened anew and a damaged file rebuilt, once each; then the answer stands.
            match result {
                Ok(()) => break scan,
                Err(e) if again == AGAIN_MAX => return Err(e),
                Err(Trouble::Damaged(why)) => self.rebuild_to_read(&why)?,
                Err(_) => {
                    self.failed = true;
                    self.ensure_open()?;
                }
            }
            again += 1;
        };
        if let Some(slot) = self.walk.place.get_mut(usize::from(lane.0)) {
            *slot = scan.before;
        }
        Ok(StoredChunk { next: scan.full.then_some(scan.next), ..scan.chunk })
    }

    fn begin(&self, lane: Lane, from: Seq) -> Scan {
        let below = self.below.get(usize::from(lane.0)).copied().unwrap_or(1);
        let next = from.max(below);
        let place = self.walk.place.get(usize::from(lane.0)).copied().flatten();
        let before = place.filter(|(seq, _)| seq.checked_add(1) == Some(next));
        Scan {
            chunk: StoredChunk::default(),
            bytes: 0,
            next,
            before,
            sure: before.is_some(),
            full: false,
            unreadable: 0,
            astray: Vec::new(),
        }
    }

    /// Rebuilds the file for a read. If the disk is full or refuses a new file, the rows that the damaged one still returns are read, and the
    /// rest is lost.
    fn rebuild_to_read(&mut self, why: &str) -> Result<(), Trouble> {
        match self.rebuild(why) {
            Err(Trouble::Io(e)) if has_no_place(&e) && !self.table.is_given_up() => {
                self.table.give_up();
                self.ensure_open()
            }
            other => other,
        }
    }

    fn scan(&mut self, lane: Lane, limit: ReadLimit, scan: &mut Scan) -> Result<(), Trouble> {
        if self.db.is_none() {
            self.ensure_open()?;
        }
        let Some(db) = &self.db else { return Ok(()) };
        let removed = self.head.removed.get(usize::from(lane.0)).copied().unwrap_or_default();
        let given_up = self.table.is_given_up();
        fence(|| {
            if scan.before.is_none() {
                let (totals, sure) = look_back(db, lane, scan.next, removed, given_up)?;
                (scan.before, scan.sure) = (Some((scan.next.saturating_sub(1), totals)), sure);
            }
            scan.take_rows(db, lane, limit, &self.hidden, given_up)
        })?;
        if !scan.full {
            self.account_for_end(lane, scan);
        }
        if self.table.is_open() && !self.is_told(lane, &scan.astray) {
            fence(|| check(db))?;
            self.table = TableState::Sound;
        }
        Ok(())
    }

    /// Returns whether no consumer wants rows with these numbers any more, because an earlier loss of them was reported.
    fn is_told(&self, lane: Lane, missing: &[(Seq, Seq)]) -> bool {
        if missing.is_empty() {
            return true;
        }
        let done = self.head.state.done(lane);
        missing.iter().all(|(first, last)| done.covers(*first, *last))
    }

    /// Reports rows written after the last row found as lost, when a scan has come to the end.
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
    fn take_rows(
        &mut self,
        db: &Database,
        lane: Lane,
        limit: ReadLimit,
        hidden: &BTreeSet<(u8, Seq)>,
        given_up: bool,
    ) -> Result<(), Trouble> {
        let txn = db.begin_read().map_err(redb::Error::from)?;
        let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
        let range = (lane.0, self.next)..=(lane.0, Seq::MAX);
        let (mut order, mut astray) = (Order::from(lane, self.next), Astray::default());
        for entry in table.range(range).map_err(redb::Error::from)? {
            let (key, value) = entry.map_err(redb::Error::from)?;
            let key = key.value();
            let found = decode_row(value.value());
            if !order.admits(key, found.as_ref().ok()) {
                if given_up {
                    astray.pass_over()?;
                    continue;
                }
                return Err(out_of_place());
            }
            astray.ends();
            if hidden.contains(&key) {
                continue;
            }
            let Ok(row) = found else {
                // The next sound row, or the end, says how much is missing.
                self.unreadable = self.unreadable.saturating_add(1);
                continue;
            };
            let size = row.row.key.len() + row.row.meta.len() + row.row.payload.len();
            let rows = self.chunk.rows.len();
            if rows >= limit.rows.max(1) || (rows > 0 && self.bytes.saturating_add(size) > limit.bytes) {
                self.full = true;
                return Ok(());
            }
            self.note_gap(row.row.seq, row.totals, u64::from(row.row.weight));
            self.bytes = self.bytes.saturating_add(size);
            self.next = row.row.seq.saturating_add(1);
            self.chunk.rows.push(row.row);
        }
        Ok(())
    }

    /// Accounts for a row at `seq`, and reports the rows as lost that its totals count beyond those of the row before it.
    fn note_gap(&mut self, seq: Seq, totals: Totals, own_weight: u64) {
        if let Some((before, at)) = self.before {
            let rows = totals.rows.saturating_sub(at.rows).saturating_sub(1);
            let weight = totals.weight.saturating_sub(at.weight).saturating_sub(own_weight);
            let (first, last) = (before.saturating_add(1), seq.saturating_sub(1));
            // What is missing below the first number asked for is not this reader's.
            if rows > 0 && first <= last {
                let rows = rows.min(last - first + 1);
                if rows > self.unreadable {
                    self.astray.push((first, last));
                }
                self.chunk.lost.push(Lost { first, last, rows, weight: weight.max(rows), exact: self.sure });
            }
        }
        (self.before, self.sure, self.unreadable) = (Some((seq, totals)), true, 0);
    }
}

/// Returns whether the disk can store no new file now: it is full, or read-only.
fn has_no_place(e: &io::Error) -> bool {
    matches!(FaultKind::of_call(e), FaultKind::DiskFull | FaultKind::ReadOnly)
}

/// Returns the totals of the last undamaged row before `from`, or of the rows removed before the oldest one; and whether no row can be missing
/// between it and `from`.
fn look_back(
    db: &Database,
    lane: Lane,
    from: Seq,
    removed: Totals,
    given_up: bool,
) -> Result<(Totals, bool), Trouble> {
    let txn = db.begin_read().map_err(redb::Error::from)?;
    let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
    let (mut damaged, mut above, mut astray) = (0u64, (lane.0, from), Astray::default());
    for entry in table.range((lane.0, 0)..(lane.0, from)).map_err(redb::Error::from)?.rev() {
        let (key, value) = entry.map_err(redb::Error::from)?;
        let (of, seq) = key.value();
        match decode_row(value.value()) {
            Ok(found) if (found.row.lane.0, found.row.seq) == (of, seq) && of == lane.0 && seq < from => {
                // Damaged ones in between belong to whoever reads there.
                let rows = found.totals.rows.saturating_add(damaged);
                let weight = found.totals.weight.saturating_add(damaged);
                return Ok((Totals { rows, weight }, seq.saturating_add(1) == from));
            }
            // Damaged pages can lead round in a circle.
            Err(_) if (of, seq) < above => {
                damaged = damaged.saturating_add(1);
                above = (of, seq);
            }
            _ if given_up => astray.pass_over()?,
            _ => return Err(out_of_place()),
        }
    }
    Ok((removed, damaged == 0))
}
