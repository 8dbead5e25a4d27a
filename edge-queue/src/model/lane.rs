//! One lane: numbers, totals, the rows in RAM and the oldest rows' sizes.

use std::collections::VecDeque;

use crate::config::LaneLimits;
use crate::model::window::Window;
use crate::row::{Lane, Row, Seq, StoredRow};
use crate::state::{LaneState, Reason};
use crate::time::Now;

/// Most rows whose sizes are kept for eviction; 32 bytes each.
pub(crate) const HEAD_ROWS_MAX: usize = 2048;

/// What a row counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) weight: u64,
    pub(crate) bytes: u64,
    pub(crate) wall_ms: i64,
}

impl Size {
    pub(crate) fn of(row: &StoredRow) -> Size {
        Size { weight: u64::from(row.weight), bytes: row.bytes(), wall_ms: row.stamp.wall_ms }
    }
}

/// Live rows of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rows: u64,
    pub(crate) weight: u64,
    pub(crate) bytes: u64,
}

impl Usage {
    pub(crate) fn of(state: &LaneState) -> Usage {
        Usage { rows: state.rows, weight: state.weight, bytes: state.bytes }
    }

    pub(crate) fn add(&mut self, size: Size) {
        self.rows += 1;
        self.weight = self.weight.saturating_add(size.weight);
        self.bytes = self.bytes.saturating_add(size.bytes);
    }

    pub(crate) fn add_all(&mut self, other: &Usage) {
        self.rows += other.rows;
        self.weight = self.weight.saturating_add(other.weight);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    // Saturating: after a crash inside a commit the totals may be off by that commit until the lane is empty.
    pub(crate) fn sub(&mut self, size: Size) {
        self.rows = self.rows.saturating_sub(1);
        self.weight = self.weight.saturating_sub(size.weight);
        self.bytes = self.bytes.saturating_sub(size.bytes);
    }
}

/// Sizes of the oldest rows, so that making room needs no read.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) rows: VecDeque<(Seq, Size)>,
    /// Rows below were looked at.
    pub(crate) upto: Seq,
}

/// What looking for the oldest row that may go found.
pub(crate) enum Oldest {
    Row(Seq, Size),
    /// The sizes of the oldest rows must be read.
    NeedHead,
    Nothing,
}

impl Head {
    /// Takes the next of the oldest rows, from `floor` on, done and leased ones included.
    pub(crate) fn next(&mut self, floor: Seq, window: &Window) -> Oldest {
        if let Some((seq, size)) = self.rows.pop_front() {
            return Oldest::Row(seq, size);
        }
        self.upto = self.upto.max(floor);
        if self.upto < window.from() {
            return Oldest::NeedHead;
        }
        let Some(row) = window.at_or_after(self.upto) else { return Oldest::Nothing };
        self.upto = row.seq.saturating_add(1);
        Oldest::Row(row.seq, Size::of(row))
    }

    /// A row below `upto` may be evicted again: look again from there.
    pub(crate) fn rewind(&mut self, seq: Seq) {
        if seq < self.upto {
            while self.rows.back().is_some_and(|(last, _)| *last >= seq) {
                self.rows.pop_back();
            }
            self.upto = seq;
        }
    }
}

/// Counts since open, for a queue nobody reads yet and for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) handed_over: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: [u64; 6],
}

impl Counts {
    pub(crate) fn drop_for(&mut self, reason: Reason, weight: u64) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count = count.saturating_add(weight);
        }
    }
}

/// One lane's bookkeeping.
pub(crate) struct LaneModel {
    pub(crate) id: Lane,
    pub(crate) limits: LaneLimits,
    pub(crate) next: Seq,
    /// No live row is below; follows the consumers' floors at each commit.
    pub(crate) floor: Seq,
    pub(crate) usage: Usage,
    pub(crate) window: Window,
    pub(crate) head: Head,
    /// Bytes the store can still take.
    pub(crate) room: u64,
    /// Rows below were given up to the store.
    pub(crate) advanced: Seq,
    /// Changed since the last commit began.
    pub(crate) dirty: bool,
    pub(crate) counts: Counts,
}

impl LaneModel {
    pub(crate) fn new(id: Lane, limits: LaneLimits, state: LaneState, next: Seq) -> LaneModel {
        LaneModel {
            id,
            limits,
            next,
            floor: state.floor,
            usage: Usage::of(&state),
            window: Window::new(next),
            head: Head { rows: VecDeque::new(), upto: state.floor },
            room: u64::MAX,
            advanced: 0,
            dirty: false,
            counts: Counts::default(),
        }
    }

    /// Gives a row its number and puts it among those that wait; it is not counted yet.
    #[inline]
    pub(super) fn take_in(&mut self, row: Row, epoch: u32, now: &Now) -> Seq {
        let seq = self.next;
        self.next = seq.saturating_add(1);
        let Row { payload, meta, key, ttl_ms, expiry, weight, .. } = row;
        let (lane, stamp, weight) = (self.id, *now, weight.max(1));
        self.window.push(StoredRow { lane, seq, epoch, stamp, ttl_ms, expiry, weight, key, meta, payload });
        seq
    }

    pub(crate) fn state(&self) -> LaneState {
        let Usage { rows, weight, bytes } = self.usage;
        LaneState { next: self.next, floor: self.floor, rows, weight, bytes }
    }

    /// Whether eviction will soon want the oldest rows' sizes.
    pub(crate) fn wants_head(&self) -> bool {
        let near = |used: u64, limit: u64| used >= limit - limit / 8;
        self.head.rows.len() < HEAD_ROWS_MAX / 8
            && self.head.upto < self.window.from()
            && (near(self.usage.weight, self.limits.messages) || near(self.usage.bytes, self.limits.bytes))
    }
}
