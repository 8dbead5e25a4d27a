//! Search for the frames on a segment's pages, at open and when reading.
//!
//! One rule says which frames of a segment count: of all whole headers of this life of the slot, newest (epoch, counter) first ([rule
//! 3](super::epoch)), a frame counts when its counter lies below the base of every frame that counts already, and below the base of the next
//! segment. So a grown frame replaces the smaller ones, the frames of a failed commit are replaced by the next segment, and the remains of a
//! crash are replaced by the frames of the next run.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::frame::{Head, Kind};
use super::layout::{Geometry, PAGE, READ_BYTES};
use super::page_reader::{PageReader, Pages};
use super::segment::{Counters, Segment};
use crate::planted_flaw::{Flaw, planted};

/// A page of a slot that was never written.
const ZEROS: [u8; PAGE] = [0; PAGE];

/// Frame with its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) head: Head,
    pub(super) page: u32,
}

impl Placed {
    /// Returns the number of the page after the frame's last one.
    pub(super) fn end(&self) -> u32 {
        self.page.saturating_add(self.head.pages)
    }
}

/// Result of scanning a segment's pages.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Frames that count, ascending.
    pub(super) good: Vec<Placed>,
    /// Headers whose body is damaged.
    pub(super) broken: Vec<Placed>,
    /// One past the last page of a whole frame, whether it counts or was replaced by one that does: until that one is
    /// known to be durable, the copy before it may be the only one that is.
    pub(super) used: u32,
}

/// Parameters of a search in a segment.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) pages: &'a Pages<'a>,
    pub(super) geometry: &'a Geometry,
    pub(super) gateway: u64,
}

impl Look<'_> {
    /// Returns the frames of this life of the slot (since it was last taken) that count. `end` is where the segment ends, if that is known.
    /// `verify` checks bodies of several pages too; without it only headers and single pages are checked.
    pub(super) fn frames(&self, segment: &Segment, end: Option<Counters>, verify: bool) -> Frames {
        let mut found = Frames::default();
        let mut reader = PageReader::new(self.pages, segment.slot, READ_BYTES);
        let pages = self.geometry.pages();
        let mut page = 0;
        while page < pages {
            let head = Head::decode(reader.page(page)).filter(|h| self.belongs(h, segment, page));
            let Some(head) = head else {
                page += 1;
                continue;
            };
            let placed = Placed { head, page };
            if (verify || head.pages == 1) && !reader.is_whole(&head, page) {
                // Its length cannot be trusted to hide what lies behind.
                found.broken.push(placed);
                page += 1;
            } else {
                found.good.push(placed);
                page = placed.end();
                found.used = page;
            }
        }
        if !verify {
            drop_broken_copies(&mut found.good, &mut reader);
        }
        choose(&mut found.good, end);
        found
    }

    fn belongs(&self, head: &Head, segment: &Segment, page: u32) -> bool {
        self.pages.is_of_kind(head)
            && head.gateway == self.gateway
            && head.slot == segment.slot
            && (head.generation == segment.generation || planted(Flaw::GenerationIgnored))
            && (head.epoch >= segment.epoch || planted(Flaw::EpochIgnored))
            && head.base >= segment.start.next
            && page.checked_add(head.pages).is_some_and(|end| end <= self.geometry.pages())
    }

    /// Returns the content of a slot, judged by its first page or, when that page is damaged, by any frame of the newest life.
    pub(super) fn segment(&self, slot: u32, lane: u8) -> Slot {
        let fits = |h: &Head| {
            self.pages.is_of_kind(h) && h.gateway == self.gateway && h.slot == slot && h.lane == lane
        };
        let mut page = vec![0; PAGE];
        self.pages.read(slot, 0, &mut page);
        match Head::decode(&page).filter(fits) {
            Some(head) if head.kind == Kind::Snapshot => return Slot::Used(Segment::of(&head)),
            _ => {}
        }
        let mut reader = PageReader::new(self.pages, slot, READ_BYTES);
        let look_ahead = (READ_BYTES / PAGE) as u32;
        let pages = self.geometry.pages();
        if (0..look_ahead.min(pages)).all(|n| reader.page(n) == ZEROS)
            && self.is_zero_behind(slot, look_ahead)
        {
            return Slot::Blank;
        }
        let mut best: Option<Head> = None;
        let (mut foreign, mut synced) = (false, BTreeMap::new());
        for n in 0..pages {
            let Some(head) = Head::decode(reader.page(n)) else { continue };
            if !fits(&head) {
                foreign = true;
                continue;
            }
            let known: &mut u64 = synced.entry((head.generation, head.epoch)).or_default();
            *known = head.synced.max(*known);
            let key = |h: &Head| (h.generation, std::cmp::Reverse((h.base, h.counter)));
            if best.as_ref().is_none_or(|b| key(&head) > key(b)) {
                best = Some(head);
            }
        }
        match best {
            Some(head) => {
                let synced = synced.get(&(head.generation, head.epoch)).copied().unwrap_or_default();
                Slot::Headless(Segment { synced, ..Segment::of(&head) })
            }
            None if foreign => Slot::Foreign,
            None => Slot::Unknown,
        }
    }

    /// Returns whether a slot that begins with `pages` of zeros was never used behind them either: a segment is written from its first page on, and
    /// damage may have taken its begin. It looks at one page, then at one twice as far, and so on: a fresh file has many such slots.
    fn is_zero_behind(&self, slot: u32, pages: u32) -> bool {
        let mut reader = PageReader::new(self.pages, slot, PAGE);
        let places = std::iter::successors(Some(pages), |page| page.checked_mul(2));
        places.take_while(|page| *page < self.geometry.pages()).all(|page| reader.page(page) == ZEROS)
    }
}

/// Content of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// Zeros: the slot was never used.
    Blank,
    /// Bytes, but no frame.
    Unknown,
    /// Whole frames, but all of another slot, lane or ring, which no power cut can cause.
    Foreign,
    /// Segment of a lane.
    Used(Segment),
    /// A segment whose first frame is damaged.
    Headless(Segment),
}

/// Leaves out frames that are not whole and are there twice (an open copies some, see `scan`): the copy may be
/// torn, and without looking at bodies it would replace the original.
fn drop_broken_copies(frames: &mut Vec<Placed>, reader: &mut PageReader<'_>) {
    let key = |p: &Placed| (p.head.epoch, p.head.counter);
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> = frames.iter().map(key).filter(|k| !seen.insert(*k)).collect();
    if !twice.is_empty() {
        frames.retain(|p| !twice.contains(&key(p)) || reader.is_whole(&p.head, p.page));
    }
}

/// Keeps the frames that count, by the rule in the head of this file.
fn choose(frames: &mut Vec<Placed>, end: Option<Counters>) {
    // Of two equal frames the later one is the copy an open made (see `scan`).
    let epoch = |p: &Placed| if planted(Flaw::EpochIgnored) { 0 } else { p.head.epoch };
    frames.sort_by_key(|p| std::cmp::Reverse((epoch(p), p.head.counter, p.page)));
    let mut below = end.map_or(u64::MAX, |e| e.next);
    // Rows above what was durable when the next segment was begun came from a commit that failed; and a header that claims
    // rows of the frame behind it would hide them.
    let mut first_seq = end.map_or(u64::MAX, |e| e.highest.saturating_add(1));
    frames.retain(|p| {
        let counts = p.head.counter < below && p.head.last_seq < first_seq;
        if counts {
            below = p.head.base;
            first_seq = p.head.first_seq;
        }
        counts
    });
    frames.reverse();
}

#[cfg(test)]
pub(super) mod tests;
