//! Pinned rows: leased rows of a lane, each counted once however many consumers lease it. Eviction can never free them.
//!
//! Kept as a running sum, so that a push at a limit knows before the first eviction whether evicting will make room.

use crate::error::Limit;
use crate::model::Model;
use crate::model::lane::LaneModel;
use crate::model::usage::Size;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;

impl Model {
    /// Counts a row that `consumer` is about to lease.
    pub(super) fn pin(&mut self, consumer: usize, lane: usize, seq: Seq, size: Size) {
        if !self.leased_by_another(consumer, lane, seq)
            && let Some(l) = self.lanes.get_mut(lane)
        {
            l.pinned.add(size);
        }
    }

    /// Ends a lease of `consumer`; `None` when it has none of this row.
    pub(super) fn release(&mut self, consumer: usize, lane: usize, seq: Seq) -> Option<Size> {
        let size = self.cursor_mut(consumer, lane)?.release(seq)?;
        self.unpin(consumer, lane, seq, size);
        Some(size)
    }

    /// Uncounts a row that `consumer` no longer leases, unless another consumer still does.
    pub(super) fn unpin(&mut self, consumer: usize, lane: usize, seq: Seq, size: Size) {
        if !self.leased_by_another(consumer, lane, seq)
            && let Some(l) = self.lanes.get_mut(lane)
        {
            l.pinned.sub(size);
        }
    }

    fn leased_by_another(&self, consumer: usize, lane: usize, seq: Seq) -> bool {
        let mut others = self.consumers.iter().enumerate().filter(|(at, _)| *at != consumer);
        others.any(|(_, r)| r.lanes.get(lane).is_some_and(|cursor| cursor.leased.contains_key(&seq)))
    }

    /// Returns the limit that refuses a row of this size even after every possible eviction; `None` when the row can fit. A push that cannot
    /// succeed must be refused before it evicts other rows.
    pub(super) fn never_fits(&self, lane: usize, size: Size) -> Option<Limit> {
        let l = self.lanes.get(lane)?;
        if planted(Flaw::EvictedForNothing) {
            return None;
        }
        if l.pinned.weight.saturating_add(size.weight) > l.limits.messages {
            return Some(Limit::Messages);
        }
        if l.pinned.bytes.saturating_add(size.bytes) > l.limits.bytes {
            return Some(Limit::Bytes);
        }
        self.region_never_fits(l, lane, size).then_some(Limit::Region)
    }

    /// Returns whether the store has no room for the row and eviction gives it none: every stored row is leased, and so are
    /// too many of those that wait.
    fn region_never_fits(&self, l: &LaneModel, lane: usize, size: Size) -> bool {
        let unwritten = l.tail.unwritten_bytes();
        if unwritten.saturating_add(size.bytes) <= l.room {
            return false;
        }
        let evictable = l.usage.bytes.saturating_sub(l.pinned.bytes);
        let pinned = self.pinned_unwritten(l, lane);
        let stored_evictable = evictable.saturating_sub(unwritten.saturating_sub(pinned)) > 0;
        !stored_evictable && pinned.saturating_add(size.bytes) > l.room
    }

    /// Returns the bytes of leased rows that are in no commit yet. Goes through the unwritten rows once, and only without room in
    /// the store.
    fn pinned_unwritten(&self, l: &LaneModel, lane: usize) -> u64 {
        let leased = |seq: Seq| self.cursors(lane).any(|cursor| cursor.leased.contains_key(&seq));
        l.tail.unwritten().filter(|row| leased(row.seq)).map(|row| Size::of(row).bytes).sum()
    }
}
