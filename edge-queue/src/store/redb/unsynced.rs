//! Unsynced writes: after a failed sync Linux marks the pages clean and returns them as if they were written, so a reopened redb would trust
//! bytes that are on no disk. Everything written since the last good sync is therefore kept in RAM and written again before redb may look at the
//! file, and a mark in the directory warns the next process.

use std::io;

use super::PAGE_BYTES;
use crate::medium::{Dir, Medium};

/// Name of the mark file in the directory while the page cache may have bytes that are on no disk. It need not be durable: it warns the process
/// after a killed one, and after a power cut the page cache is gone anyway.
const MARK: &str = "queue.redb.unsynced";
/// Bytes that are rewritten at a time.
const REWRITE_BYTES: usize = 256 * 1024;

/// Pieces written since the last good sync.
#[derive(Default)]
pub(super) struct Unsynced {
    pieces: Vec<(u64, Vec<u8>)>,
    sync_failed: bool,
}

impl Unsynced {
    /// Returns whether the last sync failed.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed
    }

    /// Keeps bytes that are being written, until the next sync that works.
    pub(super) fn keep(&mut self, offset: u64, data: &[u8]) {
        self.pieces.push((offset, data.to_vec()));
    }

    /// Drops pieces behind the file's new end, which would grow the file again if they were rewritten.
    pub(super) fn cut(&mut self, len: u64) {
        self.pieces.retain_mut(|(offset, data)| {
            let room = usize::try_from(len.saturating_sub(*offset)).unwrap_or(usize::MAX);
            data.truncate(room);
            !data.is_empty()
        });
    }

    /// Records the result of a sync; after a successful one the pieces are dropped.
    pub(super) fn note_sync(&mut self, result: &io::Result<()>) {
        self.sync_failed = result.is_err();
        if result.is_ok() {
            self.pieces.clear();
        }
    }

    /// Writes the pieces again and counts their bytes.
    pub(super) fn write_again(&self, medium: &mut dyn Medium, written: &mut u64) -> io::Result<()> {
        self.pieces.iter().try_for_each(|(offset, data)| {
            *written += data.len() as u64;
            medium.write_at(*offset, data)
        })
    }
}

/// Writes the whole file again and counts its bytes: for the process after one that died between a failed sync and its repair. A page that cannot
/// be read is left out: it is not in the system's memory, so what the medium has of it is all there is.
pub(super) fn rewrite(medium: &mut dyn Medium, written: &mut u64) -> io::Result<()> {
    let len = medium.len()?;
    let mut piece = Vec::new();
    for at in (0..len).step_by(REWRITE_BYTES) {
        piece.resize(REWRITE_BYTES.min(usize::try_from(len - at).unwrap_or(REWRITE_BYTES)), 0);
        if medium.read_at(at, &mut piece).is_ok() {
            *written += piece.len() as u64;
            medium.write_at(at, &piece)?;
            continue;
        }
        for (page, offset) in piece.chunks_mut(PAGE_BYTES).zip((at..).step_by(PAGE_BYTES)) {
            if medium.read_at(offset, page).is_ok() {
                *written += page.len() as u64;
                medium.write_at(offset, page)?;
            }
        }
    }
    Ok(())
}

/// Writes the mark that warns the next process; best effort, because the disk is failing.
pub(super) fn mark(dir: &dyn Dir) {
    let _ = dir.create(MARK);
}

/// Returns whether the process before has left the mark.
pub(super) fn is_marked(dir: &dyn Dir) -> bool {
    dir.open(MARK).is_ok()
}

/// Removes the mark, because disk and page cache agree again.
pub(super) fn clear(dir: &dyn Dir) {
    let _ = dir.remove(MARK);
}
