//! Footprint of a ring on disk and in RAM, computed before it is opened.

use super::layout::{Geometry, READ_BYTES, pages_for};
use super::missing_frames::Item;
use super::segment::Segment;
use crate::store::Options;

/// Bytes of RAM per segment: its entry, room for the list to grow into, and its place among the free ones.
const SEGMENT_RAM: u64 = 2 * size_of::<Segment>() as u64 + 16;

/// Disk space and RAM of a ring, computed from its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Length of the file in bytes.
    pub(crate) file_bytes: u64,
    /// Bytes of RAM that live as long as the store: segments, an index of the one read per lane, a frame, buffers.
    pub(crate) ram_bytes: u64,
}

impl Footprint {
    pub(crate) fn of(options: &Options) -> Footprint {
        let geometry = Geometry::of(options);
        let segment_bytes = u64::from(geometry.segment_bytes);
        let file_bytes = geometry.file_bytes();
        let row = (pages_for(options.row_bytes_max) as u64).saturating_mul(super::layout::PAGE as u64);
        let index = 2 * u64::from(geometry.pages()) * size_of::<Item>() as u64;
        // A run of frames for one write is at most a segment; a frame is written from one buffer and read into another.
        let buffers = segment_bytes.saturating_add(row.max(READ_BYTES as u64).saturating_mul(3));
        let ram_bytes = (file_bytes / segment_bytes * SEGMENT_RAM + u64::from(geometry.lanes) * index)
            .saturating_add(buffers);
        Footprint { file_bytes, ram_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_that_of_segments_indexes_a_run_and_three_frames() {
        let (lanes, row) = (2, 256 << 10);
        let lane_bytes = [8 << 20, 64 << 20].into();
        let options = Options {
            lanes,
            lane_bytes,
            segment_bytes: 1 << 20,
            row_bytes_max: row,
            gateway: 1,
            epoch_step: 1,
        };
        let found = Footprint::of(&options);
        assert_eq!(found.file_bytes, 8192 + (152 << 20));
        let segments = 152 * (2 * size_of::<Segment>() + 16);
        let indexes = 2 * 2 * 256 * size_of::<Item>();
        let frames = 3 * 65 * 4096;
        assert_eq!(found.ram_bytes, (segments + indexes + (1 << 20) + frames) as u64);
    }
}
