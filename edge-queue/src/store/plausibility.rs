//! Plausibility checks of numbers read from disk. A valid checksum proves that the numbers were written, not that they make sense; and counters
//! that grow from them must not overflow.
#![deny(clippy::indexing_slicing)]

use crate::row::Seq;
use crate::state::{LaneState, Position};
use crate::store::EPOCH_STEP_MAX;

/// Largest plausible number: at a million rows a second a queue gets here in 36 000 years, and sums of a few stay far from overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 60;

/// Epoch from which a value is implausible, because every open must be able to raise it.
pub(crate) const EPOCH_END: u32 = u32::MAX / 2;

/// Epochs at the end of the range that are taken one by one: a million opens more.
const EPOCHS_SINGLE: u32 = 1 << 20;

/// Returns the epoch of the open that follows `epoch`, `step` above it. Steps of at most [`EPOCH_STEP_MAX`] last for half a million opens at least, and a
/// million on average; then each is one, and the last epoch stays.
pub(crate) fn next_epoch(epoch: u32, step: u32) -> u32 {
    let left = EPOCH_END.saturating_sub(epoch);
    let step = if left > EPOCHS_SINGLE { step.clamp(1, EPOCH_STEP_MAX) } else { 1 };
    leap_epoch(epoch, step)
}

/// Returns the epoch `leap` above this one, or the last one.
pub(crate) fn leap_epoch(epoch: u32, leap: u32) -> u32 {
    epoch.saturating_add(leap).min(EPOCH_END - 1)
}

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

    /// Promise 4: as long as there are epochs, an open gets one that no earlier one had, and each is one that the next open believes.
    #[test]
    fn an_epoch_rises_by_its_step_and_one_by_one_at_its_end() {
        assert_eq!(
            [0, 1, 700, EPOCH_STEP_MAX, u32::MAX].map(|step| next_epoch(5, step)),
            [6, 6, 705, 4101, 4101]
        );
        let (mut epoch, mut opens) = (1, 0u32);
        while epoch < EPOCH_END - 1 {
            let next = next_epoch(epoch, EPOCH_STEP_MAX);
            assert!(epoch < next && next < EPOCH_END, "{epoch}");
            (epoch, opens) = (next, opens + 1);
        }
        assert!(opens > 1_500_000, "{opens}");
        assert_eq!((next_epoch(epoch, 9), leap_epoch(epoch, 9), leap_epoch(7, 9)), (epoch, epoch, 16));
    }

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
