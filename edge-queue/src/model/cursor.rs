//! Cursor of one consumer in one lane: the rows that are done, those that are leased, and the next one. The [batch of a commit](super::commit_batch) decides
//! when progress is written.

use std::collections::BTreeMap;

use crate::model::evict::OldestRows;
use crate::model::gaps;
use crate::model::handed_out::HandedOut;
use crate::model::lane::LaneModel;
use crate::model::live_first::{LanePart, LiveFirst};
use crate::model::ram_tail::RamTail;
use crate::model::read_ahead::ReadAhead;
use crate::model::usage::{Size, Usage};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::state::{Position, Reason};

/// Most acknowledgements that may wait for a range during a scan; beyond that the scan leases only the row at the floor.
const SCAN_ACKS_MAX: usize = 64;

/// A leased row: its size, and the terms of its lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(crate) size: Size,
    /// Outcome of an acknowledgement that waits for a free range; `None` while the row is not acknowledged.
    pub(crate) parked: Option<Done>,
    /// Value of the turn counter when the lease began, which tells it from a later lease of the row: see
    /// [`lease_timeout`](super::lease_timeout).
    pub(crate) turn: u32,
    /// Up time in milliseconds at which the lease ends by itself; `u64::MAX` for never.
    pub(crate) returns_ms: u64,
}

/// One consumer's bookkeeping in one lane.
#[derive(Default)]
pub(crate) struct Cursor {
    pub(crate) pos: Position,
    /// Totals of the rows not yet done that no commit has taken. `pos` includes them; the position that a commit writes does not.
    pub(crate) waiting: Usage,
    /// Weight not yet done, counted apart from the other counters so that the ledger can be checked.
    pub(crate) queued: u64,
    pub(crate) leased: BTreeMap<Seq, Out>,
    pub(crate) leased_weight: u64,
    pub(crate) leased_bytes: u64,
    pub(crate) parked: usize,
    /// Sequence number from which the next lease looks for backlog rows: nothing below it can be leased.
    pub(crate) backlog_next: Seq,
    /// Number at which a scan ends: rows from it on are not handed out. `Seq::MAX` when no scan is under way.
    pub(crate) until: Seq,
    pub(crate) live: LiveFirst,
    pub(crate) handed: HandedOut,
    /// Sizes of the consumer's oldest rows, for limits of its own.
    pub(crate) head: OldestRows,
    pub(crate) fetched: ReadAhead,
    pub(crate) dirty: bool,
}

/// Reason for which a row is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Delivered,
    /// Durable in another store.
    Moved,
    Dropped(Reason),
}

impl Cursor {
    /// Creates the cursor of a new consumer: the first one of a queue gets the rows in the queue, a later one only new rows.
    pub(crate) fn registered(lane: &LaneModel, first: bool) -> Cursor {
        let floor = if first { lane.floor } else { lane.next };
        let pos = Position { floor, ..Position::default() };
        let mut cursor =
            Cursor { pos, backlog_next: floor, until: Seq::MAX, dirty: true, ..Cursor::default() };
        if first {
            cursor.accept(lane.usage.weight, lane.usage.bytes);
        }
        cursor
    }

    /// Creates a cursor from the position on disk. `lane` is the lane's totals, for a planted bug.
    pub(crate) fn recovered(mut pos: Position, lane: Usage) -> Cursor {
        pos.floor = pos.floor.max(1);
        let done = pos.settled();
        // Whatever was read from a disk: what is done was once accepted.
        pos.accepted = pos.accepted.max(done);
        let queued = pos.accepted - done;
        let backlog_next = pos.floor;
        if planted(Flaw::OwnBytesGuessed) {
            pos.queued_bytes = lane.bytes / lane.weight.max(1) * queued;
        }
        Cursor { pos, queued, backlog_next, until: Seq::MAX, ..Cursor::default() }
    }

    pub(crate) fn accept(&mut self, weight: u64, bytes: u64) {
        self.pos.queued_bytes = self.pos.queued_bytes.saturating_add(bytes);
        self.pos.accepted = self.pos.accepted.saturating_add(weight);
        self.queued = self.queued.saturating_add(weight);
        self.dirty = true;
    }

    /// Returns the position without the rows that wait, for a commit.
    pub(crate) fn position(&self) -> Position {
        let mut position = self.pos.clone();
        if !planted(Flaw::WaitingCounted) {
            position.accepted = position.accepted.saturating_sub(self.waiting.weight);
            position.queued_bytes = position.queued_bytes.saturating_sub(self.waiting.bytes);
        }
        position
    }

    /// Counts again which of the lane's waiting rows are not done.
    pub(crate) fn count_waiting(&mut self, tail: &RamTail) {
        self.waiting = Usage::default();
        let open = tail.waiting_rows().filter(|row| !self.pos.is_done(row.seq));
        open.for_each(|row| self.waiting.add(Size::of(row)));
    }

    /// Counts one row as done and remembers its number.
    pub(crate) fn done(&mut self, seq: Seq, size: Size, how: Done) {
        self.pos.mark(seq, seq);
        self.pos.queued_bytes = self.pos.queued_bytes.saturating_sub(size.bytes);
        self.count(size.weight, how);
        if let Done::Dropped(reason) = how {
            self.pos.add_gap(gaps::one(seq, size.wall_ms, size.weight, reason));
        }
    }

    pub(crate) fn count(&mut self, weight: u64, how: Done) {
        // Rows that a damaged bookkeeping does not know were accepted when they are found.
        let unknown = weight.saturating_sub(self.queued);
        self.pos.accepted = self.pos.accepted.saturating_add(unknown);
        self.queued = self.queued.saturating_sub(weight);
        if self.queued == 0 {
            self.pos.queued_bytes = 0;
        }
        match how {
            Done::Delivered => self.pos.delivered = self.pos.delivered.saturating_add(weight),
            Done::Moved => self.pos.moved = self.pos.moved.saturating_add(weight),
            Done::Dropped(reason) => self.pos.dropped.add(reason, weight),
        }
        self.dirty = true;
    }

    /// Subtracts damaged rows, whose size is unknown, with their average share of the bytes.
    pub(crate) fn lose(&mut self, weight: u64) {
        let share = u128::from(self.pos.queued_bytes) * u128::from(weight) / u128::from(self.queued.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        self.pos.queued_bytes = self.pos.queued_bytes.saturating_sub(share);
        self.count(weight, Done::Dropped(Reason::Quarantined));
    }

    pub(crate) fn lease(&mut self, seq: Seq, size: Size) {
        self.leased.insert(seq, Out { size, parked: None, turn: 0, returns_ms: u64::MAX });
        self.leased_weight = self.leased_weight.saturating_add(size.weight);
        self.leased_bytes = self.leased_bytes.saturating_add(size.bytes);
        let part = self.live.part_of(seq);
        self.live.serve(part);
        *self.next_mut(part) = seq.saturating_add(1);
        match part {
            LanePart::Backlog => self.handed.backlog(seq),
            LanePart::Live => self.handed.live(self.live.from(), seq, &self.pos),
        }
    }

    /// Moves the next lease and the next eviction back to a row that is no longer leased.
    pub(crate) fn look_again(&mut self, seq: Seq) {
        let next = self.next_mut(self.live.part_of(seq));
        *next = seq.min(*next);
        self.head.rewind(seq);
    }

    pub(crate) fn next_mut(&mut self, part: LanePart) -> &mut Seq {
        match part {
            LanePart::Backlog => &mut self.backlog_next,
            LanePart::Live => &mut self.live.next,
        }
    }

    /// Ends the lease of a row and returns the row's size; `None` when the row is not leased.
    pub(crate) fn release(&mut self, seq: Seq) -> Option<Size> {
        let out = self.leased.remove(&seq)?;
        self.leased_weight = self.leased_weight.saturating_sub(out.size.weight);
        self.leased_bytes = self.leased_bytes.saturating_sub(out.size.bytes);
        if out.parked.is_some() {
            self.parked -= 1;
        }
        Some(out.size)
    }

    /// Returns an acknowledgement that waited for a range and can be counted now: any if `ranges_free`, else one that needs no new range. `None`
    /// if there is none.
    pub(crate) fn parked_next(&self, ranges_free: bool) -> Option<(Seq, Done)> {
        if self.parked == 0 {
            return None;
        }
        let mut parked = self.leased.iter().filter_map(|(seq, out)| Some((*seq, out.parked?)));
        parked.find(|(seq, _)| ranges_free || !self.pos.grows_with(*seq))
    }

    /// Returns whether a row may be leased while no range is free: the row at the floor, since its acknowledgement needs none. A
    /// scan passes over rows, the one at the floor among them, and would never get beyond it; so it may lease others until too
    /// many acknowledgements wait for a range.
    pub(crate) fn may_lease_without_range(&self, seq: Seq) -> bool {
        let is_scan = self.until != Seq::MAX;
        seq == self.pos.floor || (is_scan && self.parked < SCAN_ACKS_MAX)
    }

    /// Returns the first number at or after `seq` that is neither done nor leased.
    pub(crate) fn open_from(&self, seq: Seq) -> Seq {
        let mut at = seq;
        loop {
            let before = at;
            at = self.pos.behind_done(at);
            if self.leased.contains_key(&at) {
                at = at.saturating_add(1);
            }
            if at == before {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { weight: 1, bytes: 100, wall_ms: 0 };

    #[test]
    fn a_loss_takes_its_share_of_the_bytes() {
        let mut cursor = Cursor::default();
        cursor.accept(10, 1_000);
        cursor.lose(3);
        assert_eq!((cursor.queued, cursor.pos.queued_bytes), (7, 700));
        cursor.lose(7);
        assert_eq!((cursor.queued, cursor.pos.queued_bytes, cursor.pos.settled()), (0, 0, 10));
    }

    #[test]
    fn an_acknowledgement_that_waits_for_a_range_is_next_when_it_needs_none_or_one_is_free() {
        let mut cursor = Cursor { pos: Position { floor: 1, ..Position::default() }, ..Cursor::default() };
        [1, 5, 9].into_iter().for_each(|seq| cursor.lease(seq, SIZE));
        assert_eq!(cursor.parked_next(true), None);
        for seq in [5, 9] {
            cursor.leased.get_mut(&seq).unwrap().parked = Some(Done::Moved);
            cursor.parked += 1;
        }
        assert_eq!((cursor.parked_next(false), cursor.parked_next(true)), (None, Some((5, Done::Moved))));
        cursor.pos.mark(8, 8);
        assert_eq!(cursor.parked_next(false), Some((9, Done::Moved)));
        assert!(cursor.release(9).is_some() && cursor.release(1).is_some());
        assert_eq!(cursor.parked, 1);
    }
}
