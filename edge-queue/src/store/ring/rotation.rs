//! Segment rotation: begins a new segment when a lane's newest one is full.
#![deny(clippy::indexing_slicing)]

use super::active_segment::ActiveSegment;
use super::frame::Kind;
use super::free_slots::reserve;
use super::lane::LaneLog;
use super::layout::pages_for;
use super::page_reader::{probe, readable};
use super::segment::{Counters, Segment};
use super::snapshot::put_snapshot;
use super::writer::{Progress, Writer, too_large};
use super::zero_fill::{fill, worth_filling};
use crate::row::Lane;
use crate::store::StoreError;

impl Writer<'_> {
    /// Begins a segment, whose first frame holds the snapshot and opens the next run of pages. `changes_only` may take a slot of
    /// the reserve.
    pub(super) fn rotate(
        &mut self,
        log: &mut LaneLog,
        progress: &mut Progress,
        changes_only: bool,
    ) -> Result<(), StoreError> {
        self.flush(log, progress)?;
        if !changes_only && log.free.len() <= reserve() {
            return Err(StoreError::Full { lane: Lane(log.lane) });
        }
        let mut body = Vec::new();
        put_snapshot(&mut body, self.geometry, self.durable);
        self.ends.put(&mut body);
        // The last bytes: with them a file that lost both superblocks knows its key.
        self.cipher.iter().for_each(|cipher| body.extend_from_slice(cipher.check()));
        *self.head_pages = pages_for(body.len());
        if *self.head_pages > self.geometry.pages() as usize {
            return Err(too_large("commit", "bookkeeping larger than a segment"));
        }
        let blank = log.free.next_blank();
        let slot = self.next_slot(log)?;
        if blank == Some(slot) && worth_filling(progress.size) {
            // Nobody had time to do it before. The commit's own sync covers it.
            match fill(self.medium, self.geometry, slot) {
                Ok(bytes) => *self.written += bytes,
                Err(source) => {
                    log.free.put_suspect(slot);
                    return Err(StoreError::Io { op: "write", source });
                }
            }
        }
        let generation = *self.generation;
        *self.generation += 1;
        let tail = ActiveSegment::new(slot, generation, self.geometry.pages(), 0);
        let head = self.head(Kind::Snapshot, log, &tail, progress).seal(&body, &mut self.buffers.run);
        log.open_segment(Segment::of(&head), tail);
        log.counters = Counters::after(&head);
        progress.part += 1;
        progress.run_page = 0;
        if let Some(tail) = log.tail.as_mut() {
            tail.advance(head.pages);
        }
        Ok(())
    }

    /// Takes a free slot for a new segment.
    pub(super) fn next_slot(&mut self, log: &mut LaneLog) -> Result<u32, StoreError> {
        let (medium, geometry) = (&*self.medium, self.geometry);
        if let Some(slot) = log.free.take(|slot| readable(medium, geometry, slot)) {
            return Ok(slot);
        }
        if log.free.holds() && log.has_begun() {
            self.medium.sync().map_err(|source| StoreError::Io { op: "sync", source })?;
            log.release_held();
            return self.next_slot(log);
        }
        // The newest segment was begun by changes alone, which took the reserve: they lie in it, and no held slot has any. Or
        // the others cannot be read; then nothing else is left.
        if let Some(slot) = log.free.take_held() {
            return Ok(slot);
        }
        // Only suspects are left and none can be read. Their fault or the medium's? Room is given up for the first only.
        Err(match probe(&*self.medium, 0) {
            Ok(()) => StoreError::Full { lane: Lane(log.lane) },
            Err(source) => StoreError::Io { op: "read", source },
        })
    }
}
