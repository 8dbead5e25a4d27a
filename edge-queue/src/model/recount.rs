//! Recount of the wanted rows of a lane, from its floor to its end, while pushes and acknowledgements go on.
//!
//! Totals are running sums. When a consumer is removed, only a read can tell which of its rows others still want; and a row lost to damage has no
//! known size. From then on the lane's totals are inexact, which is marked ([`LaneModel::recount_due`](super::LaneModel::recount_due), durable
//! with its figures), and until a count has succeeded no limit drops or refuses anything because of them.

use crate::model::Model;
use crate::model::count_pass::CountPass;
use crate::model::usage::{Size, Usage};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::store::StoredChunk;
use crate::time::Now;

/// Pause in milliseconds after a count that a failing read ended, so that an ailing disk is not read at every commit.
const AGAIN_AFTER_MS: u64 = 1_000;

/// State of recounts: the reason why totals may be inexact, and the count under way.
#[derive(Default)]
pub(super) struct Recounts {
    /// Set after an unclean stop, because a lane's totals may be inexact until that lane is empty.
    uncertain: bool,
    /// Count under way, `None` between counts. The store is held for all of it, so consumers neither come nor go.
    under_way: Option<CountPass>,
    /// Up time in milliseconds before which no count is tried again after one that failed.
    not_before_ms: u64,
}

impl Recounts {
    pub(super) fn new(uncertain: bool) -> Recounts {
        Recounts { uncertain, ..Recounts::default() }
    }

    pub(super) fn under_way(&mut self) -> Option<&mut CountPass> {
        self.under_way.as_mut()
    }

    fn failed(&mut self, now: &Now) {
        self.under_way = None;
        self.not_before_ms = now.up_ms.saturating_add(AGAIN_AFTER_MS);
    }
}

impl Model {
    /// Marks a lane's totals as possibly including rows that no consumer wants.
    pub(super) fn recount_later(&mut self, lane: usize) {
        if let Some(l) = self.lanes.get_mut(lane) {
            l.recount_due = true;
            l.dirty = true;
        }
    }

    /// Returns the lanes whose totals must be counted again; none while it is too early for another try.
    pub(crate) fn recounts_due(&self, now: &Now) -> Vec<usize> {
        if self.recounts.not_before_ms > now.up_ms {
            return Vec::new();
        }
        (0..self.lanes.len()).filter(|at| self.lanes.get(*at).is_some_and(|l| l.recount_due)).collect()
    }

    /// Abandons the count under way, which a read error ended. The next one may begin [`AGAIN_AFTER_MS`] later.
    pub(crate) fn recount_failed(&mut self, now: &Now) {
        self.recounts.failed(now);
        if planted(Flaw::RecountForgotten) {
            self.lanes.iter_mut().for_each(|l| l.recount_due = false);
        }
    }

    /// Starts a new count of a lane. Returns the sequence number to read from, and the one to read below.
    pub(crate) fn recount_start(&mut self, lane: usize) -> Option<(Seq, Seq)> {
        self.follow_floors();
        let l = self.lanes.get(lane)?;
        let (from, below) = (l.floor, l.tail.from());
        self.recounts.under_way = Some(CountPass::new(self, lane, from));
        Some((from, below))
    }

    /// Counts the rows of one read, and returns the sequence number to continue from; `None` at the end.
    pub(crate) fn recount_read(&mut self, from: Seq, below: Seq, chunk: StoredChunk) -> Option<Seq> {
        let mut pass = self.recounts.under_way.take()?;
        pass.lost.extend_from_slice(&chunk.lost);
        let (rows, upto) = self.note_read(pass.lane, from, below, chunk);
        rows.iter().for_each(|row| pass.add(self, row));
        pass.at = upto;
        self.recounts.under_way = Some(pass);
        (upto < below).then_some(upto)
    }

    /// Adds the rows in RAM and puts the new totals in place.
    pub(crate) fn recount_finish(&mut self, below: Seq, up_ms: u64) {
        let Some(lane) = self.recounts.under_way.as_ref().map(|pass| pass.lane) else { return };
        self.sweep(lane, up_ms);
        let Some(mut pass) = self.recounts.under_way.take() else { return };
        pass.finish(self, below);
        for (consumer, open) in pass.open.iter().enumerate() {
            if let Some(cursor) = self.cursor_mut(consumer, lane) {
                let held: u64 = pass.held(cursor, below).map(|(_, size)| size.bytes).sum();
                (cursor.pos.queued_bytes, cursor.dirty) = (open.bytes.saturating_add(held), true);
            }
        }
        if let Some(l) = self.lanes.get_mut(lane) {
            (l.usage, l.recount_due, l.dirty) = (pass.usage, false, true);
        }
        self.due.require();
    }

    /// Clears the totals of a lane once everything in it is done, after an unclean stop. Rows that a ledger still claims were
    /// there once, so they count as lost.
    pub(super) fn settle_totals(&mut self, consumer: usize, lane: usize) {
        let Some(l) = self.lanes.get_mut(lane) else { return };
        if !self.recounts.uncertain {
            return;
        }
        if let Some(cursor) = self.consumers.get_mut(consumer).and_then(|r| r.lanes.get_mut(lane)) {
            if cursor.pos.floor < l.next {
                return;
            }
            if cursor.queued > 0 {
                cursor.lose_unseen(cursor.queued);
            }
        }
        if self.consumers.iter().filter_map(|r| r.lanes.get(lane)).all(|p| p.pos.floor >= l.next) {
            l.usage = Usage::default();
        }
    }

    /// Removes rows in RAM that no consumer wants any more.
    pub(super) fn sweep(&mut self, lane: usize, up_ms: u64) {
        let mut seq = 0;
        while let Some(row) = self.lanes.get(lane).and_then(|l| l.tail.at_or_after(seq)) {
            let size = Size::of(row);
            seq = row.seq;
            if !self.wanted(lane, seq) {
                self.remove(lane, seq, size, up_ms);
            }
            seq = seq.saturating_add(1);
        }
    }
}
