//! Filling a slot that was never written, before rows go there: a sync after writing into space that was only
//! reserved makes a file system commit its journal as well, 12 to 16 KiB and a second flush each time.
#![deny(clippy::indexing_slicing)]

use std::io;

use super::layout::Geometry;
use crate::medium::Medium;

/// Zeros written at a time.
const FILL_BYTES: usize = 256 * 1024;

/// Commits that must find room in a segment for filling it on the spot to be cheaper than their journal commits.
const COMMITS_MIN: usize = 8;

/// Whether a commit of about `size` bytes that begins a blank segment should fill it first.
pub(super) fn worth_filling(geometry: &Geometry, size: usize) -> bool {
    size.saturating_mul(COMMITS_MIN) <= geometry.segment_bytes as usize
}

/// Writes zeros over the whole slot. The caller syncs; returns the bytes written.
pub(super) fn fill(medium: &mut dyn Medium, geometry: &Geometry, slot: u32) -> io::Result<u64> {
    let zeros = vec![0; FILL_BYTES.min(geometry.segment_bytes as usize)];
    let (start, end) = (geometry.offset(slot, 0), geometry.offset(slot, geometry.pages()));
    let mut at = start;
    while at < end {
        let piece = zeros.get(..(end - at).min(zeros.len() as u64) as usize).unwrap_or_default();
        medium.write_at(at, piece)?;
        at += piece.len() as u64;
    }
    Ok(end - start)
}
