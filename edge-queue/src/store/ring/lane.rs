//! One lane's log in RAM: its segments, its end, what is staged for it, and how a failed commit is undone.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use super::active_segment::ActiveSegment;
use super::free_slots::{FreeSlots, reserve};
use super::layout::{FRAME_PAGES_MAX, Geometry, pages_for, room_of};
use super::prefill::worth_filling;
use super::segment::{Counters, Placed, Segment};
use crate::flaw::{Flaw, planted};
use crate::row::{Seq, StoredRow};
use crate::store::DoneRows;

/// Bytes of a row's record besides key, meta and payload as a rule, for planning; writing does not rely on it.
const RECORD_USUAL: usize = 48;
/// Pages left at the log's end for the changes that go with rows: 1 024 ranges of a few bytes each, and some gap records.
const CHANGES_PAGES: usize = 4;

/// Log of one lane: its segments in order.
#[derive(Debug)]
pub(super) struct LaneLog {
    pub(super) lane: u8,
    /// Segments in use, in the order in which they were written.
    pub(super) segments: Vec<Segment>,
    pub(super) free: FreeSlots,
    pub(super) tail: Option<ActiveSegment>,
    /// The end of the log: of what is durable, between commits.
    pub(super) counters: Counters,
    /// Rows that nobody asks for again.
    pub(super) done: DoneRows,
    /// Rows of the commit to come.
    pub(super) staged: Arc<Vec<StoredRow>>,
    /// About how many bytes the last commit with rows had.
    pub(super) usual: usize,
    /// Frames of the commit that is being written.
    pub(super) pending: Vec<Placed>,
    /// Segments begun by the commit that is being written.
    opened: usize,
    /// Number of those segments that were durable when the held slots were released: their snapshot alone has what
    /// these slots had.
    relied_on: usize,
    undo: Counters,
    /// Run and commit whose snapshot is the newest, when slots were last given up.
    held_for: Option<(u32, u64)>,
}

impl LaneLog {
    pub(super) fn new(lane: u8) -> LaneLog {
        let counters = Counters { next: 1, ..Counters::default() };
        LaneLog {
            lane,
            segments: Vec::new(),
            free: FreeSlots::default(),
            tail: None,
            counters,
            done: DoneRows::default(),
            staged: Arc::default(),
            usual: 0,
            pending: Vec::new(),
            opened: 0,
            relied_on: 0,
            undo: counters,
            held_for: None,
        }
    }

    /// Before the first byte of a commit.
    pub(super) fn begin(&mut self) {
        self.undo = self.counters;
        (self.opened, self.relied_on) = (0, 0);
        self.pending.clear();
    }

    /// Adds rows to the next commit.
    pub(super) fn stage(&mut self, rows: &Arc<Vec<StoredRow>>) {
        if self.staged.is_empty() {
            self.staged = rows.clone();
        } else {
            Arc::make_mut(&mut self.staged).extend_from_slice(rows);
        }
    }

    pub(super) fn unstage(&mut self) {
        if !self.staged.is_empty() {
            self.staged = Arc::default();
        }
    }

    /// Adds a segment that was begun, as the one that is written to.
    pub(super) fn open_segment(&mut self, segment: Segment, tail: ActiveSegment) {
        self.segments.push(segment);
        self.tail = Some(tail);
        self.opened += 1;
    }

    /// Returns whether the commit has begun a segment.
    pub(super) fn has_begun(&self) -> bool {
        self.opened > 0
    }

    /// The segments that the commit has begun so far are durable, and with them a snapshot that has all that slots were held
    /// for.
    pub(super) fn release_held(&mut self) {
        self.relied_on = self.opened;
        self.free.release();
    }

    /// Takes over what a commit wrote, since it is durable.
    pub(super) fn finish(&mut self) {
        self.unstage();
        // Only what is done and a new segment decide what is free.
        if std::mem::take(&mut self.opened) > 0 {
            self.reclaim();
        }
    }

    /// The commit failed: the log ends where it ended before, and what was written into since is not written into
    /// again before it was read; what is relied on not before there is a newer snapshot.
    pub(super) fn abandon(&mut self) {
        self.counters = self.undo;
        self.pending.clear();
        self.tail = None;
        for nth in (0..self.opened).rev() {
            match self.segments.pop() {
                Some(segment) if planted(Flaw::SuspectReused) => self.free.put_written(segment.slot),
                Some(segment) if nth < self.relied_on => self.free.hold_suspect(segment.slot),
                Some(segment) => self.free.put_suspect(segment.slot),
                None => {}
            }
        }
        self.opened = 0;
    }

    /// Notes the rows that nobody asks for again, and frees the segments that hold no others.
    pub(super) fn advance(&mut self, done: &DoneRows) {
        if done.floor() >= self.done.floor() {
            self.done.clone_from(done);
        }
        self.reclaim();
    }

    /// Frees segments all of whose rows are given up. The last one stays: it may hold the newest bookkeeping. The snapshot at
    /// its start is from before its commit, whose changes may lie in the segments that commit began in and went through:
    /// those are held until there is a newer snapshot.
    fn reclaim(&mut self) {
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

    /// First and last number of each segment that becomes free when its rows are given up: the last one stays.
    pub(super) fn evictable(&self) -> Vec<(Seq, Seq)> {
        let starts = self.segments.iter().map(|segment| segment.start.highest);
        starts.clone().zip(starts.skip(1)).map(|(before, end)| (before.saturating_add(1), end)).collect()
    }

    /// The slot to fill ahead: the next one when it was never written, its commits will be small, and half of the segment
    /// before it is used.
    pub(super) fn to_fill(&self, geometry: &Geometry) -> Option<u32> {
        let near = self.tail.as_ref().is_none_or(|tail| tail.left() <= geometry.pages() as usize / 2);
        self.free.next_blank().filter(|_| near && worth_filling(self.usual))
    }

    /// Gives the oldest segment up where there is none to write to and none free, since nothing could ever be noted
    /// again, and so none be freed. Only damage leads here; the reader reports the rows as lost.
    pub(super) fn keep_writable(&mut self) {
        if self.tail.is_none() && self.free.len() == 0 && self.segments.len() > 1 {
            let oldest = self.segments.remove(0);
            self.free.put_written(oldest.slot);
        }
    }

    /// Returns where the log of `segments[at]` ends.
    pub(super) fn end_of(&self, at: usize) -> Counters {
        self.segments.get(at + 1).map_or(self.counters, |next| next.start)
    }

    /// Free segments for rows, and pages at the log's end beside the changes that go with them. `None`: the reserve is in use,
    /// and its segments are for changes alone.
    fn room(&self, head_pages: usize) -> Option<(usize, usize)> {
        let segments = self.free.len().checked_sub(reserve())?;
        let left = self.tail.as_ref().map_or(0, ActiveSegment::left);
        Some((segments, left.saturating_sub(head_pages.max(CHANGES_PAGES))))
    }

    /// Returns whether the staged rows find room, going through the motions of writing them. `head_pages`: what the bookkeeping takes.
    pub(super) fn fits(&self, geometry: &Geometry, head_pages: usize) -> bool {
        let Some((mut segments, mut left)) = self.room(head_pages) else { return false };
        let frame_room = |left: usize| room_of(left.min(FRAME_PAGES_MAX));
        let (mut body, mut room) = (0usize, frame_room(left));
        for row in self.staged.iter() {
            let size = row_bytes(row).saturating_add(RECORD_USUAL);
            if body > 0 && body.saturating_add(size) > room {
                left = left.saturating_sub(pages_for(body));
                (body, room) = (0, frame_room(left));
            }
            if body == 0 && size > room && size > room_of(left) {
                let Some(rest) = segments.checked_sub(1) else { return false };
                segments = rest;
                left = (geometry.pages() as usize).saturating_sub(head_pages);
                room = frame_room(left);
                if size > room_of(left) {
                    return false;
                }
            }
            body = body.saturating_add(size);
        }
        true
    }

    /// Bytes of rows that surely find room: half of the pages, since a commit is padded to whole ones.
    pub(super) fn room_bytes(&self, geometry: &Geometry, head_pages: usize) -> u64 {
        let Some((segments, left)) = self.room(head_pages) else { return 0 };
        let per_segment = room_of((geometry.pages() as usize).saturating_sub(head_pages));
        (per_segment.saturating_mul(segments).saturating_add(room_of(left)) / 2) as u64
    }
}

/// Key, meta and payload.
pub(super) fn row_bytes(row: &StoredRow) -> usize {
    row.key.len().saturating_add(row.meta.len()).saturating_add(row.payload.len())
}

#[cfg(test)]
mod tests;
