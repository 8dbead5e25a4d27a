//! Removed lanes, which the configuration no longer has. A lane can be removed only when no consumer wants a row of it, but its losses are still
//! to be reported and its sequence numbers must not be reused: figures, ledgers and gap records are kept until the lane is back.

use crate::model::Model;
use crate::planted_flaw::{Flaw, planted};
use crate::row::{Lane, Seq};
use crate::state::{Change, GapRecord, LaneState, Position, Reason};

/// Figures of a lane that the configuration no longer has, or one consumer's position in it.
#[derive(Clone, Debug)]
pub(crate) struct Absent<T> {
    pub(crate) kept: T,
    /// Set when `kept` changed since the last commit began.
    pub(crate) dirty: bool,
}

/// Returns the figures of a lane that is removed: no rows, and every number below `next` used.
pub(super) fn vacated_lane(known: LaneState, next: Seq) -> Absent<LaneState> {
    let kept = LaneState { next, floor: next, rows: 0, weight: 0, bytes: 0, recount_due: false };
    Absent { dirty: kept != known, kept }
}

/// Returns a consumer's position in a lane that is removed. Rows that it still has queued count as lost to damage, because the read of the lane
/// did not find them.
pub(super) fn vacated(known: &Position, next: Seq) -> Absent<Position> {
    let mut kept = known.clone();
    // Registered while the lane was away, or in a commit that did not arrive: it registers when the lane is back.
    if kept.floor > 0 {
        let missing = kept.accepted.saturating_sub(kept.settled());
        if missing > 0 {
            let (first_seq, last_seq) = (kept.floor.min(next.saturating_sub(1)), next.saturating_sub(1));
            kept.add_gap(GapRecord::new(first_seq, last_seq, missing, Reason::Quarantined));
            kept.dropped.add(Reason::Quarantined, missing);
        }
        (kept.floor, kept.queued_bytes) = (next, 0);
        kept.acked.clear();
    }
    Absent { dirty: kept != *known, kept }
}

impl Model {
    /// Returns the number that the next row of a removed lane would get if the lane were there.
    pub(super) fn absent_next(&self, at: usize) -> Seq {
        let absent = at.checked_sub(self.lanes.len()).and_then(|at| self.absent.get(at));
        absent.map_or(1, |lane| lane.kept.next)
    }

    /// Adds the changes of lanes that the configuration no longer has to a commit, mostly losses that were reported.
    pub(super) fn absent_changes(&mut self, changes: &mut Vec<Change>) {
        let first = self.lanes.len();
        for (at, lane) in self.absent.iter_mut().enumerate() {
            let id = Lane((first + at) as u8);
            if std::mem::take(&mut lane.dirty) {
                changes.push(Change::Lane { lane: id, state: lane.kept });
            }
            for consumer in &mut self.consumers {
                let Some(position) = consumer.absent.get_mut(at) else { continue };
                if std::mem::take(&mut position.dirty) {
                    let (consumer, position) = (consumer.name.clone(), position.kept.clone());
                    changes.push(Change::Position { consumer, lane: id, position });
                }
            }
        }
    }

    /// Handles a failed commit, so that everything of the absent lanes is written again.
    pub(super) fn absent_not_written(&mut self) {
        self.absent.iter_mut().for_each(|lane| lane.dirty = true);
        let positions = self.consumers.iter_mut().flat_map(|consumer| &mut consumer.absent);
        positions.for_each(|position| position.dirty = true);
    }

    /// Returns whether a commit would write anything of the absent lanes.
    pub(super) fn absent_dirty(&self) -> bool {
        self.absent.iter().any(|lane| lane.dirty)
            || self.consumers.iter().flat_map(|consumer| &consumer.absent).any(|position| position.dirty)
    }

    /// The figures of the absent lanes, for a snapshot.
    pub(super) fn absent_states(&self) -> impl Iterator<Item = LaneState> {
        self.absent.iter().filter(|_| !planted(Flaw::LaneForgotten)).map(|lane| lane.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lane_that_goes_claims_to_hold_is_a_loss_that_is_told() {
        let known =
            Position { floor: 40, accepted: 30, delivered: 20, queued_bytes: 900, ..Position::default() };
        let Absent { kept, dirty } = vacated(&known, 51);
        assert!(dirty && kept.accepted == kept.settled() && kept.queued_bytes == 0);
        let told: Vec<_> = kept.gaps.iter().map(|gap| (gap.first_seq, gap.last_seq, gap.count)).collect();
        assert_eq!(told, [(40, 50, 10)]);
        assert!(!vacated(&kept, 51).dirty, "once");
        // All of its numbers are done, and it claims a row all the same: the last one stands for it.
        let beyond = vacated(&Position { floor: 51, accepted: 21, ..known }, 51).kept;
        let told: Vec<_> = beyond.gaps.iter().map(|gap| (gap.first_seq, gap.last_seq, gap.count)).collect();
        assert_eq!(told, [(50, 50, 1)]);
        assert!(!vacated(&Position::default(), 51).dirty, "a consumer that never was in the lane");
    }
}
