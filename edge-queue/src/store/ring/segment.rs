//! Entry of a segment in RAM: slot, life, epoch, and where the lane's log stood at its first frame.

use super::frame::Head;
use crate::row::Seq;

/// Place where a lane's log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Number of the next frame.
    pub(super) next: u64,
    /// Rows and weight ever written.
    pub(super) rows: u64,
    pub(super) weight: u64,
    /// Highest row ever written; 0 before the first.
    pub(super) highest: Seq,
}

impl Counters {
    /// Place after the frame of `head`.
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
    /// Rule 5 of the [epochs](super::epoch).
    pub(super) epoch: u32,
    /// Commit of the first frame: changes before it are in the snapshot.
    pub(super) commit: u64,
    /// Newest commit of that epoch which its frames, as far as they were looked at, say was synced.
    pub(super) synced: u64,
    /// The lane's log before the first frame; `next` is that frame's base.
    pub(super) start: Counters,
}

impl Segment {
    /// Tells that both are the same life of the same slot.
    pub(super) fn is(&self, other: &Segment) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }

    /// Tells that the commit that began it is the one of this frame.
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
