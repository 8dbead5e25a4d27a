//! One lane's log in RAM: its segments, its end, and its staged rows; [`failed_commit`] undoes a commit that failed, [`reclaim`] frees segments.
#![deny(clippy::indexing_slicing)]

mod failed_commit;
mod reclaim;

use std::sync::Arc;

use self::failed_commit::Undo;
use super::active_segment::ActiveSegment;
use super::find_frames::Placed;
use super::free_slots::{FreeSlots, reserve};
use super::layout::{FRAME_PAGES_MAX, Geometry, pages_for, room_of};
use super::segment::{Counters, Segment};
use super::zero_fill::worth_filling;
use crate::row::StoredRow;
use crate::store::DoneRows;

/// Usual bytes of a row's record besides key, meta and payload, for planning; writing does not rely on it.
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
    /// End of the log; between commits this is the end of what is durable.
    pub(super) counters: Counters,
    /// Rows that no consumer wants any more.
    pub(super) done: DoneRows,
    /// Rows of the commit to come.
    pub(super) staged: Arc<Vec<StoredRow>>,
    /// Approximate bytes of the last commit with rows.
    pub(super) usual: usize,
    /// Frames of the commit that is being written.
    pub(super) pending: Vec<Placed>,
    undo: Undo,
    /// Run and commit of the newest snapshot when slots were last held back; `None` before that.
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
            undo: Undo::to(counters),
            held_for: None,
        }
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

    /// Adds the frames of a durable commit to the log.
    pub(super) fn finish(&mut self) {
        self.unstage();
        // Only what is done and a new segment decide what is free.
        if std::mem::take(&mut self.undo.opened) > 0 {
            self.reclaim();
        }
    }

    /// Returns the slot to prefill: the next one, if it was never written, its commits will be small, and half of the segment before it is used.
    /// Else `None`.
    pub(super) fn to_fill(&self, geometry: &Geometry) -> Option<u32> {
        let near = self.tail.as_ref().is_none_or(|tail| tail.left() <= geometry.pages() as usize / 2);
        self.free.next_blank().filter(|_| near && worth_filling(self.usual))
    }

    /// Returns the counters where the log of `segments[at]` ends.
    pub(super) fn end_of(&self, at: usize) -> Counters {
        self.segments.get(at + 1).map_or(self.counters, |next| next.start)
    }

    /// Returns the number of free segments for rows, and of pages at the log's end beside the changes that go with rows. `None` while a part of the
    /// reserve is used up; its segments are for changes alone.
    fn room(&self, head_pages: usize) -> Option<(usize, usize)> {
        let segments = self.free.len().checked_sub(reserve())?;
        let left = self.tail.as_ref().map_or(0, ActiveSegment::left);
        Some((segments, left.saturating_sub(head_pages.max(CHANGES_PAGES))))
    }

    /// Returns whether the staged rows find room, by a simulation of writing them. `head_pages` are the pages of a segment's snapshot, `extra` the
    /// bytes that encryption adds to a frame.
    pub(super) fn fits(&self, geometry: &Geometry, head_pages: usize, extra: usize) -> bool {
        let Some((mut segments, mut left)) = self.room(head_pages) else { return false };
        let room_of = |pages: usize| room_of(pages).saturating_sub(extra);
        let frame_room = |left: usize| room_of(left.min(FRAME_PAGES_MAX));
        let (mut body, mut room) = (0usize, frame_room(left));
        for row in self.staged.iter() {
            let size = row_bytes(row).saturating_add(RECORD_USUAL);
            if body > 0 && body.saturating_add(size) > room {
                left = left.saturating_sub(pages_for(body.saturating_add(extra)));
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

    /// Returns the bytes of rows that certainly find room: half of the pages, because a commit is padded to whole ones.
    pub(super) fn room_bytes(&self, geometry: &Geometry, head_pages: usize) -> u64 {
        let Some((segments, left)) = self.room(head_pages) else { return 0 };
        let per_segment = room_of((geometry.pages() as usize).saturating_sub(head_pages));
        (per_segment.saturating_mul(segments).saturating_add(room_of(left)) / 2) as u64
    }
}

/// Returns the bytes of key, meta and payload.
pub(super) fn row_bytes(row: &StoredRow) -> usize {
    row.key.len().saturating_add(row.meta.len()).saturating_add(row.payload.len())
}

#[cfg(test)]
mod tests;
