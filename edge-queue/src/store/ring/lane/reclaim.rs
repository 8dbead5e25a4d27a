//! Reclaiming of segments: one without wanted rows becomes free, without a byte moved.
#![deny(clippy::indexing_slicing)]

use super::LaneLog;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::store::DoneRows;

impl LaneLog {
    /// Marks rows as done, and frees the segments that have no others.
    pub(in crate::store::ring) fn advance(&mut self, done: &DoneRows) {
        if done.floor() >= self.done.floor() {
            self.done.clone_from(done);
        }
        self.reclaim();
    }

    /// Frees segments all of whose rows are done. The last one stays: it may hold the newest bookkeeping. The snapshot
    /// at its start is from before its commit, whose changes may lie in the segments that commit began in and went
    /// through: those are held until there is a newer snapshot.
    pub(super) fn reclaim(&mut self) {
        let newest = self.segments.last().map(|last| (last.epoch, last.commit));
        if self.held_for != newest {
            self.free.release();
            self.held_for = newest;
        }
        let began = self.segments.iter().position(|s| Some((s.epoch, s.commit)) == newest).unwrap_or(0);
        let count = self.segments.len();
        let mut ends = self.segments.iter().skip(1).map(|s| s.start).collect::<Vec<_>>().into_iter();
        let floor = planted(Flaw::FloorOnly).then(|| DoneRows::below(self.done.floor()));
        let (done, free) = (floor.as_ref().unwrap_or(&self.done), &mut self.free);
        let mut at = 0;
        self.segments.retain(|segment| {
            at += 1;
            let Some(end) = ends.next().filter(|_| at < count) else { return true };
            // Of segments in between that are free already every row was done, so it does not matter that they count here.
            let first = segment.start.highest.saturating_add(1);
            let ends = done.covers(first, first) && done.covers(end.highest, end.highest);
            let given_up = done.covers(first, end.highest) || (ends && planted(Flaw::HeldOverlooked));
            let keep = end.rows > segment.start.rows && !given_up;
            // `at` counts from 1: the segment before those the commit began is held too.
            if !keep && at >= began {
                free.hold(segment.slot);
            } else if !keep {
                free.put_written(segment.slot);
            }
            keep
        });
    }

    /// First and last row number of each segment that becomes free when its rows are dropped: the last one stays.
    pub(in crate::store::ring) fn evictable(&self) -> Vec<(Seq, Seq)> {
        let starts = self.segments.iter().map(|segment| segment.start.highest);
        starts.clone().zip(starts.skip(1)).map(|(before, end)| (before.saturating_add(1), end)).collect()
    }

    /// Gives up the oldest segment if there is none to write to and none free, because otherwise no acknowledgement could be recorded and no
    /// segment become free. Only damage leads here; the reader reports the rows as lost.
    pub(in crate::store::ring) fn keep_writable(&mut self) {
        if self.tail.is_none() && self.free.len() == 0 && self.segments.len() > 1 {
            let oldest = self.segments.remove(0);
            self.free.put_written(oldest.slot);
        }
    }
}
