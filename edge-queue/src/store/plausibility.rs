//! Plausibility checks of numbers read from disk. A valid checksum proves that the numbers were written, not that they make sense; and counters
//! that grow from them must not overflow.
#![deny(clippy::indexing_slicing)]

use crate::row::Seq;
use crate::state::{LaneState, Position};

/// Largest plausible number: at a million rows a second a queue gets here in 36 000 years, and sums of a few stay far from overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 60;

/// Returns whether this can be a row's sequence number.
pub(crate) fn seq(seq: Seq) -> bool {
    (1..=NUMBER_MAX).contains(&seq)
}

/// Returns whether the figures of a lane are plausible: all are within [`NUMBER_MAX`].
pub(crate) fn lane(lane: &LaneState) -> bool {
    [lane.next, lane.floor, lane.rows, lane.weight, lane.bytes].iter().all(|n| *n <= NUMBER_MAX)
}

/// Returns whether a stored position is plausible: counters and gaps within [`NUMBER_MAX`], acknowledged ranges that ascend above the floor.
pub(crate) fn position(position: &Position) -> bool {
    let counters =
        [position.floor, position.accepted, position.delivered, position.moved, position.queued_bytes];
    let mut below = position.floor;
    counters.iter().chain(&position.dropped.0).all(|n| *n <= NUMBER_MAX)
        && position.gaps.iter().all(|gap| gap.first_seq <= gap.last_seq && gap.last_seq <= NUMBER_MAX)
        && position.gaps.iter().all(|gap| gap.count <= NUMBER_MAX)
        && position.acked.iter().all(|(first, last)| {
            let ascends = below <= *first && first <= last && *last <= NUMBER_MAX;
            below = last.saturating_add(1);
            ascends
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_their_end_and_ranges_that_cross_are_not_believed() {
        assert!(seq(1) && !seq(0) && !seq(u64::MAX));
        assert!(lane(&LaneState::default()));
        assert!(!lane(&LaneState { next: u64::MAX, ..LaneState::default() }));
        let at = |floor, acked: &[(Seq, Seq)]| Position {
            floor,
            acked: acked.iter().copied().collect(),
            ..Position::default()
        };
        assert!(position(&at(5, &[(7, 9), (11, 11)])));
        for wrong in [&[(4, 9)][..], &[(7, 6)], &[(7, 9), (9, 12)], &[(7, u64::MAX)]] {
            assert!(!position(&at(5, wrong)), "{wrong:?}");
        }
        assert!(!position(&Position {
            dropped: crate::Dropped([0, u64::MAX, 0, 0, 0, 0, 0]),
            ..Position::default()
        }));
    }
}
