//! Eviction of a whole segment: the store is out of segments although the limits are not reached.
//!
//! Only a whole free segment helps, so rows are evicted only if that frees one: a segment with a leased row stays, and if each has one the push
//! is refused and nothing is evicted for it.

use super::{MadeRoom, Oldest};
use crate::model::Model;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::state::Reason;

impl Model {
    /// Evicts the rows of the oldest segment that becomes free by it, because none of its rows is leased.
    pub(crate) fn make_segment(&mut self, at: usize, up_ms: u64) -> MadeRoom {
        let known = self.lanes.get(at).is_some_and(|lane| lane.segments.is_some());
        if !known || planted(Flaw::FloorOnly) {
            return self.give_up_oldest(at, Seq::MAX, up_ms);
        }
        let mut tried = None;
        while let Some((first, last)) = self.oldest_free_of_leases(at).filter(|found| tried != Some(*found)) {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.head.pass_to(Some(first));
            }
            match self.give_up_oldest(at, last, up_ms) {
                // Its last rows went in an earlier call, or were holes: the next commit frees it.
                MadeRoom::Nothing if !self.holds_wanted(at, first, last) => {
                    self.anticipate(at, 0);
                    return MadeRoom::Freed;
                }
                // A consumer has no range for it.
                MadeRoom::Nothing => tried = Some((first, last)),
                found => return found,
            }
        }
        MadeRoom::Nothing
    }

    /// Finds the oldest segment in which a row is wanted and none is leased. Returns its first and last number; `None` if there is none.
    fn oldest_free_of_leases(&self, at: usize) -> Option<(Seq, Seq)> {
        let leased =
            |first, last| self.cursors(at).any(|cursor| cursor.leased.range(first..=last).next().is_some());
        let mut segments = self.lanes.get(at)?.segments.iter().flatten().copied();
        segments.find(|&(first, last)| self.holds_wanted(at, first, last) && !leased(first, last))
    }

    pub(in crate::model) fn holds_wanted(&self, at: usize, first: Seq, last: Seq) -> bool {
        match self.consumers.is_empty() {
            true => self.lanes.get(at).is_some_and(|lane| last >= lane.floor),
            false => self.cursors(at).any(|cursor| !cursor.pos.covers(first, last)),
        }
    }

    /// Counts space as free that the store frees after the next commit: `freed_stored` bytes, but at least half a segment, because commits are
    /// padded and its rows may have been few.
    fn anticipate(&mut self, at: usize, freed_stored: u64) {
        let half = self.rules.segment_bytes / 2;
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.room = lane.room.saturating_add(freed_stored.max(half));
        }
    }

    /// Evicts unleased rows, the oldest first: those up to the number `last`, or with `Seq::MAX` those of a segment's size.
    fn give_up_oldest(&mut self, at: usize, last: Seq, up_ms: u64) -> MadeRoom {
        let goal = if last == Seq::MAX { self.rules.segment_bytes } else { u64::MAX };
        let (mut freed, mut freed_stored) = (0u64, 0u64);
        while freed < goal && !self.lanes.get(at).is_some_and(|lane| lane.head.is_beyond(last)) {
            match self.oldest_from_here(at) {
                // Rows that lie in no segment, or in another, free none.
                Oldest::Row(seq, size) if seq > last || (freed > 0 && self.waits(at, seq)) => {
                    if let Some(lane) = self.lanes.get_mut(at) {
                        lane.head.rows.push_front((seq, size));
                    }
                    break;
                }
                Oldest::Row(seq, size) => {
                    freed_stored += if self.waits(at, seq) { 0 } else { size.bytes };
                    self.evict(at, seq, size, Reason::Fragmented, false, up_ms);
                    freed = freed.saturating_add(size.bytes);
                }
                Oldest::NeedHead if freed == 0 || last < Seq::MAX => return MadeRoom::NeedHead,
                Oldest::Nothing if freed == 0 => return MadeRoom::Nothing,
                Oldest::Nothing | Oldest::NeedHead => break,
            }
        }
        if freed == 0 {
            return MadeRoom::Nothing;
        }
        if freed_stored > 0 {
            self.anticipate(at, freed_stored);
        }
        MadeRoom::Freed
    }
}
