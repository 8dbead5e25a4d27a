//! Writer of one lane's part of a commit: a small one grows the frame at the log's end, a larger one becomes frames of whole pages, as many as
//! fit into one write per segment.
#![deny(clippy::indexing_slicing)]

use super::active_segment::ActiveSegment;
use super::encryption::{EXTRA, FrameCipher};
use super::find_frames::Placed;
use super::frame::{Head, Kind};
use super::high_water::HighWaterMarks;
use super::lane::{LaneLog, row_bytes};
use super::layout::{FIRST_ROOM, FRAME_PAGES_MAX, Geometry, PAGE, SMALL, pages_for};
use super::record::{Before, put_change, put_ends, put_row};
use super::segment::Counters;
use crate::medium::Medium;
use crate::row::StoredRow;
use crate::state::{Change, State};
use crate::store::StoreError;

/// Buffers that live as long as the store, so that a commit allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    body: Vec<u8>,
    changes: Vec<u8>,
    /// Adjacent frames that are written with one call.
    pub(super) run: Vec<u8>,
}

/// Commit that is being written.
pub(super) struct Writer<'a> {
    pub(super) medium: &'a mut dyn Medium,
    pub(super) geometry: &'a Geometry,
    /// Cipher of an encrypted file.
    pub(super) cipher: Option<&'a FrameCipher>,
    pub(super) buffers: &'a mut Buffers,
    /// Bookkeeping of the last successful commit. The changes of this commit follow separately, so that a snapshot never includes parts of a
    /// commit that may be torn.
    pub(super) durable: &'a State,
    /// High-water marks of the lanes after that commit.
    pub(super) ends: &'a HighWaterMarks,
    pub(super) gateway: u64,
    pub(super) epoch: u32,
    pub(super) commit: u64,
    /// Newest synced commit of this run, as in [`Head::synced`].
    pub(super) synced: u64,
    /// Generation that the next opened slot gets: one count for the whole file.
    pub(super) generation: &'a mut u64,
    /// Bytes given to the medium so far.
    pub(super) written: &'a mut u64,
    /// Number of pages of the last snapshot written, or of the changes of a commit since.
    pub(super) head_pages: &'a mut usize,
}

/// Progress of the lane's part of the commit.
pub(super) struct Progress {
    pub(super) part: u32,
    /// Page at which the run of frames starts.
    pub(super) run_page: u32,
    closed: bool,
    /// Approximate bytes of the part.
    pub(super) size: usize,
}

impl Writer<'_> {
    /// Writes a lane's staged rows and `changes` (each with its place in the commit). Not durable before a sync.
    pub(super) fn lane(&mut self, log: &mut LaneLog, changes: &[(u32, &Change)]) -> Result<(), StoreError> {
        let mut encoded = std::mem::take(&mut self.buffers.changes);
        encoded.clear();
        for (index, change) in changes {
            put_change(&mut encoded, (self.commit, *index), change);
        }
        *self.head_pages = self.pages_for(encoded.len()).max(*self.head_pages);
        let rows = log.staged.clone();
        let closed = changes.iter().any(|(_, change)| matches!(change, Change::Closed));
        if closed {
            put_ends(&mut encoded, (self.commit, changes.len() as u32), self.ends);
        }
        let done = self.rows(log, &encoded, &rows, closed);
        self.buffers.changes = encoded;
        done
    }

    fn rows(
        &mut self,
        log: &mut LaneLog,
        changes: &[u8],
        rows: &[StoredRow],
        closed: bool,
    ) -> Result<(), StoreError> {
        // Twelve: what a record usually takes besides the row. Only the choice depends on it.
        let size = rows.iter().fold(changes.len(), |sum, row| sum.saturating_add(row_bytes(row) + 12));
        if !rows.is_empty() {
            log.usual = size;
        }
        let mut progress = Progress { part: 0, run_page: 0, closed, size };
        self.buffers.run.clear();
        if size <= SMALL && self.small(log, changes, rows, &mut progress)? {
            return Ok(());
        }
        self.large(log, changes, rows, &mut progress)
    }

    /// Adds the commit to the growing frame at the log's end; `false` when it does not fit into a page after all.
    fn small(
        &mut self,
        log: &mut LaneLog,
        changes: &[u8],
        rows: &[StoredRow],
        progress: &mut Progress,
    ) -> Result<bool, StoreError> {
        let first_room = FIRST_ROOM - self.extra();
        if let Some(grown) = log.tail.as_mut().and_then(|tail| tail.grown.as_mut()) {
            let (len, before) = (grown.body.len(), grown.before);
            put_all(&mut grown.body, &mut grown.before, changes, rows);
            let fits = grown.body.len() <= first_room;
            let page = if fits { log.tail.as_mut().and_then(ActiveSegment::flip) } else { None };
            if let Some(page) = page {
                return self.put_grown(log, rows, progress, page).map(|()| true);
            }
            if let Some(grown) = log.tail.as_mut().and_then(|tail| tail.grown.as_mut()) {
                grown.body.truncate(len);
                grown.before = before;
            }
        }
        let start = log.counters;
        let first_seq = rows.first().map_or(start.highest + 1, |row| row.seq);
        let before = Before::frame(self.epoch, first_seq);
        let (mut body, mut after) = (std::mem::take(&mut self.buffers.body), before);
        body.clear();
        put_all(&mut body, &mut after, changes, rows);
        let fits = body.len() <= first_room;
        self.buffers.body = body;
        if !fits {
            return Ok(false);
        }
        let mut page = log.tail.as_mut().and_then(|tail| tail.begin(start, first_seq, before));
        if page.is_none() {
            self.rotate(log, progress, rows.is_empty())?;
            self.flush(log, progress)?;
            let start = log.counters;
            page = log.tail.as_mut().and_then(|tail| tail.begin(start, first_seq, before));
        }
        let (Some(page), Some(grown)) = (page, log.tail.as_mut().and_then(|tail| tail.grown.as_mut())) else {
            return Ok(false);
        };
        grown.body.extend_from_slice(&self.buffers.body);
        grown.before = after;
        self.put_grown(log, rows, progress, page).map(|()| true)
    }

    /// Writes the growing frame, which holds `rows` already, to `page`.
    fn put_grown(
        &mut self,
        log: &mut LaneLog,
        rows: &[StoredRow],
        progress: &mut Progress,
        page: u32,
    ) -> Result<(), StoreError> {
        let Some(tail) = log.tail.as_ref() else { return Ok(()) };
        let Some(grown) = tail.grown.as_ref() else { return Ok(()) };
        let before = log.counters;
        let after = Counters {
            next: before.next + 1,
            rows: before.rows + rows.len() as u64,
            weight: before.weight + weight(rows),
            highest: rows.last().map_or(before.highest, |row| row.seq),
        };
        let mut head = self.head(Kind::Records, log, tail, progress);
        head.ends = true;
        head.base = grown.start.next;
        // The number the first row's difference counts from; a frame begun by changes has it before any row.
        head.first_seq = grown.first_seq;
        head.last_seq = after.highest;
        head.rows = (after.rows - grown.start.rows) as u32;
        head.weight = after.weight - grown.start.weight;
        head.rows_before = grown.start.rows;
        head.weight_before = grown.start.weight;
        self.buffers.run.clear();
        let head = match self.cipher {
            None => head.seal(&grown.body, &mut self.buffers.run),
            Some(_) => {
                // It grows on: what is encrypted is a copy.
                let mut body = std::mem::take(&mut self.buffers.body);
                body.clone_from(&grown.body);
                let sealed = self.seal(head, &mut body);
                self.buffers.body = body;
                sealed?
            }
        };
        log.pending.push(Placed { head, page });
        log.counters = after;
        progress.run_page = page;
        self.flush(log, progress)
    }

    /// Writes the commit as frames of whole pages.
    fn large(
        &mut self,
        log: &mut LaneLog,
        changes: &[u8],
        rows: &[StoredRow],
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        if let Some(tail) = log.tail.as_mut() {
            tail.close();
            progress.run_page = tail.next_page();
        }
        let mut body = std::mem::take(&mut self.buffers.body);
        body.clear();
        body.extend_from_slice(changes);
        let done = self.frames(log, &mut body, rows, progress);
        self.buffers.body = body;
        done?;
        self.flush(log, progress)
    }

    fn frames(
        &mut self,
        log: &mut LaneLog,
        body: &mut Vec<u8>,
        rows: &[StoredRow],
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        if !body.is_empty() && self.pages_for(body.len()) > log.tail.as_ref().map_or(0, ActiveSegment::left) {
            self.rotate(log, progress, rows.is_empty())?;
            if self.pages_for(body.len()) > log.tail.as_ref().map_or(0, ActiveSegment::left) {
                return Err(too_large("commit", "changes larger than a segment"));
            }
        }
        let (mut done, mut from) = (0, 0);
        let first = |n: usize, log: &LaneLog| rows.get(n).map_or(log.counters.highest + 1, |row| row.seq);
        let mut before = Before::frame(self.epoch, first(0, log));
        while let Some(row) = rows.get(done) {
            let len = body.len();
            put_row(body, &mut before, row);
            let left = log.tail.as_ref().map_or(0, ActiveSegment::left);
            let pages = self.pages_for(body.len());
            if pages <= left && (len == 0 || pages <= FRAME_PAGES_MAX) {
                done += 1;
                continue;
            }
            // This row belongs to the next frame, and if it is alone already, to the next segment.
            body.truncate(len);
            if len == 0 {
                self.rotate(log, progress, false)?;
                if pages > log.tail.as_ref().map_or(0, ActiveSegment::left) {
                    return Err(too_large("append", "row larger than a segment"));
                }
            } else {
                self.put_frame(log, body, rows.get(from..done).unwrap_or_default(), progress, false)?;
                from = done;
            }
            before = Before::frame(self.epoch, first(done, log));
        }
        if !body.is_empty() {
            self.put_frame(log, body, rows.get(from..).unwrap_or_default(), progress, true)?;
        }
        Ok(())
    }

    /// Adds a frame to the run. The caller made sure that it fits.
    fn put_frame(
        &mut self,
        log: &mut LaneLog,
        body: &mut Vec<u8>,
        rows: &[StoredRow],
        progress: &mut Progress,
        ends: bool,
    ) -> Result<(), StoreError> {
        let Some(tail) = log.tail.as_ref() else { return Ok(()) };
        let mut head = self.head(Kind::Records, log, tail, progress);
        head.ends = ends;
        head.first_seq = rows.first().map_or(log.counters.highest + 1, |row| row.seq);
        head.last_seq = rows.last().map_or(log.counters.highest, |row| row.seq);
        head.rows = rows.len() as u32;
        head.weight = weight(rows);
        let page = tail.next_page();
        let head = self.seal(head, body)?;
        body.clear();
        log.counters = Counters::after(&head);
        log.pending.push(Placed { head, page });
        if let Some(tail) = log.tail.as_mut() {
            tail.advance(head.pages);
        }
        progress.part += 1;
        Ok(())
    }

    /// Appends a frame of records to the run. In an encrypted file `body` is encrypted.
    fn seal(&mut self, head: Head, body: &mut Vec<u8>) -> Result<Head, StoreError> {
        if let Some(cipher) = self.cipher {
            cipher.encrypt(&head, body).map_err(|source| StoreError::Io { op: "encrypt", source })?;
        }
        Ok(head.seal(body, &mut self.buffers.run))
    }

    /// Bytes that encryption adds to a body.
    fn extra(&self) -> usize {
        if self.cipher.is_some() { EXTRA } else { 0 }
    }

    /// Returns the number of pages of a frame of records with `len` bytes.
    fn pages_for(&self, len: usize) -> usize {
        pages_for(len + self.extra())
    }

    /// Makes a header for the next frame, still without rows.
    pub(super) fn head(&self, kind: Kind, log: &LaneLog, tail: &ActiveSegment, progress: &Progress) -> Head {
        Head {
            kind,
            encrypted: self.cipher.is_some(),
            lane: log.lane,
            closed: progress.closed && kind == Kind::Records,
            ends: false,
            pages: 1,
            slot: tail.slot,
            gateway: self.gateway,
            generation: tail.generation,
            epoch: self.epoch,
            part: progress.part,
            commit: self.commit,
            counter: log.counters.next,
            base: log.counters.next,
            first_seq: log.counters.highest + 1,
            last_seq: log.counters.highest,
            rows: 0,
            body_len: 0,
            weight: 0,
            rows_before: log.counters.rows,
            weight_before: log.counters.weight,
            synced: self.synced,
        }
    }

    /// Writes the frames of the run, which lie next to each other, in one call.
    pub(super) fn flush(&mut self, log: &LaneLog, progress: &mut Progress) -> Result<(), StoreError> {
        let Some(tail) = log.tail.as_ref().filter(|_| !self.buffers.run.is_empty()) else { return Ok(()) };
        let offset = self.geometry.offset(tail.slot, progress.run_page);
        let done = self.medium.write_at(offset, &self.buffers.run);
        *self.written += self.buffers.run.len() as u64;
        progress.run_page += (self.buffers.run.len() / PAGE) as u32;
        self.buffers.run.clear();
        done.map_err(|source| StoreError::Io { op: "write", source })
    }
}

fn put_all(body: &mut Vec<u8>, before: &mut Before, changes: &[u8], rows: &[StoredRow]) {
    body.extend_from_slice(changes);
    rows.iter().for_each(|row| put_row(body, before, row));
}

pub(super) fn too_large(op: &'static str, what: &'static str) -> StoreError {
    StoreError::Io { op, source: std::io::Error::new(std::io::ErrorKind::InvalidInput, what) }
}

fn weight(rows: &[StoredRow]) -> u64 {
    rows.iter().map(|row| u64::from(row.weight)).sum()
}

#[cfg(test)]
mod tests;
