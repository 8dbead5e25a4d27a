//! Eviction: the policy of a full lane drops its newest row, its oldest one ([`oldest_row_sizes`]) or, if the store has no segment left, a
//! [`whole_segment`] of them; a [`slow_consumer`] beyond limits of its own loses rows alone. Leased rows stay.

mod oldest_row_sizes;
mod slow_consumer;
mod whole_segment;

use super::{ConsumerModel, Done, Model};
use crate::error::Limit;
use crate::model::usage::Size;
use crate::planted_flaw::{Flaw, planted};
use crate::receipt::Receipt;
use crate::row::Seq;
use crate::state::Reason;

pub(crate) use oldest_row_sizes::{HEAD_ROWS_MAX, Oldest, OldestRows};
pub(super) use slow_consumer::may_lease;

/// Outcome of an attempt to make room in a full lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MadeRoom {
    Freed,
    /// The sizes of the oldest rows must be read first.
    NeedHead,
    /// No row can be evicted.
    Nothing,
}

impl Model {
    /// Drops the row that was just added. It has a sequence number, so that its loss can be reported.
    pub(super) fn drop_newest(&mut self, at: usize, limit: Limit, up_ms: u64) {
        let reason = if limit == Limit::Region { Reason::Fragmented } else { Reason::Overflow };
        let Some(newest) = self.lanes.get(at).map(|l| l.next.saturating_sub(1)) else { return };
        let Some(size) = self.lanes.get(at).and_then(|l| l.tail.at_or_after(newest)).map(Size::of) else {
            return;
        };
        self.evict(at, newest, size, reason, true, up_ms);
    }

    /// Evicts as the limit requires: the oldest row, or a whole segment if the store is short of them.
    pub(super) fn make_room(&mut self, at: usize, limit: Limit, up_ms: u64) -> MadeRoom {
        if limit == Limit::Region {
            return self.make_segment(at, up_ms);
        }
        match self.oldest(at) {
            Oldest::Row(seq, size) => {
                self.evict(at, seq, size, Reason::Overflow, false, up_ms);
                MadeRoom::Freed
            }
            Oldest::NeedHead => MadeRoom::NeedHead,
            Oldest::Nothing => MadeRoom::Nothing,
        }
    }

    fn must_stay(&self, at: usize, seq: Seq) -> bool {
        self.leased(at, seq) && !planted(Flaw::LeasedEvicted)
    }

    /// Evicts a row for every consumer that still wants it. `newest` is set for the row that was just added.
    pub(super) fn evict(
        &mut self,
        at: usize,
        seq: Seq,
        size: Size,
        reason: Reason,
        newest: bool,
        up_ms: u64,
    ) {
        if self.consumers.is_empty() {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.counts.dropped.add(reason, size.weight);
                if !newest {
                    lane.floor = lane.floor.max(seq.saturating_add(1));
                }
                lane.tail.note_end(seq, Receipt::Settled(reason));
            }
            return self.remove(at, seq, size, up_ms);
        }
        for consumer in 0..self.consumers.len() {
            let open = |r: &ConsumerModel| r.lanes.get(at).is_some_and(|cursor| !cursor.pos.is_done(seq));
            if self.consumers.get(consumer).is_some_and(open) {
                self.give_up(consumer, at, seq, size, reason, up_ms);
            }
        }
    }

    /// Drops a row for one consumer. If it was leased before, overflow counts as [`Reason::OverflowUnconfirmed`].
    pub(super) fn give_up(
        &mut self,
        consumer: usize,
        at: usize,
        seq: Seq,
        size: Size,
        reason: Reason,
        up_ms: u64,
    ) {
        let handed = |r: &ConsumerModel| r.lanes.get(at).is_some_and(|cursor| cursor.handed.contains(seq));
        let unconfirmed = reason == Reason::Overflow && self.consumers.get(consumer).is_some_and(handed);
        let reason = if unconfirmed { Reason::OverflowUnconfirmed } else { reason };
        self.done(consumer, at, seq, size, Done::Dropped(reason), up_ms);
    }
}
