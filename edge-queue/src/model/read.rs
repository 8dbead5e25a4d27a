//! What reads of the store brought: rows to lease, sizes for eviction, holes and damage.

use crate::model::lane::{HEAD_ROWS_MAX, Size, Usage};
use crate::model::place::Fetched;
use crate::model::{LaneModel, Model};
use crate::row::{Seq, StoredRow};
use crate::state::{GapRecord, Reason};
use crate::store::{Chunk, Lost, ReadLimit};

/// One read of the oldest rows. Their payloads are dropped at once.
pub(crate) const HEAD_READ: ReadLimit = ReadLimit { rows: HEAD_ROWS_MAX / 2, bytes: 256 * 1024 };

/// Totals counted anew after a consumer was forgotten, while pushes and acknowledgements go on.
pub(super) struct Recount {
    pub(super) lane: usize,
    /// Rows below are counted.
    pub(super) at: Seq,
    pub(super) usage: Usage,
}

impl Model {
    /// Rows for a consumer's next leases, read for [`More::Read`](super::More::Read).
    pub(crate) fn offer(&mut self, id: u64, lane: usize, from: Seq, below: Seq, chunk: Chunk, up_ms: u64) {
        let (rows, upto) = self.note_read(lane, from, below, chunk, up_ms);
        if let Some(place) = self.reader_at(id).and_then(|reader| self.place_mut(reader, lane)) {
            place.fetched = Fetched::new(from, upto, rows);
        }
    }

    /// Rows somebody still wants, for a look at the backlog that changes nothing but what damage did; and where the
    /// read ended.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub(crate) fn look_at(
        &mut self,
        lane: usize,
        from: Seq,
        below: Seq,
        chunk: Chunk,
        up_ms: u64,
    ) -> (Vec<StoredRow>, Seq) {
        let (mut rows, upto) = self.note_read(lane, from, below, chunk, up_ms);
        rows.retain(|row| self.wanted(lane, row.seq));
        (rows, upto)
    }

    /// Where to read the oldest rows, if eviction needs or will need them.
    pub(crate) fn head_wanted(&mut self, lane: usize, only_if_near_full: bool) -> Option<(Seq, Seq)> {
        let l = self.lanes.get_mut(lane)?;
        if only_if_near_full && !l.wants_head() {
            return None;
        }
        let (from, below) = (l.head.upto.max(l.floor), l.window.from());
        (from < below).then_some((from, below))
    }

    /// The oldest rows, read from `from`.
    pub(crate) fn fill_head(&mut self, lane: usize, from: Seq, below: Seq, chunk: Chunk, up_ms: u64) {
        let (rows, upto) = self.note_read(lane, from, below, chunk, up_ms);
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

    /// Rows found beyond the durable bookkeeping after a crash inside a commit: on the medium, never receipted.
    pub(crate) fn adopt_tail(&mut self, lane: usize, rows: &[StoredRow]) {
        for row in rows {
            let size = Size::of(row);
            if !self.wanted(lane, row.seq) && !self.readers.is_empty() {
                continue;
            }
            for place in self.readers.iter_mut().filter_map(|r| r.lanes.get_mut(lane)) {
                if !place.pos.is_done(row.seq) {
                    place.accept(size.weight, size.bytes);
                }
            }
            if let Some(l) = self.lanes.get_mut(lane) {
                l.usage.add(size);
                l.dirty = true;
            }
            self.must_write = true;
        }
    }

    /// Starts counting a lane's live rows anew.
    pub(crate) fn recount_start(&mut self, lane: usize) -> Option<(Seq, Seq)> {
        let l = self.lanes.get(lane)?;
        self.recount = Some(Recount { lane, at: l.floor, usage: Usage::default() });
        Some((l.floor, l.window.from()))
    }

    /// Counts what one read brought; gives where to read on.
    pub(crate) fn recount_read(&mut self, from: Seq, below: Seq, chunk: Chunk, up_ms: u64) -> Option<Seq> {
        let lane = self.recount.as_ref()?.lane;
        let (rows, upto) = self.note_read(lane, from, below, chunk, up_ms);
        let live: Vec<Size> = rows.iter().filter(|r| self.wanted(lane, r.seq)).map(Size::of).collect();
        let recount = self.recount.as_mut()?;
        live.into_iter().for_each(|size| recount.usage.add(size));
        recount.at = upto;
        (upto < below).then_some(upto)
    }

    /// Adds the rows in RAM and puts the new totals in place.
    pub(crate) fn recount_finish(&mut self, below: Seq, up_ms: u64) {
        let Some(mut recount) = self.recount.take() else { return };
        let lane = recount.lane;
        let mut seq = below;
        while let Some(row) = self.lanes.get(lane).and_then(|l| l.window.at_or_after(seq)) {
            seq = row.seq;
            let size = Size::of(row);
            if self.wanted(lane, seq) {
                recount.usage.add(size);
            } else {
                self.remove(lane, seq, size, up_ms);
            }
            seq = seq.saturating_add(1);
        }
        if let Some(l) = self.lanes.get_mut(lane) {
            l.usage = recount.usage;
            l.dirty = true;
        }
    }

    /// Takes in what a read says besides rows; gives the rows below `below` and where the read ended.
    pub(super) fn note_read(
        &mut self,
        lane: usize,
        from: Seq,
        below: Seq,
        chunk: Chunk,
        up_ms: u64,
    ) -> (Vec<StoredRow>, Seq) {
        let Chunk { mut rows, next, lost } = chunk;
        rows.retain(|row| row.seq >= from && row.seq < below);
        let upto = next.unwrap_or(below).clamp(from.saturating_add(1), below.max(from.saturating_add(1)));
        for lost in &lost {
            self.lose(lane, lost, up_ms);
        }
        // Numbers between are holes: elided rows of an earlier run, or a torn last commit.
        let mut at = from;
        for end in rows.iter().map(|row| row.seq).chain([upto]) {
            if at < end {
                for place in self.readers.iter_mut().filter_map(|r| r.lanes.get_mut(lane)) {
                    if !place.pos.covers(at, end - 1) {
                        mark_between(place, at, end - 1);
                    }
                }
            }
            at = end.saturating_add(1);
        }
        for reader in 0..self.readers.len() {
            self.settle_totals(reader, lane);
        }
        (rows, upto)
    }

    fn lose(&mut self, lane: usize, lost: &Lost, up_ms: u64) {
        let Some(l) = self.lanes.get_mut(lane) else { return };
        // Neighbours' headers may bound the loss by rows that are live: those in RAM are not lost.
        let last = lost.last.min(l.window.from().saturating_sub(1));
        if lost.first > last {
            return;
        }
        self.uncertain = true;
        self.damaged = true;
        let mut anyone = self.readers.is_empty();
        for place in self.readers.iter_mut().filter_map(|r| r.lanes.get_mut(lane)) {
            if place.pos.covers(lost.first, last) {
                continue;
            }
            anyone = true;
            let weight = lost.weight.min(place.queued);
            mark_between(place, lost.first, last);
            place.lose(weight);
            let (first_seq, last_seq) = (lost.first, last);
            let (first_ms, last_ms, reason) = (0, 0, Reason::Quarantined);
            if weight > 0 {
                place.pos.add_gap(GapRecord {
                    first_seq,
                    last_seq,
                    first_ms,
                    last_ms,
                    count: weight,
                    reason,
                });
            }
        }
        if anyone && let Some(l) = self.lanes.get_mut(lane) {
            take_lost(l, lost);
            l.counts.drop_for(Reason::Quarantined, lost.weight);
        }
        self.bound_gaps();
        self.lag(lost.rows, up_ms);
    }
}

/// Marks done what is neither leased nor waiting to be.
fn mark_between(place: &mut super::Place, first: Seq, last: Seq) {
    let leased: Vec<Seq> = place.leased.range(first..=last).map(|(seq, _)| *seq).collect();
    let mut at = first;
    for seq in leased {
        if at < seq {
            place.pos.mark(at, seq - 1);
        }
        at = seq.saturating_add(1);
    }
    if at <= last {
        place.pos.mark(at, last);
    }
    place.dirty = true;
}

/// A lost row's size is unknown; the lane's average stands for it.
fn take_lost(lane: &mut LaneModel, lost: &Lost) {
    let usage = &mut lane.usage;
    let rows = lost.rows.min(usage.rows);
    let share = u128::from(usage.bytes) * u128::from(rows) / u128::from(usage.rows.max(1));
    usage.bytes -= u64::try_from(share).unwrap_or(usage.bytes).min(usage.bytes);
    usage.rows -= rows;
    usage.weight = usage.weight.saturating_sub(lost.weight);
    lane.dirty = true;
}
