//! Set of identities of one gateway, as ranges: exactly those that were added, and no number between them.

use std::collections::BTreeMap;

use edge_bridge::bridge::spool::Identity;
use edge_queue::{IdRange, Lane, RowId};

/// Most ranges, so that a stick whose rows have no two numbers in a row costs no more RAM than this.
pub(crate) const RANGES_MAX: usize = 16_384;

/// Lane and epoch of identities.
type Place = (u8, u32);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identities {
    /// Last number of each range, by place and first number.
    ranges: BTreeMap<(Place, u64), u64>,
    ids: u64,
}

impl Identities {
    /// Adds an identity; `false` if it would need one range too many.
    pub(crate) fn add(&mut self, id: Identity) -> bool {
        let place = (id.lane, id.epoch);
        let before = self.ranges.range(..=(place, id.seq)).next_back();
        let before = before.filter(|((at, _), _)| *at == place).map(|((_, first), last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= id.seq) {
            return true;
        }
        let joined = before.filter(|(_, last)| last.checked_add(1) == Some(id.seq));
        let after = id.seq.checked_add(1).and_then(|next| self.ranges.remove(&(place, next)));
        if joined.is_none() && after.is_none() && self.ranges.len() >= RANGES_MAX {
            return false;
        }
        let first = joined.map_or(id.seq, |(first, _)| first);
        self.ranges.insert((place, first), after.unwrap_or(id.seq));
        self.ids += 1;
        true
    }

    /// Number of identities.
    pub(crate) fn ids(&self) -> u64 {
        self.ids
    }

    /// Returns the ranges, ascending, as identities of this gateway.
    pub(crate) fn ranges(&self, gateway: u64) -> impl Iterator<Item = IdRange> {
        self.ranges.iter().map(move |(((lane, epoch), seq), last)| IdRange {
            first: RowId { gateway, lane: Lane(*lane), epoch: *epoch, seq: *seq },
            last: *last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_what_was_added_is_in_it_in_as_few_ranges_as_possible() {
        let mut set = Identities::default();
        let id = |lane, epoch, seq| Identity { gateway: 9, lane, epoch, seq };
        for seq in [5, 7, 6, 6, 1, u64::MAX, 9] {
            assert!(set.add(id(1, 3, seq)));
        }
        assert!(set.add(id(0, 3, 8)) && set.add(id(1, 4, 10)));
        let found: Vec<_> =
            set.ranges(9).map(|r| (r.first.lane.0, r.first.epoch, r.first.seq, r.last)).collect();
        let expected = [
            (0, 3, 8, 8),
            (1, 3, 1, 1),
            (1, 3, 5, 7),
            (1, 3, 9, 9),
            (1, 3, u64::MAX, u64::MAX),
            (1, 4, 10, 10),
        ];
        assert_eq!((found.as_slice(), set.ids()), (expected.as_slice(), 8));
    }
}
