//! Layout of `queue.ring`: sizes, offsets and the geometry that follows from the limits.
//!
//! ```text
//! 0        4 KiB    8 KiB
//! | super A | super B | segment 0 | segment 1 | … | segment n-1 |
//!                     └ lane 0: its slots ┘└ lane 1 …           ┘
//! ```
//! `docs/queue-format.md` draws every byte.

use std::ops::Range;

use crate::model::{CONSUMERS_MAX, GAPS_MAX, RANGES_BOUND};
use crate::per_lane::PerLane;
use crate::row::LANES_MAX;
use crate::store::{Options, SEGMENT_BYTES_MAX};

/// Name of the file in the queue's directory.
pub(super) const FILE: &str = "queue.ring";
/// Name of the file while it is being created; renamed once it is complete.
pub(super) const FILE_NEW: &str = "queue.ring.new";

/// Version of the format in `docs/queue-format.md`.
pub(super) const FORMAT: u16 = 1;
/// Version of an encrypted file, which readers of version 1 alone refuse.
pub(super) const FORMAT_ENCRYPTED: u16 = 2;

/// Unit of the file's writes: the page size of ext4 and of every flash translation layer we know.
pub(super) const PAGE: usize = 4096;
/// Bytes of a frame's header, at the start of its first page.
pub(super) const HEAD: usize = 136;
/// Bytes of the mark at the start of each further page of a frame. Because of it no payload can be taken for a frame's header, whatever a sender
/// puts into it.
pub(super) const MARK: usize = 8;
/// Body bytes in a frame's first page.
pub(super) const FIRST_ROOM: usize = PAGE - HEAD;
/// Body bytes in each further page.
pub(super) const NEXT_ROOM: usize = PAGE - MARK;

/// Start of segment 0: behind the two superblock pages.
pub(super) const SEGMENTS_AT: u64 = 2 * PAGE as u64;

/// Unit of a segment's size in bytes, so that a lost geometry can be searched for.
pub(super) const SEGMENT_STEP: u64 = 64 * 1024;

/// Most pages of a frame, which bounds a read and a loss; only a frame with a single row may be larger.
pub(super) const FRAME_PAGES_MAX: usize = 16;
/// Bytes that are read at a time.
pub(super) const READ_BYTES: usize = FRAME_PAGES_MAX * PAGE;

/// Estimated bytes below which a lane's commit goes into a frame that grows, instead of being padded.
pub(super) const SMALL: usize = PAGE / 2 - HEAD;

/// Bytes for the snapshot at a segment's start.
const SNAPSHOT_BYTES: u64 = 64 * 1024;
/// Most bytes of a range in a snapshot, while sequence numbers stay below 2^48 and ranges lie less than 2^28 apart.
const RANGE_BYTES: usize = 6;
/// Most bytes of a gap record in a snapshot, under the same conditions.
const GAP_BYTES: usize = 32;
/// Most bytes of a consumer in a snapshot, under the same conditions.
const CONSUMER_BYTES: usize = 512;

/// Most bytes of a row's record besides key, meta and payload: see `record.rs`.
pub(super) const RECORD_OVERHEAD: u64 = 96;

// The smallest segment holds a snapshot, and a commit that changes all of it.
const _: () = assert!(
    2 * (RANGES_BOUND * RANGE_BYTES + GAPS_MAX * GAP_BYTES + CONSUMERS_MAX * CONSUMER_BYTES + 2 * PAGE)
        <= SEGMENT_STEP as usize
);
const _: () = assert!(READ_BYTES <= 64 * 1024);
const _: () = assert!((SEGMENT_STEP as usize).is_multiple_of(PAGE));
const _: () = assert!(SMALL < FIRST_ROOM);
const _: () = assert!(LANES_MAX <= 4, "the superblock has room for four lanes");

/// Returns the number of pages that a frame with `body` bytes takes.
pub(super) fn pages_for(body: usize) -> usize {
    1 + body.saturating_sub(FIRST_ROOM).div_ceil(NEXT_ROOM)
}

/// Returns the body bytes that fit into a frame of `pages` pages.
pub(super) fn room_of(pages: usize) -> usize {
    match pages.checked_sub(1) {
        Some(more) => FIRST_ROOM.saturating_add(more.saturating_mul(NEXT_ROOM)),
        None => 0,
    }
}

/// Division of the file into regions of lanes, and of these into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes per segment, a multiple of [`SEGMENT_STEP`].
    pub(super) segment_bytes: u32,
    /// Number of lanes.
    pub(super) lanes: u8,
    /// Segments of each lane's region.
    pub(super) segments: [u32; LANES_MAX],
}

impl Geometry {
    /// The geometry for these limits: `region = 2 × limit + 4 segments`.
    pub(super) fn of(options: &Options) -> Geometry {
        let lanes = usize::from(options.lanes).clamp(1, LANES_MAX);
        let limits = || options.lane_bytes.iter().take(lanes).copied();
        let smallest = limits().min().unwrap_or(0);
        let largest = limits().max().unwrap_or(0);
        // A small lane gets small segments, or its four spare ones would dwarf it.
        let wish = options.segment_bytes.min(smallest / 4);
        // A row lies in one segment behind the snapshot, but cannot be larger than every limit.
        let row = u64::try_from(options.row_bytes_max).unwrap_or(u64::MAX).min(largest);
        let least = if row < SEGMENT_STEP / 4 {
            SEGMENT_STEP
        } else {
            row.saturating_add(RECORD_OVERHEAD + SNAPSHOT_BYTES)
        };
        let bytes = wish.max(least).min(SEGMENT_BYTES_MAX).next_multiple_of(SEGMENT_STEP);
        let mut segments = [0; LANES_MAX];
        for (slot, limit) in segments.iter_mut().zip(limits()) {
            let count = limit.saturating_mul(2).div_ceil(bytes).saturating_add(4);
            *slot = u32::try_from(count).unwrap_or(u32::MAX / 8).min(u32::MAX / 8);
        }
        Geometry {
            segment_bytes: u32::try_from(bytes).unwrap_or(1 << 20),
            lanes: u8::try_from(lanes).unwrap_or(1),
            segments,
        }
    }

    /// Returns whether numbers read from a disk are a plausible geometry.
    pub(super) fn is_sane(&self) -> bool {
        let bytes = u64::from(self.segment_bytes);
        let lanes = usize::from(self.lanes);
        (1..=LANES_MAX).contains(&lanes)
            && (SEGMENT_STEP..=SEGMENT_BYTES_MAX).contains(&bytes)
            && bytes.is_multiple_of(SEGMENT_STEP)
            && self.segments.iter().take(lanes).all(|n| (1..=u32::MAX / 8).contains(n))
    }

    /// Returns this geometry without the slots that are wholly beyond `len`, but with at least one per lane: they are empty, and an implausible
    /// number must not cost time and memory.
    pub(super) fn within(mut self, len: u64) -> Geometry {
        let mut left = len.saturating_sub(SEGMENTS_AT).div_ceil(u64::from(self.segment_bytes).max(1));
        for count in self.segments.iter_mut().take(usize::from(self.lanes)) {
            *count = u32::try_from(left).unwrap_or(u32::MAX).min(*count).max(1);
            left = left.saturating_sub(u64::from(*count));
        }
        self
    }

    /// Returns the most bytes of key, meta and payload of a row that surely fits into an empty segment, behind the largest snapshot.
    pub(super) fn row_bytes_max(&self) -> usize {
        let room = u64::from(self.segment_bytes).saturating_sub(RECORD_OVERHEAD + SNAPSHOT_BYTES);
        usize::try_from(room.max(SEGMENT_STEP / 4 - 1)).unwrap_or(usize::MAX)
    }

    /// Returns the byte limit that each lane's region is made for: the inverse of [`of`](Self::of), at least one segment.
    pub(super) fn lane_bytes(&self) -> PerLane<u64> {
        let bytes = u64::from(self.segment_bytes);
        PerLane::from_fn(|at| match self.segments.get(at) {
            Some(segments) if at < usize::from(self.lanes) => {
                (u64::from(segments.saturating_sub(4)) * bytes / 2).max(bytes)
            }
            _ => u64::MAX,
        })
    }

    /// Number of pages in a segment.
    pub(super) fn pages(&self) -> u32 {
        self.segment_bytes / PAGE as u32
    }

    /// Returns the numbers of the slots in a lane's region.
    pub(super) fn slots(&self, lane: u8) -> Range<u32> {
        let at = usize::from(lane);
        let start = self.segments.iter().take(at).fold(0u32, |sum, n| sum.saturating_add(*n));
        start..start.saturating_add(self.segments.get(at).copied().unwrap_or(0))
    }

    /// Returns where a page lies in the file.
    pub(super) fn offset(&self, slot: u32, page: u32) -> u64 {
        SEGMENTS_AT + u64::from(slot) * u64::from(self.segment_bytes) + u64::from(page) * PAGE as u64
    }

    /// Returns the length of the file in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        let lanes = usize::from(self.lanes);
        let slots: u64 = self.segments.iter().take(lanes).map(|n| u64::from(*n)).sum();
        SEGMENTS_AT + slots * u64::from(self.segment_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(lanes: u8, lane_bytes: [u64; 4], row: usize) -> Options {
        Options {
            lanes,
            lane_bytes: lane_bytes.into(),
            segment_bytes: 1 << 20,
            row_bytes_max: row,
            gateway: 1,
            epoch_step: 1,
        }
    }

    #[test]
    fn a_region_is_made_for_its_limit_or_a_little_more() {
        for limit in [1, 4096, 100_000, 1 << 20, (1 << 20) + 1, 64 << 20, 1 << 40] {
            let g = Geometry::of(&options(2, [limit, 8 * limit, 0, 0], 400_000));
            let made_for = g.lane_bytes();
            for (made, limit) in made_for.iter().zip([limit, 8 * limit]) {
                assert!((limit..limit + u64::from(g.segment_bytes) + 1).contains(made), "{made} for {limit}");
            }
            assert_eq!(made_for[2..], [u64::MAX; 2]);
        }
    }

    #[test]
    fn a_region_is_twice_the_limit_and_four_segments() {
        let g = Geometry::of(&options(2, [8 << 20, 64 << 20, 0, 0], 256 << 10));
        assert_eq!(g.segment_bytes, 1 << 20);
        assert_eq!(g.segments, [20, 132, 0, 0]);
        assert_eq!(g.slots(1), 20..152);
        assert_eq!(g.file_bytes(), 8192 + (152 << 20));
        assert!(g.is_sane());
    }

    #[test]
    fn small_limits_get_small_segments_and_a_row_always_fits() {
        let g = Geometry::of(&options(1, [100_000, 0, 0, 0], 1000));
        assert_eq!(g.segment_bytes, 65_536);
        let g = Geometry::of(&options(1, [1 << 20, 0, 0, 0], 256 << 10));
        assert!(room_of(g.pages() as usize) > (256 << 10) + RECORD_OVERHEAD as usize);
    }

    #[test]
    fn slots_beyond_the_end_of_the_file_are_forgotten_and_no_other() {
        let g = Geometry { segment_bytes: 65_536, lanes: 2, segments: [5, 1 << 28, 0, 0] };
        assert_eq!(g.within(u64::MAX), g);
        assert_eq!(g.within(SEGMENTS_AT + 7 * 65_536).segments, [5, 2, 0, 0]);
        assert_eq!(g.within(SEGMENTS_AT + 7 * 65_536 + 1).segments, [5, 3, 0, 0]);
        assert_eq!(g.within(SEGMENTS_AT + 65_536).segments, [1, 1, 0, 0]);
        assert_eq!(g.within(0).segments, [1, 1, 0, 0]);
    }

    #[test]
    fn pages_and_room_are_inverse() {
        for body in [0, 1, FIRST_ROOM, FIRST_ROOM + 1, 65_000, 300_000] {
            let pages = pages_for(body);
            assert!(room_of(pages) >= body);
            assert!(pages == 1 || room_of(pages - 1) < body);
        }
    }

    #[test]
    fn rows_of_a_quarter_segment_and_more_get_space_beside_the_largest_snapshot() {
        let segment = |row| Geometry::of(&options(1, [100_000, 0, 0, 0], row)).segment_bytes;
        assert_eq!((segment(16_383), segment(16_384)), (65_536, 131_072));
    }

    #[test]
    fn the_largest_row_that_is_asked_for_has_a_segment_and_no_much_larger_one() {
        for row in [1, 16_383, 16_384, 65_000, 65_536, 256 << 10, 16 << 20] {
            let most = Geometry::of(&options(1, [1 << 30, 0, 0, 0], row)).row_bytes_max();
            assert!(row <= most && most < row.max(1 << 20) + (64 << 10), "{most} for {row}");
            let own = Geometry::of(&options(1, [100_000, 0, 0, 0], row)).row_bytes_max();
            assert!(
                row.min(100_000) <= own && own < row.clamp(16_384, 100_000) + (64 << 10),
                "{own} for {row}"
            );
        }
    }

    #[test]
    fn a_segment_of_a_large_lane_has_the_size_that_the_configuration_allows() {
        let bytes = |segment_bytes| {
            let all = options(1, [1 << 40, 0, 0, 0], 1000);
            u64::from(Geometry::of(&Options { segment_bytes, ..all }).segment_bytes)
        };
        for size in [1 << 20, SEGMENT_BYTES_MAX] {
            assert_eq!(bytes(size), size);
        }
        assert_eq!(bytes((1 << 20) + 1), (1 << 20) + SEGMENT_STEP);
    }

    #[test]
    fn a_limit_beyond_any_file_is_as_many_segments_as_can_be_counted() {
        let g = Geometry::of(&options(1, [u64::MAX, 0, 0, 0], 1000));
        assert_eq!(g.segments[0], u32::MAX / 8);
        assert!(g.is_sane());
    }
}
