//! State of one lane: sequence numbers, totals and the rows in RAM.

use crate::config::{LaneLimits, Rules};
use crate::event::Event;
use crate::model::evict::{HEAD_ROWS_MAX, OldestRows};
use crate::model::ram_tail::RamTail;
use crate::model::read_fault::ReadFaults;
use crate::model::usage::Usage;
use crate::planted_flaw::{Flaw, planted};
use crate::row::{Lane, ROW_OVERHEAD_BYTES, Row, Seq, StoredRow};
use crate::state::{Dropped, LaneState, Reason};
use crate::store::{DoneRows, Lost};
use crate::time::Now;

/// Weight of rows since the open by their outcome, for statistics; counted even while no consumer is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) handed_over: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: Dropped,
}

/// Bookkeeping of one lane: its counters, limits and waiting rows.
pub(crate) struct LaneModel {
    pub(crate) id: Lane,
    pub(crate) limits: LaneLimits,
    pub(crate) next: Seq,
    /// Sequence number below which the lane has no row any more; follows the consumers' floors at each commit.
    pub(crate) floor: Seq,
    pub(crate) usage: Usage,
    /// Rows that some consumer has leased, each counted once.
    pub(crate) pinned: Usage,
    pub(crate) tail: RamTail,
    pub(crate) head: OldestRows,
    /// Bytes of the lane's rows that the store can still take.
    pub(crate) room: u64,
    /// First and last number of each segment with rows, as [`Store::segments`](crate::store::Store::segments) returned them last; `None` while
    /// room is not short.
    pub(crate) segments: Option<Vec<(Seq, Seq)>>,
    told_pinned: bool,
    /// Done rows whose space was given back to the store.
    pub(crate) advanced: DoneRows,
    /// Set when the lane's figures changed since the last commit began.
    pub(crate) dirty: bool,
    /// Set when `usage` may include rows that no consumer wants: see [`recount`](super::recount).
    pub(crate) recount_due: bool,
    pub(crate) counts: Counts,
    /// Sequence number and wall time of the last row of the latest read; `None` before the first read.
    pub(crate) newest_read: Option<(Seq, i64)>,
    /// Places of the lane whose reads the medium does not answer.
    pub(crate) read_faults: ReadFaults,
}

impl LaneModel {
    pub(crate) fn new(id: Lane, limits: LaneLimits, state: LaneState, next: Seq) -> LaneModel {
        LaneModel {
            id,
            limits,
            next,
            floor: state.floor,
            usage: Usage::of(&state),
            pinned: Usage::default(),
            tail: RamTail::new(next),
            head: OldestRows::above(state.floor),
            room: u64::MAX,
            segments: None,
            told_pinned: false,
            advanced: DoneRows::default(),
            dirty: false,
            recount_due: state.recount_due,
            counts: Counts::default(),
            newest_read: None,
            read_faults: ReadFaults::default(),
        }
    }

    /// Gives a row its sequence number and adds it to the waiting rows; it is not counted yet.
    #[inline]
    pub(super) fn take_in(&mut self, row: Row, epoch: u32, now: &Now) -> Seq {
        let seq = self.next;
        self.next = seq.saturating_add(1);
        let Row { payload, meta, key, ttl_ms, expiry, weight, .. } = row;
        let (lane, stamp, weight) = (self.id, *now, weight.max(1));
        self.tail.push(StoredRow { lane, seq, epoch, stamp, ttl_ms, expiry, weight, key, meta, payload });
        seq
    }

    /// Subtracts a loss from the totals. A lost row's size is unknown; the lane's average stands for it.
    pub(super) fn take_lost(&mut self, lost: &Lost) {
        let usage = &mut self.usage;
        let rows = lost.rows.min(usage.rows);
        let share = u128::from(usage.bytes) * u128::from(rows) / u128::from(usage.rows.max(1));
        usage.bytes -= u64::try_from(share).unwrap_or(usage.bytes).min(usage.bytes);
        usage.rows -= rows;
        usage.weight = usage.weight.saturating_sub(lost.weight);
        usage.end();
        self.counts.dropped.add(Reason::Quarantined, lost.weight);
        self.dirty = true;
    }

    /// Returns the figures without the rows that wait, because a commit must not count rows that a later one will write.
    pub(crate) fn state(&self) -> LaneState {
        let (mut usage, mut next) = (self.usage, self.next);
        if !planted(Flaw::WaitingCounted) {
            usage.sub_all(self.tail.waiting());
            next = next.min(self.tail.waiting_from());
        }
        let Usage { rows, weight, bytes } = usage;
        LaneState { next, floor: self.floor, rows, weight, bytes, recount_due: self.recount_due }
    }

    /// Returns whether the store has little room left, so that eviction will soon have to choose segments.
    pub(crate) fn is_short(&self, rules: &Rules) -> bool {
        self.room < rules.segment_bytes.saturating_mul(2).saturating_add(rules.max_unwritten_bytes)
    }

    /// Returns whether the store has hardly room for another row although less than half of the limits is queued.
    fn is_pinned(&self) -> bool {
        let row = (self.limits.row_bytes_max as u64).saturating_add(ROW_OVERHEAD_BYTES);
        self.room < row && self.usage.bytes < self.limits.bytes / 2
    }

    /// Reports a lane that became pinned, once until it has room again; `None` if nothing changed.
    pub(crate) fn tell_pinned(&mut self) -> Option<Event> {
        let news = self.is_pinned() && !self.told_pinned;
        self.told_pinned =
            self.is_pinned() || (self.told_pinned && self.usage.bytes >= self.limits.bytes / 2);
        let segments = self.segments.as_ref().map_or(0, Vec::len) as u64;
        news.then_some(Event::Pinned { lane: self.id, segments, bytes: self.usage.bytes })
    }

    /// Returns whether eviction will soon need more sizes of the oldest rows than are known, because a limit is near.
    pub(crate) fn wants_head(&self) -> bool {
        let near = |used: u64, limit: u64| used >= limit - limit / 8;
        self.head.rows.len() < HEAD_ROWS_MAX / 8
            && self.head.upto < self.tail.from()
            && (near(self.usage.weight, self.limits.messages) || near(self.usage.bytes, self.limits.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::usage::Size;

    const SIZE: Size = Size { weight: 1, bytes: 100, wall_ms: 0 };

    /// A lane of 80 rows and 8 000 bytes, whose rows from number 11 on are in RAM.
    fn lane(rows: u64) -> LaneModel {
        let known = Config::default().lanes(1).rules().lanes.first().copied().unwrap();
        let limits = LaneLimits { messages: 80, bytes: 8_000, row_bytes_max: 68, ..known };
        let state =
            LaneState { floor: 1, next: 11, rows, weight: rows, bytes: rows * 100, recount_due: false };
        LaneModel::new(Lane(0), limits, state, 11)
    }

    #[test]
    fn a_loss_of_unknown_size_takes_its_share_of_the_bytes() {
        let mut l = lane(10);
        l.usage.weight = 20;
        let lost = Lost { first: 1, last: 9, rows: 3, weight: 5, exact: false };
        l.take_lost(&lost);
        assert_eq!(l.usage, Usage { rows: 7, weight: 15, bytes: 700 });
        l.take_lost(&Lost { rows: 99, ..lost });
        assert_eq!(l.usage, Usage::default());
        assert!(l.dirty && l.counts.dropped.for_reason(Reason::Quarantined) == 10);
    }

    #[test]
    fn sizes_are_read_ahead_in_the_last_eighth_of_a_limit() {
        let wants = |weight, bytes| {
            let mut l = lane(1);
            (l.usage.weight, l.usage.bytes) = (weight, bytes);
            l.wants_head()
        };
        assert!(wants(70, 0) && wants(0, 7_000) && !wants(69, 6_999));
        let mut l = lane(80);
        l.head = OldestRows::above(5);
        l.head.rows.extend([(1, SIZE); HEAD_ROWS_MAX / 8 - 1]);
        assert!(l.wants_head());
        l.head.rows.push_back((1, SIZE));
        assert!(!l.wants_head(), "enough are known");
        l.head = OldestRows::above(11);
        assert!(!l.wants_head(), "the others are in RAM");
    }

    #[test]
    fn a_store_is_short_of_room_below_two_segments_and_what_may_wait() {
        let rules = Config::default().rules();
        let mut l = lane(1);
        l.room = 2 * rules.segment_bytes + rules.max_unwritten_bytes;
        assert!(!l.is_short(&rules));
        l.room -= 1;
        assert!(l.is_short(&rules));
    }

    #[test]
    fn a_lane_that_pinned_rows_fill_is_told_once_until_it_has_room_or_is_half_full() {
        let mut l = lane(1);
        let mut told = |room, bytes| {
            (l.room, l.usage.bytes) = (room, bytes);
            l.tell_pinned().is_some()
        };
        assert!(!told(100, 3_999), "a row just fits");
        assert!(!told(99, 4_000), "half of what the limit allows is there");
        assert!(told(99, 3_999) && !told(99, 3_999));
        assert!(!told(99, 4_000) && !told(99, 3_999), "no news");
        assert!(!told(100, 3_999) && told(99, 3_999), "it had room");
    }
}
