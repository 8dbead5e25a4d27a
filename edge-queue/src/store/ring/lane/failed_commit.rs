//! Undoing of a failed commit: the log ends where it ended before, and the segments that the commit began are given back.
#![deny(clippy::indexing_slicing)]

use super::LaneLog;
use crate::planted_flaw::{Flaw, planted};
use crate::store::ring::active_segment::ActiveSegment;
use crate::store::ring::segment::{Counters, Segment};

/// State before a commit, to be restored if it fails.
#[derive(Debug)]
pub(super) struct Undo {
    /// End of the log before the commit.
    counters: Counters,
    /// Number of segments that the commit began.
    pub(super) opened: usize,
    /// Number of those segments that were durable when the held slots were released: only their snapshot has the content of these slots.
    relied_on: usize,
}

impl Undo {
    /// Makes the record of a commit that has begun nothing, with the log's end before it.
    pub(super) fn to(counters: Counters) -> Undo {
        Undo { counters, opened: 0, relied_on: 0 }
    }
}

impl LaneLog {
    /// Records the end of the log before the first byte of a commit, to return to if the commit fails.
    pub(in crate::store::ring) fn begin(&mut self) {
        self.undo = Undo::to(self.counters);
        self.pending.clear();
    }

    /// Adds a segment that was begun, as the one that is written to.
    pub(in crate::store::ring) fn open_segment(&mut self, segment: Segment, tail: ActiveSegment) {
        self.segments.push(segment);
        self.tail = Some(tail);
        self.undo.opened += 1;
    }

    /// Returns whether the commit has begun a segment.
    pub(in crate::store::ring) fn has_begun(&self) -> bool {
        self.undo.opened > 0
    }

    /// Records that the segments begun by the commit so far are durable, and frees the held slots, because a snapshot in these segments has their
    /// content.
    pub(in crate::store::ring) fn release_held(&mut self) {
        self.undo.relied_on = self.undo.opened;
        self.free.release();
    }

    /// Undoes a failed commit: the log ends where it ended before. Slots that the commit wrote into are used last and read before they are written
    /// again, since the medium may have refused them. One whose snapshot is the only durable copy of changes from released slots is held
    /// until a newer snapshot is durable.
    pub(in crate::store::ring) fn abandon(&mut self) {
        self.counters = self.undo.counters;
        self.pending.clear();
        self.tail = None;
        for nth in (0..self.undo.opened).rev() {
            match self.segments.pop() {
                Some(segment) if planted(Flaw::SuspectReused) => self.free.put_written(segment.slot),
                Some(segment) if nth < self.undo.relied_on => self.free.hold_suspect(segment.slot),
                Some(segment) => self.free.put_suspect(segment.slot),
                None => {}
            }
        }
        self.undo.opened = 0;
    }
}
