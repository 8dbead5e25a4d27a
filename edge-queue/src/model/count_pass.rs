//! Count of a lane's rows: one reading of all its stored rows adds up the rows that each consumer still wants, while pushes and acknowledgements
//! go on. A [recount](super::recount) and the reckoning of [damage](super::damage) make it.
//!
//! A row that is done meanwhile is subtracted only if the pass has added it before. A row that damage took may still be leased:
//! the pass does not find it, but it counts until its lease ends.

use std::collections::BTreeMap;

use crate::model::usage::{Size, Usage};
use crate::model::{Cursor, Model};
use crate::row::{Seq, StoredRow};
use crate::store::Lost;

/// A count that is under way, and its totals so far.
pub(super) struct CountPass {
    pub(super) lane: usize,
    /// Sequence number below which the pass has read every row.
    pub(super) at: Seq,
    /// Damage that the pass met.
    pub(super) lost: Vec<Lost>,
    /// Totals of the rows read so far that some consumer wants.
    pub(super) usage: Usage,
    /// Totals of the rows read so far that each consumer has not acknowledged, in the order of registration.
    pub(super) open: Vec<Usage>,
}

impl CountPass {
    /// Begins a pass at the number `at`.
    pub(super) fn new(model: &Model, lane: usize, at: Seq) -> CountPass {
        let open = vec![Usage::default(); model.consumers.len()];
        CountPass { lane, at, lost: Vec::new(), usage: Usage::default(), open }
    }

    /// Adds a row if some consumer wants it.
    pub(super) fn add(&mut self, model: &Model, row: &StoredRow) {
        if !model.wanted(self.lane, row.seq) {
            return;
        }
        let size = Size::of(row);
        self.usage.add(size);
        let wanted = self.open.iter_mut().zip(model.cursors(self.lane));
        wanted.filter(|(_, cursor)| !cursor.pos.is_done(row.seq)).for_each(|(open, _)| open.add(size));
    }

    /// Adds the rows in RAM, from `below` on, and leased rows below it that damage took.
    pub(super) fn finish(&mut self, model: &Model, below: Seq) {
        let mut seq = below;
        while let Some(row) = model.lanes.get(self.lane).and_then(|l| l.tail.at_or_after(seq)) {
            seq = row.seq.saturating_add(1);
            self.add(model, row);
        }
        self.held_by_any(model, below).for_each(|size| self.usage.add(size));
    }

    /// Subtracts a row that is done for one consumer, if the pass has counted it.
    pub(super) fn done(&mut self, consumer: usize, lane: usize, seq: Seq, size: Size) {
        if self.has_read(lane, seq)
            && let Some(open) = self.open.get_mut(consumer)
        {
            open.sub(size);
        }
    }

    /// Subtracts a row that no consumer wants any more, if the pass has counted it.
    pub(super) fn removed(&mut self, lane: usize, seq: Seq, size: Size) {
        if self.has_read(lane, seq) {
            self.usage.sub(size);
        }
    }

    /// Returns whether the pass has reached a row and could read it.
    fn has_read(&self, lane: usize, seq: Seq) -> bool {
        lane == self.lane && seq < self.at && !self.has_lost(seq)
    }

    fn has_lost(&self, seq: Seq) -> bool {
        self.lost.iter().any(|lost| (lost.first..=lost.last).contains(&seq))
    }

    /// Returns the rows below `below` that a consumer has leased although damage took them.
    pub(super) fn held<'a>(
        &'a self,
        cursor: &'a Cursor,
        below: Seq,
    ) -> impl Iterator<Item = (Seq, Size)> + 'a {
        let gone = move |seq: Seq| seq < below && self.has_lost(seq);
        cursor.leased.iter().filter(move |(seq, _)| gone(**seq)).map(|(seq, out)| (*seq, out.size))
    }

    /// Returns the rows below `below` that any consumer has leased although damage took them, each once.
    fn held_by_any(&self, model: &Model, below: Seq) -> impl Iterator<Item = Size> + use<> {
        let held: BTreeMap<Seq, Size> =
            model.cursors(self.lane).flat_map(|cursor| self.held(cursor, below)).collect();
        held.into_values()
    }
}
