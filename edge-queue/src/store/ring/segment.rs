//! Entry of a segment in RAM: slot, generation, epoch, and the counters of the lane's log at its first frame.

use super::frame::Head;
use crate::row::Seq;

/// Counters of a lane's log at one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Number of the next frame.
    pub(super) next: u64,
    /// Number of rows ever written to the lane; `weight` is their weight.
    pub(super) rows: u64,
    pub(super) weight: u64,
    /// Highest row number ever written; 0 before the first row.
    pub(super) highest: Seq,
}

impl Counters {
    /// Returns the counters after the frame of `head`.
    pub(super) fn after(head: &Head) -> Counters {
        Counters {
            next: head.counter + 1,
            rows: head.rows_after(),
            weight: head.weight_after(),
            highest: head.last_seq,
        }
    }
}

/// A segment in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) slot: u32,
    pub(super) generation: u64,
    /// Epoch in which the segment was begun: rule 5 of the [epochs](super::epoch).
    pub(super) epoch: u32,
    /// Commit of the first frame: changes before it are in the snapshot.
    pub(super) commit: u64,
    /// Newest commit of that epoch that the segment's frames, as far as they were read, prove to be synced.
    pub(super) synced: u64,
    /// Counters of the lane's log before the first frame; `next` is that frame's base.
    pub(super) start: Counters,
}

impl Segment {
    /// Returns whether both are the same life of the same slot.
    pub(super) fn is(&self, other: &Segment) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }

    /// Returns whether the segment was begun by the commit of this frame.
    pub(super) fn is_of(&self, head: &Head) -> bool {
        (self.epoch, self.commit) == (head.epoch, head.commit)
    }

    /// Makes a segment of its first frame's header.
    pub(super) fn of(head: &Head) -> Segment {
        let start = Counters {
            next: head.base,
            rows: head.rows_before,
            weight: head.weight_before,
            highest: head.first_seq.saturating_sub(1),
        };
        Segment {
            slot: head.slot,
            generation: head.generation,
            epoch: head.epoch,
            commit: head.commit,
            synced: head.synced,
            start,
        }
    }
}
