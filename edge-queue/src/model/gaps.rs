//! Gap records: rows that a consumer will never get, merged so that an outage of a week is one record.

use crate::row::Seq;
use crate::state::{GapRecord, Position, Reason};

/// Most records over all consumers; the store's snapshot has room for as many.
pub(crate) const GAPS_MAX: usize = 256;

impl Position {
    /// Adds a loss, merging it into a record of the same reason that touches or overlaps it.
    pub(crate) fn add_gap(&mut self, gap: GapRecord) {
        let touches = |old: &GapRecord| {
            old.reason == gap.reason
                && old.first_seq <= gap.last_seq.saturating_add(1)
                && gap.first_seq <= old.last_seq.saturating_add(1)
        };
        // Losses come in order, so the record they touch is almost always the last of its reason.
        match self.gaps.iter_mut().rev().find(|old| touches(old)) {
            Some(old) => join(old, &gap),
            None => self.gaps.push(gap),
        }
    }

    /// Merges the two nearest records of one reason: the range gets wider, the count stays exact.
    /// `false` when no two records share a reason.
    pub(crate) fn merge_nearest(&mut self) -> bool {
        self.gaps.sort_by_key(|gap| (gap.reason, gap.first_seq));
        let distance = |at: usize| -> Option<Seq> {
            let (a, b) = (self.gaps.get(at)?, self.gaps.get(at + 1)?);
            (a.reason == b.reason).then(|| b.first_seq.saturating_sub(a.last_seq))
        };
        let nearest = (0..self.gaps.len()).filter_map(|at| Some((distance(at)?, at))).min();
        let Some((_, at)) = nearest else { return false };
        let second = self.gaps.remove(at + 1);
        if let Some(first) = self.gaps.get_mut(at) {
            join(first, &second);
        }
        true
    }

    /// Removes a reported loss from the list; `false` when no record contains it. Losses that were merged into the record since
    /// it was read stay.
    pub(crate) fn ack_gap(&mut self, reported: &GapRecord) -> bool {
        let Some(at) = self.gaps.iter().position(|gap| {
            gap.reason == reported.reason
                && gap.first_seq <= reported.first_seq
                && gap.last_seq >= reported.last_seq
                && gap.count >= reported.count
        }) else {
            return false;
        };
        let Some(gap) = self.gaps.get_mut(at) else { return false };
        gap.count -= reported.count;
        if gap.count == 0 {
            self.gaps.remove(at);
        } else if gap.first_seq == reported.first_seq && gap.last_seq > reported.last_seq {
            gap.first_seq = reported.last_seq.saturating_add(1);
            gap.first_ms = reported.last_ms;
        }
        true
    }
}

fn join(into: &mut GapRecord, other: &GapRecord) {
    into.first_seq = into.first_seq.min(other.first_seq);
    into.last_seq = into.last_seq.max(other.last_seq);
    // 0 stands for a time that is not known.
    if other.first_ms != 0 {
        into.first_ms = if into.first_ms == 0 { other.first_ms } else { into.first_ms.min(other.first_ms) };
    }
    if other.last_ms != 0 {
        into.last_ms = if into.last_ms == 0 { other.last_ms } else { into.last_ms.max(other.last_ms) };
    }
    into.count = into.count.saturating_add(other.count);
}

/// Creates the record of one lost row.
pub(crate) fn one(seq: Seq, wall_ms: i64, weight: u64, reason: Reason) -> GapRecord {
    GapRecord { first_seq: seq, last_seq: seq, first_ms: wall_ms, last_ms: wall_ms, count: weight, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_losses_of_one_reason_are_one_record() {
        let mut p = Position::default();
        for seq in 5..10 {
            p.add_gap(one(seq, seq as i64, 2, Reason::Overflow));
        }
        p.add_gap(one(10, 10, 1, Reason::Expired));
        p.add_gap(one(12, 12, 1, Reason::Overflow));
        assert_eq!(p.gaps.len(), 3);
        assert_eq!((p.gaps[0].first_seq, p.gaps[0].last_seq, p.gaps[0].count), (5, 9, 10));
    }

    #[test]
    fn a_record_reaches_from_the_first_to_the_last_loss_in_whatever_order_they_come() {
        for seqs in [[4, 5, 6], [6, 5, 4]] {
            let mut p = Position::default();
            seqs.into_iter().for_each(|seq| p.add_gap(one(seq, 10 * seq as i64, 1, Reason::Overflow)));
            let whole = GapRecord { first_seq: 4, first_ms: 40, count: 3, ..one(6, 60, 1, Reason::Overflow) };
            assert_eq!(p.gaps, [whole], "{seqs:?}");
        }
    }

    #[test]
    fn a_time_that_is_not_known_leaves_that_of_the_other_loss() {
        for (first, second) in [(0, 70), (70, 0)] {
            let mut p = Position::default();
            p.add_gap(one(5, first, 1, Reason::Quarantined));
            p.add_gap(one(6, second, 1, Reason::Quarantined));
            assert_eq!((p.gaps[0].first_ms, p.gaps[0].last_ms), (70, 70));
        }
    }

    #[test]
    fn merging_the_nearest_keeps_counts_per_reason_exact() {
        let mut p = Position::default();
        for seq in [1, 10, 12, 30] {
            p.add_gap(one(seq, 0, 3, Reason::Overflow));
        }
        p.add_gap(one(11, 0, 1, Reason::Expired));
        assert!(p.merge_nearest());
        assert_eq!(p.gaps.len(), 4);
        assert!(p.gaps.iter().any(|g| (g.first_seq, g.last_seq, g.count) == (10, 12, 6)));
        let total: u64 = p.gaps.iter().filter(|g| g.reason == Reason::Overflow).map(|g| g.count).sum();
        assert_eq!(total, 12);
    }

    #[test]
    fn acknowledging_a_record_that_grew_leaves_the_rest() {
        let mut p = Position::default();
        p.add_gap(one(1, 0, 1, Reason::Overflow));
        let reported = p.gaps[0];
        p.add_gap(one(2, 5, 1, Reason::Overflow));
        assert!(p.ack_gap(&reported));
        assert_eq!((p.gaps[0].first_seq, p.gaps[0].count), (2, 1));
        assert!(!p.ack_gap(&reported));
    }

    #[test]
    fn what_was_reported_of_a_record_leaves_the_numbers_of_the_rest() {
        let mut p = Position::default();
        let of = |first_seq, last_seq, count| GapRecord {
            first_seq,
            last_seq,
            count,
            ..one(1, 0, 1, Reason::Expired)
        };
        p.add_gap(of(1, 20, 20));
        assert!(p.ack_gap(&of(5, 10, 6)));
        assert_eq!(p.gaps, [of(1, 20, 14)], "from its middle");
        assert!(p.ack_gap(&of(1, 20, 4)));
        assert_eq!(p.gaps, [of(1, 20, 10)], "it weighs more than was reported, between the same numbers");
    }
}
