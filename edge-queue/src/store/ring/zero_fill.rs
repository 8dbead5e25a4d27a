//! Prefill of a slot that was never written, before rows go there: a sync after writing into space that was only
//! reserved makes a file system commit its journal as well, 12 to 16 KiB and a second flush each time.
#![deny(clippy::indexing_slicing)]

use std::io;

use super::layout::Geometry;
use crate::medium::Medium;

/// Bytes of zeros that are written at a time.
const FILL_BYTES: usize = 256 * 1024;

/// Approximate bytes of such a journal commit. Commits of rows larger than that are cheaper with the journal than with a prefilled segment.
const JOURNAL_BYTES: usize = 16 * 1024;

/// First bytes of a prefilled slot until it is used, so that the next open does not prefill it again.
const FILLED: &[u8] = b"edge-queue: filled\n";

/// Returns whether a segment for commits of about `size` bytes should be prefilled.
pub(super) fn worth_filling(size: usize) -> bool {
    size <= JOURNAL_BYTES
}

/// Writes zeros over the whole slot, and then its mark. The caller syncs; returns the bytes written.
pub(super) fn fill(medium: &mut dyn Medium, geometry: &Geometry, slot: u32) -> io::Result<u64> {
    let zeros = vec![0; FILL_BYTES.min(geometry.segment_bytes as usize)];
    let (start, end) = (geometry.offset(slot, 0), geometry.offset(slot, geometry.pages()));
    let mut at = start;
    while at < end {
        let piece = zeros.get(..(end - at).min(zeros.len() as u64) as usize).unwrap_or_default();
        medium.write_at(at, piece)?;
        at += piece.len() as u64;
    }
    medium.write_at(start, FILLED)?;
    Ok(end - start + FILLED.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::test_sectors::Sectors;

    #[test]
    fn a_slot_is_zeroed_to_its_end_and_none_beside_it_is_touched() {
        let geometry = Geometry { segment_bytes: 320 * 1024, lanes: 1, segments: [3, 0, 0, 0] };
        let len = usize::try_from(geometry.file_bytes()).unwrap();
        for slot in 0..3 {
            let mut medium = Sectors { bytes: vec![0xff; len], ..Sectors::default() };
            let written = fill(&mut medium, &geometry, slot).unwrap();
            assert_eq!(written, medium.written as u64);
            let start = usize::try_from(geometry.offset(slot, 0)).unwrap();
            let (filled, mark) = (start..start + 320 * 1024, start..start + FILLED.len());
            for (at, byte) in medium.bytes.iter().enumerate().filter(|(at, _)| !mark.contains(at)) {
                assert_eq!(*byte == 0, filled.contains(&at), "byte {at}");
            }
            assert_eq!(&medium.bytes[mark], FILLED);
        }
    }
}
