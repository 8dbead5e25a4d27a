//! Done rows of a lane, which no consumer wants any more, as the queue passes them to a store.

use crate::row::{Lane, Seq};
use crate::state::{Position, State};

/// Set of sequence numbers of a lane that will not be read again: a floor and ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoneRows {
    /// First and last of each range, ascending, disjoint, not adjacent. The first begins at 0 when there is a floor.
    ranges: Vec<(Seq, Seq)>,
}

impl DoneRows {
    /// Makes the set of every row below `floor`.
    #[must_use]
    pub fn below(floor: Seq) -> DoneRows {
        DoneRows { ranges: floor.checked_sub(1).map(|last| (0, last)).into_iter().collect() }
    }

    /// Makes the set of every row below `floor` and of the ranges (first, last) above it.
    #[must_use]
    pub fn new(floor: Seq, above: impl IntoIterator<Item = (Seq, Seq)>) -> DoneRows {
        let mut done = DoneRows::below(floor);
        above.into_iter().for_each(|(first, last)| done.add(first, last));
        done
    }

    /// Adds a range that begins after the start of the last one.
    fn add(&mut self, first: Seq, last: Seq) {
        match self.ranges.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => self.ranges.push((first, last)),
        }
    }

    /// The number below which every row is done.
    #[must_use]
    pub fn floor(&self) -> Seq {
        self.ranges.first().filter(|(first, _)| *first == 0).map_or(0, |(_, last)| last.saturating_add(1))
    }

    /// The ranges (first, last), ascending; the one below the floor begins at 0.
    pub fn ranges(&self) -> impl Iterator<Item = (Seq, Seq)> {
        self.ranges.iter().copied()
    }

    /// Returns whether all of `first..=last` is done.
    #[must_use]
    pub fn covers(&self, first: Seq, last: Seq) -> bool {
        first > last || self.open(first, last).is_none()
    }

    /// Returns the first and the last number of `first..=last` that are not done, and their count; `None` if all are done.
    #[must_use]
    pub fn open(&self, first: Seq, last: Seq) -> Option<(Seq, Seq, u64)> {
        let (mut at, mut open) = (first, None::<(Seq, Seq, u64)>);
        let from = self.ranges.partition_point(|(_, end)| *end < first);
        let behind = [(last.saturating_add(1), Seq::MAX)];
        for (start, end) in self.ranges.iter().skip(from).chain(&behind).copied() {
            let start = start.min(last.saturating_add(1));
            if at < start {
                let (begun, _, rows) = open.unwrap_or((at, at, 0));
                open = Some((begun, start - 1, rows.saturating_add(start - at)));
            }
            at = at.max(end.saturating_add(1));
            if at > last {
                break;
            }
        }
        open
    }

    /// Returns the rows that are done here and for the consumer with this position.
    fn both(&self, place: &Position) -> DoneRows {
        let mut other = DoneRows::new(place.floor, place.acked.iter().map(|(first, last)| (*first, *last)));
        let mut both = DoneRows::default();
        let mut theirs = std::mem::take(&mut other.ranges).into_iter().peekable();
        for (first, last) in self.ranges() {
            while let Some((start, end)) = theirs.peek().copied() {
                if start.max(first) <= end.min(last) {
                    both.ranges.push((start.max(first), end.min(last)));
                }
                if end > last {
                    break;
                }
                theirs.next();
            }
        }
        both
    }
}

impl State {
    /// Returns the rows of a lane that no consumer wants any more; without consumers those below its floor.
    #[must_use]
    pub fn done(&self, lane: Lane) -> DoneRows {
        let at = usize::from(lane.0);
        let floor = self.lane.get(at).map_or(0, |lane| lane.floor);
        let mut places = self.consumers.iter().filter_map(|consumer| consumer.lanes.get(at));
        let Some(first) = places.next() else { return DoneRows::below(floor) };
        let all = DoneRows { ranges: vec![(0, Seq::MAX)] };
        let mut done = places.fold(all.both(first), |done, place| done.both(place));
        if done.floor() < floor {
            let above = done.ranges().filter(|(_, last)| *last >= floor);
            done = DoneRows::new(floor, above.collect::<Vec<_>>());
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::per_lane::PerLane;
    use crate::state::ConsumerState;

    fn state(floor: Seq, places: &[Vec<(u64, u64)>]) -> State {
        let mut state = State::new(1, 1);
        state.lane[0].floor = floor;
        for marks in places {
            let mut lanes = PerLane::<Position>::default();
            marks.iter().for_each(|(first, more)| lanes[0].mark(*first, first + more));
            state.consumers.push(ConsumerState { name: String::new(), lanes });
        }
        state
    }

    proptest! {
        /// Against the rule for one row, and against counting.
        #[test]
        fn a_row_is_done_when_no_consumer_wants_it(
            floor in 0u64..20,
            places in proptest::collection::vec(proptest::collection::vec((0u64..60, 0u64..9), 0..12), 0..4),
            first in 0u64..70,
            more in 0u64..30,
        ) {
            let state = state(floor, &places);
            let done = state.done(Lane(0));
            for seq in 0..90 {
                prop_assert_eq!(done.covers(seq, seq), !state.wants(Lane(0), seq), "{}", seq);
            }
            let open: Vec<u64> = (first..=first + more).filter(|seq| state.wants(Lane(0), *seq)).collect();
            let expected = open.first().map(|begin| (*begin, open[open.len() - 1], open.len() as u64));
            prop_assert_eq!(done.open(first, first + more), expected);
            let ranges: Vec<_> = done.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", ranges);
        }
    }
}
