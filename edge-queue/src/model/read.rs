//! Handling of rows read from the store: sizes for eviction, and holes between sequence numbers.

use crate::model::damage::mark_between;
use crate::model::evict::HEAD_ROWS_MAX;
use crate::model::usage::{Size, Usage};
use crate::model::{Cursor, Model};
use crate::row::{Seq, StoredRow};
use crate::store::{ReadLimit, StoredChunk};

/// Limit of one read of the oldest rows. Their payloads are dropped at once.
pub(crate) const HEAD_READ: ReadLimit = ReadLimit { rows: HEAD_ROWS_MAX / 2, bytes: 256 * 1024 };

impl Model {
    /// Returns the rows of a read that some consumer still wants, for an export, and the number at which the read ended. Consumes nothing.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub(crate) fn look_at(
        &mut self,
        lane: usize,
        from: Seq,
        below: Seq,
        chunk: StoredChunk,
    ) -> (Vec<StoredRow>, Seq) {
        let (mut rows, upto) = self.note_read(lane, from, below, chunk);
        rows.retain(|row| self.wanted(lane, row.seq));
        (rows, upto)
    }

    /// Returns the oldest rows to read (first number, and the one past the last) if eviction needs or will need their sizes, else
    /// `None`.
    pub(crate) fn head_wanted(&mut self, lane: usize, only_if_near_full: bool) -> Option<(Seq, Seq)> {
        let l = self.lanes.get(lane)?;
        if only_if_near_full && !l.wants_head() {
            return None;
        }
        let (from, below) = (l.head.upto.max(l.floor), l.tail.from());
        let from = self.behind_leases(lane, from, below);
        let l = self.lanes.get_mut(lane)?;
        l.head.upto = from.max(l.head.upto);
        (from < below).then_some((from, below))
    }

    /// Returns the first number from `from` on that is neither leased nor done for everybody, at most `below`: leased rows stay, and to read all of
    /// them takes more tries than a push has. One that comes back moves the place to look from.
    fn behind_leases(&self, lane: usize, from: Seq, below: Seq) -> Seq {
        let mut at = from;
        while at < below {
            let run = |cursor: &Cursor| {
                let leased = cursor.leased.range(at..below).map(|(seq, _)| *seq);
                leased.zip(at..).take_while(|(seq, expected)| seq == expected).count() as u64
            };
            let leased = self.cursors(lane).map(run).max().unwrap_or(0);
            let done = self.cursors(lane).map(|cursor| cursor.pos.behind_done(at)).min().unwrap_or(at);
            match at.saturating_add(leased).max(done) {
                behind if behind > at => at = behind,
                _ => break,
            }
        }
        at.min(below.max(from))
    }

    /// Adds the sizes of the oldest rows, read from `from`.
    pub(crate) fn fill_head(&mut self, lane: usize, from: Seq, below: Seq, chunk: StoredChunk) {
        let (rows, upto) = self.note_read(lane, from, below, chunk);
        let wanted: Vec<(Seq, Size)> = rows
            .iter()
            .filter(|row| self.wanted(lane, row.seq) && !self.leased(lane, row.seq))
            .map(|row| (row.seq, Size::of(row)))
            .collect();
        let Some(l) = self.lanes.get_mut(lane) else { return };
        // A lease given back since the read was planned has moved the place to look from.
        if l.head.upto.max(l.floor) == from {
            l.head.rows.extend(wanted);
            l.head.upto = upto;
        }
    }

    /// Counts rows that are missing in the durable bookkeeping, from `known_next` on: rows of a commit that a crash interrupted, which had no
    /// receipt, and rows that are newer than a damaged bookkeeping. Lost rows among them count as accepted too.
    pub(crate) fn adopt_tail(&mut self, lane: usize, known_next: Seq, chunk: &StoredChunk) {
        for row in chunk.rows.iter().filter(|row| row.seq >= known_next) {
            let size = Size::of(row);
            if self.wanted(lane, row.seq) || self.consumers.is_empty() {
                self.take_over(
                    lane,
                    (row.seq, row.seq),
                    Usage { rows: 1, weight: size.weight, bytes: size.bytes },
                );
            }
        }
        for lost in chunk.lost.iter().filter(|lost| lost.last >= known_next) {
            let first = lost.first.max(known_next);
            let rows = lost.rows.min(lost.last - first + 1);
            let weight = lost.weight.saturating_sub(lost.rows - rows);
            self.take_over(lane, (first, lost.last), Usage { rows, weight, bytes: 0 });
        }
    }

    fn take_over(&mut self, lane: usize, (first, last): (Seq, Seq), usage: Usage) {
        for cursor in self.consumers.iter_mut().filter_map(|r| r.lanes.get_mut(lane)) {
            if !cursor.pos.covers(first, last) {
                cursor.accept(usage.weight, usage.bytes);
            }
        }
        if let Some(l) = self.lanes.get_mut(lane) {
            l.usage.add_all(&usage);
            l.dirty = true;
        }
        self.due.require();
    }

    /// Marks sequence numbers done that a read shows to be holes. Returns the rows below `below`, and the number at which the read ended.
    pub(super) fn note_read(
        &mut self,
        lane: usize,
        from: Seq,
        below: Seq,
        chunk: StoredChunk,
    ) -> (Vec<StoredRow>, Seq) {
        let StoredChunk { mut rows, next, lost } = chunk;
        if let (Some(l), Some(row)) = (self.lanes.get_mut(lane), rows.last()) {
            l.newest_read = Some((row.seq, row.stamp.wall_ms));
        }
        rows.retain(|row| row.seq >= from && row.seq < below);
        let upto = next.unwrap_or(below).clamp(from.saturating_add(1), below.max(from.saturating_add(1)));
        // Numbers between are holes: elided rows of an earlier run, or a torn last commit. What is lost was settled when it was
        // read, and a lease given back since then is still to be settled. Rows that no finished commit holds are no holes:
        // an export reads up to the newest row, and one may have come since its commit.
        let end = self.lanes.get(lane).map_or(upto, |l| l.tail.stored_below().min(upto));
        let mut at = from;
        let found = rows.iter().map(|row| (row.seq, row.seq)).chain([(end, end)]);
        let mut seen: Vec<(Seq, Seq)> =
            found.chain(lost.iter().map(|lost| (lost.first, lost.last))).collect();
        seen.sort_unstable();
        for (first, last) in seen {
            if at < first.min(end) {
                for cursor in self.consumers.iter_mut().filter_map(|r| r.lanes.get_mut(lane)) {
                    if !cursor.pos.covers(at, first.min(end) - 1) {
                        mark_between(cursor, at, first.min(end) - 1);
                    }
                }
            }
            at = at.max(last.saturating_add(1));
        }
        for consumer in 0..self.consumers.len() {
            self.settle_totals(consumer, lane);
        }
        (rows, upto)
    }
}
