//! Remains of a write that was cut: pages at the end of a lane's log that hold no frame and look like one of the run that ended there.
#![deny(clippy::indexing_slicing)]

use std::ops::Range;

use crate::store::ring::find_frames::{Frames, Look};
use crate::store::ring::frame::Head;
use crate::store::ring::layout::READ_BYTES;
use crate::store::ring::page_reader::PageReader;
use crate::store::ring::segment::Segment;

/// Returns whether a page without a frame looks like an incomplete write behind the log's end. Such a page can be before the end, because the
/// copies of a grown frame alternate. Where frames are missing before the end it is one of theirs: damage, and no incomplete write.
pub(super) fn resembles_torn(look: Look<'_>, segment: &Segment, frames: &Frames, epoch: u32) -> bool {
    let Some(last) = frames.good.last() else { return false };
    let mut reader = PageReader::new(look.pages, segment.slot, READ_BYTES);
    let taken = |page: u32| frames.good.iter().any(|p| (p.page..p.end()).contains(&page));
    let missing = missing_pages(segment, frames);
    let is_missing = |page: u32| missing.iter().any(|pages| pages.contains(&page));
    (0..look.geometry.pages().min(frames.used.saturating_add(4)))
        .filter(|page| !taken(*page) && !is_missing(*page))
        .any(|page| {
            let bytes = reader.page(page);
            Head::decode(bytes).is_none() && Head::resembles(bytes, &last.head, epoch)
        })
}

/// Returns the pages on which frames lay that are missing before the last whole one.
fn missing_pages(segment: &Segment, frames: &Frames) -> Vec<Range<u32>> {
    let (mut next, mut page) = (segment.start.next, 0);
    let mut missing = Vec::new();
    for placed in &frames.good {
        if placed.head.base > next {
            missing.push(page..placed.page);
        }
        (next, page) = (placed.head.counter.saturating_add(1), placed.end());
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::find_frames::Placed;
    use crate::store::ring::frame::tests::sample;
    use crate::store::ring::segment::Counters;

    #[test]
    fn pages_between_frames_are_missing_ones_where_their_numbers_have_a_hole() {
        let segment = |next| Segment {
            slot: 0,
            generation: 0,
            epoch: 1,
            commit: 1,
            synced: 0,
            start: Counters { next, ..Counters::default() },
        };
        let missing = |next, list: &[(u64, u32)]| {
            let good = list.iter().map(|(counter, page)| {
                let head = Head { base: *counter, counter: *counter, pages: 1, ..sample() };
                Placed { head, page: *page }
            });
            missing_pages(&segment(next), &Frames { good: good.collect(), ..Frames::default() })
        };
        assert_eq!(
            missing(1, &[(1, 0), (2, 1), (3, 3)]),
            [],
            "page 2 is the other copy of a frame that grew"
        );
        assert_eq!(missing(1, &[(1, 0), (3, 3)]), vec![std::ops::Range { start: 1, end: 3 }]);
        assert_eq!(missing(1, &[(2, 1), (3, 2), (5, 4)]), [0..1, 3..4]);
        assert_eq!(missing(1, &[(1, 2), (2, 1)]), [], "none in a place that goes back");
    }
}
