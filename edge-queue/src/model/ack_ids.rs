//! Acknowledgement by identity: rows that a receipt names are done for a consumer, whether they are leased or not.
//!
//! A lease of such a row ends with it: what its holder does with it afterwards changes nothing, as with any lease that has ended.

use crate::acked_ids::{AckedIds, IdRange};
use crate::model::Model;
use crate::model::cursor::Done;
use crate::model::usage::Size;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::store::StoredChunk;

impl Model {
    /// Returns the next rows to read for a range, from a number on: the first number, and the one past the last. `None` when
    /// the rest of the range is done.
    pub(crate) fn next_to_ack(&self, id: u64, range: &IdRange, from: Seq) -> Option<(Seq, Seq)> {
        let lane = usize::from(range.first.lane.0);
        let pos = &self.consumers.get(self.consumer_at(id)?)?.lanes.get(lane)?.pos;
        let below = range.last.saturating_add(1).min(self.lanes.get(lane)?.next);
        let from = from.max(pos.floor);
        let from = pos.range_of(from).map_or(from, |(_, last)| last.saturating_add(1));
        (from < below).then_some((from, below))
    }

    /// Acknowledges the rows of one read that are in the range, and returns the number at which the read ended.
    pub(crate) fn ack_read(
        &mut self,
        id: u64,
        range: &IdRange,
        (from, below): (Seq, Seq),
        chunk: StoredChunk,
        up_ms: u64,
        acked: &mut AckedIds,
    ) -> Seq {
        let lane = usize::from(range.first.lane.0);
        let (rows, upto) = self.note_read(lane, from, below, chunk);
        let named = |epoch: u32| epoch == range.first.epoch || planted(Flaw::AckedWithoutEpoch);
        for row in rows.iter().filter(|row| named(row.epoch)) {
            self.ack_row(id, lane, row.seq, Size::of(row), up_ms, acked);
        }
        upto
    }

    fn ack_row(&mut self, id: u64, lane: usize, seq: Seq, size: Size, up_ms: u64, acked: &mut AckedIds) {
        let Some(consumer) = self.consumer_at(id).filter(|_| !self.closed) else { return };
        let range_free = self.range_free(consumer);
        let Some(cursor) = self.cursor_mut(consumer, lane) else { return };
        // A row whose acknowledgement waits for a range is done too.
        let parked = cursor.leased.get(&seq).is_some_and(|out| out.parked.is_some());
        if cursor.pos.is_done(seq) || parked {
            return;
        }
        if !range_free && cursor.pos.grows_with(seq) {
            acked.no_range += 1;
            return;
        }
        if !planted(Flaw::AckedLeaseKept) && self.release(consumer, lane, seq).is_some() {
            self.lease_timeouts.next_turn();
        }
        self.finish(consumer, lane, (seq, size, Done::Delivered), up_ms);
        acked.acked += 1;
    }
}
