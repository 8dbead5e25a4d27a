//! The set of done rows of one consumer in one lane: a floor and the ranges above it.
//!
//! Never larger than the number of holes between done rows, however many rows there are.

use crate::row::Seq;
use crate::state::Position;

impl Position {
    /// Returns whether `seq` is done.
    pub(crate) fn is_done(&self, seq: Seq) -> bool {
        seq < self.floor || self.range_of(seq).is_some()
    }

    /// Returns whether all of `first..=last` is done.
    pub(crate) fn covers(&self, first: Seq, last: Seq) -> bool {
        let first = first.max(self.floor);
        first > last || self.range_of(first).is_some_and(|(_, end)| end >= last)
    }

    /// Returns first and last number of the range of done rows above the floor that holds `seq`; `None` when none does.
    pub(crate) fn range_of(&self, seq: Seq) -> Option<(Seq, Seq)> {
        let (&first, &last) = self.acked.range(..=seq).next_back()?;
        (last >= seq).then_some((first, last))
    }

    /// Returns the first number from `seq` on that is not done.
    pub(crate) fn behind_done(&self, seq: Seq) -> Seq {
        let at = seq.max(self.floor);
        self.range_of(at).map_or(at, |(_, last)| last.saturating_add(1))
    }

    /// Returns whether marking `seq` done would need one more range.
    pub(crate) fn grows_with(&self, seq: Seq) -> bool {
        !(seq <= self.floor
            || self.range_of(seq.saturating_sub(1)).is_some()
            || self.acked.contains_key(&seq.saturating_add(1))
            || self.range_of(seq).is_some())
    }

    /// Marks `first..=last` done and moves the floor over everything done.
    pub(crate) fn mark(&mut self, first: Seq, last: Seq) {
        let (mut first, mut last) = (first.max(self.floor), last);
        if first > last {
            return;
        }
        if let Some((start, end)) = self.range_of(first.saturating_sub(1)) {
            first = first.min(start);
            last = last.max(end);
        }
        while let Some((&start, &end)) = self.acked.range(first..=last.saturating_add(1)).next() {
            self.acked.remove(&start);
            last = last.max(end);
        }
        if first <= self.floor {
            self.floor = last.saturating_add(1);
        } else {
            self.acked.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(floor: Seq) -> Position {
        Position { floor, ..Position::default() }
    }

    #[test]
    fn the_floor_moves_over_ranges_that_become_adjacent() {
        let mut p = at(1);
        p.mark(3, 3);
        p.mark(2, 2);
        assert_eq!((p.floor, p.acked.len()), (1, 1));
        p.mark(1, 1);
        assert_eq!((p.floor, p.acked.len()), (4, 0));
    }

    proptest! {
        /// Against a plain set: same members, ranges disjoint and not adjacent, floor as high as it can be.
        #[test]
        fn it_is_a_set(marks in proptest::collection::vec((1u64..60, 0u64..6), 0..60)) {
            let mut p = at(1);
            let mut set = BTreeSet::new();
            for (first, more) in marks {
                prop_assert_eq!(p.covers(first, first + more), (first..=first + more).all(|s| set.contains(&s)));
                let ranges = p.acked.len();
                if more == 0 {
                    let mut q = p.clone();
                    q.mark(first, first);
                    prop_assert_eq!(p.grows_with(first), q.acked.len() > ranges);
                }
                p.mark(first, first + more);
                set.extend(first..=first + more);
                for seq in 1..70 {
                    prop_assert_eq!(p.is_done(seq), set.contains(&seq));
                    prop_assert_eq!(Some(p.behind_done(seq)), (seq..).find(|s| !set.contains(s)));
                }
                let mut end = p.floor;
                for (&a, &b) in &p.acked {
                    prop_assert!(a > end && b >= a);
                    end = b + 1;
                }
            }
        }
    }
}
