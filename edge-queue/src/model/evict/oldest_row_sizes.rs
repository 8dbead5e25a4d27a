//! Sizes of a lane's oldest rows, the next to be evicted, kept so that making room needs no read.

use std::collections::VecDeque;

use crate::model::Model;
use crate::model::ram_tail::RamTail;
use crate::model::usage::Size;
use crate::row::Seq;

/// Most rows whose sizes are kept for eviction; 32 bytes each.
pub(crate) const HEAD_ROWS_MAX: usize = 2048;

/// Sizes of the oldest rows, so that making room needs no read.
#[derive(Default)]
pub(crate) struct OldestRows {
    pub(crate) rows: VecDeque<(Seq, Size)>,
    /// Sequence number below which every row was examined.
    pub(crate) upto: Seq,
    /// First of the rows that were skipped because ranges are short; `None` if none was.
    passed_from: Option<Seq>,
}

/// Outcome of the search for the oldest row that may be evicted.
pub(crate) enum Oldest {
    Row(Seq, Size),
    /// The sizes of the oldest rows must be read.
    NeedHead,
    Nothing,
}

impl OldestRows {
    /// Creates a list without known sizes, for rows from `floor` on.
    pub(crate) fn above(floor: Seq) -> OldestRows {
        OldestRows { upto: floor, ..OldestRows::default() }
    }

    /// Takes the next of the oldest rows, from `floor` on, done and leased ones included.
    pub(crate) fn next(&mut self, floor: Seq, tail: &RamTail) -> Oldest {
        if let Some((seq, size)) = self.rows.pop_front() {
            return Oldest::Row(seq, size);
        }
        self.upto = self.upto.max(floor);
        if self.upto < tail.from() {
            return Oldest::NeedHead;
        }
        let Some(row) = tail.at_or_after(self.upto) else { return Oldest::Nothing };
        self.upto = row.seq.saturating_add(1);
        Oldest::Row(row.seq, Size::of(row))
    }

    /// Skips the rows below `seq`. With `None`, goes back to the rows that were skipped before.
    pub(crate) fn pass_to(&mut self, seq: Option<Seq>) {
        let Some(seq) = seq else {
            if let Some(from) = self.passed_from.take() {
                self.rewind(from);
            }
            return;
        };
        let first = self.rows.front().map_or(self.upto, |(first, _)| *first);
        if first < seq {
            self.passed_from = Some(self.passed_from.map_or(first, |from| from.min(first)));
            self.rows.drain(..self.rows.partition_point(|(row, _)| *row < seq));
            self.upto = self.upto.max(seq);
        }
    }

    /// Returns whether every row up to `seq` was examined.
    pub(crate) fn is_beyond(&self, seq: Seq) -> bool {
        self.rows.front().map_or(self.upto, |(first, _)| *first) > seq
    }

    /// Makes the next eviction go back to a row that may be evicted again.
    pub(crate) fn rewind(&mut self, seq: Seq) {
        if seq < self.upto {
            while self.rows.back().is_some_and(|(last, _)| *last >= seq) {
                self.rows.pop_back();
            }
            self.upto = seq;
        }
    }
}

impl Model {
    /// Finds the oldest row that may be evicted: it is wanted and not leased.
    pub(super) fn oldest(&mut self, at: usize) -> Oldest {
        let from = self.evict_from(at);
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.head.pass_to(from);
        }
        self.oldest_from_here(at)
    }

    /// Returns the oldest row that is not leased among those not examined yet.
    pub(super) fn oldest_from_here(&mut self, at: usize) -> Oldest {
        loop {
            let Some(lane) = self.lanes.get_mut(at) else { return Oldest::Nothing };
            match lane.head.next(lane.floor, &lane.tail) {
                Oldest::Row(seq, _) if !self.wanted(at, seq) || self.must_stay(at, seq) => {}
                // All that is not in RAM stays, or is done.
                Oldest::NeedHead if self.head_wanted(at, false).is_none() => {}
                Oldest::Row(seq, _) if self.range_exceeded(at, seq) => {
                    if let Some(lane) = self.lanes.get_mut(at) {
                        lane.head.rewind(seq);
                    }
                    return Oldest::Nothing;
                }
                found => return found,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { weight: 1, bytes: 100, wall_ms: 0 };

    fn head(rows: &[Seq], upto: Seq) -> OldestRows {
        OldestRows { rows: rows.iter().map(|seq| (*seq, SIZE)).collect(), upto, passed_from: None }
    }

    fn rows(head: &OldestRows) -> Vec<Seq> {
        head.rows.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn oldest_rows_that_were_passed_over_are_looked_at_again() {
        let mut head = head(&[3, 5, 7, 9], 12);
        head.pass_to(Some(3));
        head.pass_to(None);
        assert_eq!((rows(&head), head.upto), (vec![3, 5, 7, 9], 12), "none was passed over");
        head.pass_to(Some(7));
        assert_eq!(rows(&head), [7, 9]);
        head.pass_to(None);
        assert_eq!((rows(&head), head.upto), (vec![], 3));
    }

    #[test]
    fn oldest_rows_are_looked_at_again_from_one_that_came_back() {
        let mut head = head(&[3, 5, 7, 9], 12);
        head.rewind(12);
        head.rewind(7);
        assert_eq!((rows(&head), head.upto), (vec![3, 5], 7));
        head.rewind(8);
        assert_eq!((rows(&head), head.upto), (vec![3, 5], 7));
    }

    #[test]
    fn a_row_is_looked_at_when_the_next_one_is_behind_it() {
        assert!(head(&[3, 5], 12).is_beyond(2) && !head(&[3, 5], 12).is_beyond(3));
        assert!(head(&[], 9).is_beyond(8) && !head(&[], 9).is_beyond(9));
    }
}
