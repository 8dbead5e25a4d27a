//! Missing frames of a segment: the numbers of the frames that are there tell where rows are missing, how many, and which.
#![deny(clippy::indexing_slicing)]

use super::find_frames::Placed;
use super::segment::Counters;
use crate::row::Seq;

/// Range of frames that should be there and are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Frame counters, first and last.
    pub(super) frames: (u64, u64),
    /// Sequence numbers that the missing frames can have contained.
    pub(super) seqs: (Seq, Seq),
    pub(super) rows: u64,
    pub(super) weight: u64,
    /// Rows written to the lane before the missing frames; with their weight in `weight_before`. The one coordinate that stays exact whatever
    /// frames are missing nearby.
    pub(super) rows_before: u64,
    pub(super) weight_before: u64,
    /// Pages that the missing frames can have lain on.
    pub(super) pages: (u32, u32),
    /// Set if rows and weight are exact for these numbers, and not only an upper bound.
    pub(super) exact: bool,
}

/// Frame or gap of a segment, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Frame(Placed),
    Gap(Gap),
}

impl Item {
    /// Highest row number of the frame or the gap.
    pub(super) fn last_seq(&self) -> Seq {
        match self {
            Item::Frame(placed) => placed.head.last_seq,
            Item::Gap(gap) => gap.seqs.1,
        }
    }
}

/// Returns the frames and gaps between `start` and `end`, without frames that have no rows; with `None` the last frame ends them.
pub(super) fn items(start: &Counters, frames: &[Placed], end: Option<Counters>) -> Vec<Item> {
    let mut items = Vec::with_capacity(frames.len());
    let (mut at, mut page) = (*start, 0);
    for placed in frames {
        let head = &placed.head;
        let before = Counters {
            next: head.base,
            rows: head.rows_before,
            weight: head.weight_before,
            highest: head.first_seq.saturating_sub(1),
        };
        items.extend(gap(&at, &before, (page, placed.page)));
        if head.rows > 0 {
            items.push(Item::Frame(*placed));
        }
        at = Counters::after(head);
        page = placed.end();
    }
    if let Some(end) = end {
        items.extend(gap(&at, &end, (page, page.saturating_add(1))));
    }
    items
}

/// Returns the gap between two places of the log; `None` when no row is missing.
fn gap(at: &Counters, next: &Counters, pages: (u32, u32)) -> Option<Item> {
    if next.next <= at.next || next.rows <= at.rows {
        return None;
    }
    Some(Item::Gap(Gap {
        frames: (at.next, next.next - 1),
        seqs: (at.highest + 1, next.highest.max(at.highest + 1)),
        rows: next.rows - at.rows,
        weight: next.weight.saturating_sub(at.weight),
        rows_before: at.rows,
        weight_before: at.weight,
        pages,
        exact: true,
    }))
}

#[cfg(test)]
mod tests;
