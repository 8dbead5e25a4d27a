//! Live-first order within a lane: rows pushed since the consumer last fell behind go before the backlog at that moment.
//!
//! Only sequence numbers decide. A consumer is behind when it asks for its first row in this run, when more than `behind_rows` live rows wait, or
//! when the oldest of those has left RAM. Then all present rows become backlog, and rows pushed from now on are live. If many rows wait, the
//! newest half of `behind_rows` stays live too, as far as it is in RAM, because it came just before an outage ended. So live rows always come
//! from RAM, and each time a consumer falls behind costs at most one range of acknowledgements.

use crate::row::Seq;

/// Multiple of `behind_rows` above which the waiting rows count as the result of an outage, so that the newest of them are as fresh as rows
/// pushed now.
const OUTAGE: u64 = 16;

/// Part of a lane, as one consumer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LanePart {
    Backlog,
    Live,
}

/// Sequence numbers at which one consumer's live rows of one lane begin. By default no row is live, which makes the order fifo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveFirst {
    /// Number from which on rows are live; rows below it are backlog.
    from: Seq,
    /// Sequence number from which the next lease looks for live rows: nothing below it can be leased.
    pub(crate) next: Seq,
    /// Number of live rows handed out since the last row of the backlog.
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

    /// Returns whether the consumer fell behind, or leases for the first time. `next` is the number that the next push gets; every row from
    /// `ram_from` on is in RAM.
    pub(crate) fn is_behind(&self, next: Seq, ram_from: Seq, behind_rows: u32) -> bool {
        let waiting = next.saturating_sub(self.next);
        self.from == Seq::MAX || waiting > u64::from(behind_rows) || (waiting > 0 && self.next < ram_from)
    }

    /// Moves the boundary between backlog and live rows. `oldest` is the first number of the waiting backlog. With `None` for `ram_from` all rows
    /// become backlog, because no range of acknowledgements is left for live rows.
    pub(crate) fn draw_line(&mut self, next: Seq, oldest: Seq, ram_from: Option<Seq>, behind_rows: u32) {
        let backlog = self.from.min(next).saturating_sub(oldest);
        let waiting = next.saturating_sub(self.next).saturating_add(backlog);
        let is_outage = waiting > OUTAGE * u64::from(behind_rows);
        // Fewer rows are soon through, in their order.
        let newest = if is_outage { u64::from(behind_rows / 2) } else { 0 };
        let from = ram_from.map_or(Seq::MAX, |ram_from| next.saturating_sub(newest).max(ram_from).min(next));
        (self.from, self.next) = (from, from);
    }

    /// Returns the parts in the order in which they may send the next row, so that one row in `backlog_one_in` is the backlog's.
    pub(crate) fn order(&self, backlog_one_in: u32) -> [LanePart; 2] {
        if self.run.saturating_add(1) >= backlog_one_in {
            [LanePart::Backlog, LanePart::Live]
        } else {
            [LanePart::Live, LanePart::Backlog]
        }
    }

    /// Records that a row of `part` was leased.
    pub(crate) fn serve(&mut self, part: LanePart) {
        self.run = if part == LanePart::Live { self.run.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a lease does, with eight rows that may wait and a backlog from 1 on.
    fn follow(live: &mut LiveFirst, next: Seq, ram_from: Seq, may_part: bool) {
        if live.is_behind(next, ram_from, 8) {
            live.draw_line(next, 1, may_part.then_some(ram_from), 8);
        }
    }

    #[test]
    fn what_waits_at_the_first_question_is_backlog_and_what_comes_after_is_live() {
        let mut live = LiveFirst::default();
        assert_eq!(live.part_of(u64::MAX - 1), LanePart::Backlog);
        follow(&mut live, 100, 1, true);
        assert_eq!((live.part_of(99), live.part_of(100)), (LanePart::Backlog, LanePart::Live));
        follow(&mut live, 108, 1, true);
        assert_eq!(live.from(), 100, "eight rows wait: not behind");
        follow(&mut live, 109, 1, true);
        assert_eq!(live.from(), 109);
    }

    #[test]
    fn of_an_outage_the_newest_stay_live_as_far_as_they_are_in_ram() {
        for (next, ram_from, from) in [(129, 1, 129), (130, 1, 126), (130, 128, 128), (130, 130, 130)] {
            let mut live = LiveFirst::default();
            follow(&mut live, next, ram_from, true);
            assert_eq!((live.from(), live.next), (from, from), "{next} {ram_from}");
        }
        let mut live = LiveFirst::default();
        follow(&mut live, 10, 1, true);
        live.draw_line(300, 10, Some(1), 8);
        assert_eq!(live.from(), 296, "many live rows are one too");
        live.next = 300;
        live.draw_line(309, 300, Some(1), 8);
        assert_eq!(live.from(), 309, "no backlog is left");
    }

    #[test]
    fn a_live_row_that_left_ram_is_backlog() {
        let mut live = LiveFirst::default();
        follow(&mut live, 10, 10, true);
        follow(&mut live, 12, 10, true);
        assert_eq!(live.from(), 10);
        follow(&mut live, 12, 11, true);
        assert_eq!(live.from(), 12);
        follow(&mut live, 12, 500, true);
        assert_eq!(live.from(), 12, "nothing waits");
    }

    #[test]
    fn without_ranges_to_spare_the_lane_is_fifo_until_there_are() {
        let mut live = LiveFirst::default();
        follow(&mut live, 10, 1, true);
        follow(&mut live, 100, 1, false);
        assert_eq!(live.part_of(1_000_000), LanePart::Backlog);
        follow(&mut live, 110, 1, false);
        assert_eq!(live.part_of(110), LanePart::Backlog);
        follow(&mut live, 120, 1, true);
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
