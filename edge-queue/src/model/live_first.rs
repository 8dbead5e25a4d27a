//! Live-first within a lane: rows pushed since the consumer last fell behind go before the rows it fell behind on.
//!
//! A rule on numbers alone. When a consumer asks for a row and more than `behind_rows` newer rows wait than it was
//! served, or the oldest of them has left RAM, or it asks for the first time in this run, everything there becomes
//! backlog and what is pushed from now on is live. So live rows always come from RAM, and each time a consumer falls
//! behind costs at most one range of acknowledgements.

use crate::row::Seq;

/// The two parts of a lane, as one consumer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LanePart {
    Backlog,
    Live,
}

/// Begin of one consumer's live rows of one lane. The default is none: fifo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveFirst {
    /// Rows from here on are live, those below are backlog.
    from: Seq,
    /// Number from which on the next lease looks for live rows: nothing below it can be leased.
    pub(crate) next: Seq,
    /// Live rows handed out since the last row of the backlog.
    run: u32,
}

impl Default for LiveFirst {
    fn default() -> LiveFirst {
        LiveFirst { from: Seq::MAX, next: Seq::MAX, run: 0 }
    }
}

impl LiveFirst {
    pub(crate) fn from(&self) -> Seq {
        self.from
    }

    /// Begins again with the first live row at the next lease.
    pub(crate) fn rewind(&mut self) {
        self.next = self.from;
    }

    pub(crate) fn part_of(&self, seq: Seq) -> LanePart {
        if seq < self.from { LanePart::Backlog } else { LanePart::Live }
    }

    /// Draws the line anew if the consumer fell behind. `next`: the number the next push gets; `ram_from`: every live
    /// row from there on is in RAM; `may_part`: another range of acknowledgements may come of it.
    pub(crate) fn follow(&mut self, next: Seq, ram_from: Seq, behind_rows: u32, may_part: bool) {
        let waiting = next.saturating_sub(self.next);
        let behind = waiting > u64::from(behind_rows) || (waiting > 0 && self.next < ram_from);
        if self.from == Seq::MAX || behind {
            let from = if may_part { next } else { Seq::MAX };
            (self.from, self.next) = (from, from);
        }
    }

    /// The parts in the order in which they may send the next row: of `backlog_one_in` rows one is the backlog's.
    pub(crate) fn order(&self, backlog_one_in: u32) -> [LanePart; 2] {
        if self.run.saturating_add(1) >= backlog_one_in {
            [LanePart::Backlog, LanePart::Live]
        } else {
            [LanePart::Live, LanePart::Backlog]
        }
    }

    /// A row of `part` goes.
    pub(crate) fn serve(&mut self, part: LanePart) {
        self.run = if part == LanePart::Live { self.run.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_at_the_first_question_is_backlog_and_what_comes_after_is_live() {
        let mut live = LiveFirst::default();
        assert_eq!(live.part_of(u64::MAX - 1), LanePart::Backlog);
        live.follow(100, 1, 8, true);
        assert_eq!((live.part_of(99), live.part_of(100)), (LanePart::Backlog, LanePart::Live));
        live.follow(108, 1, 8, true);
        assert_eq!(live.from(), 100, "eight rows wait: not behind");
        live.follow(109, 1, 8, true);
        assert_eq!(live.from(), 109);
    }

    #[test]
    fn a_live_row_that_left_ram_is_backlog() {
        let mut live = LiveFirst::default();
        live.follow(10, 10, 8, true);
        live.follow(12, 10, 8, true);
        assert_eq!(live.from(), 10);
        live.follow(12, 11, 8, true);
        assert_eq!(live.from(), 12);
        live.follow(12, 500, 8, true);
        assert_eq!(live.from(), 12, "nothing waits");
    }

    #[test]
    fn without_ranges_to_spare_the_lane_is_fifo_until_there_are() {
        let mut live = LiveFirst::default();
        live.follow(10, 1, 8, true);
        live.follow(100, 1, 8, false);
        assert_eq!(live.part_of(1_000_000), LanePart::Backlog);
        live.follow(110, 1, 8, false);
        assert_eq!(live.part_of(110), LanePart::Backlog);
        live.follow(120, 1, 8, true);
        assert_eq!((live.part_of(119), live.part_of(120)), (LanePart::Backlog, LanePart::Live));
    }

    #[test]
    fn one_row_in_four_is_the_backlogs_while_both_have_rows() {
        let mut live = LiveFirst::default();
        let served: Vec<LanePart> = (0..8)
            .map(|_| {
                let [first, _] = live.order(4);
                live.serve(first);
                first
            })
            .collect();
        let backlog: Vec<usize> = (0..8).filter(|at| served[*at] == LanePart::Backlog).collect();
        assert_eq!(backlog, [3, 7]);
    }
}
