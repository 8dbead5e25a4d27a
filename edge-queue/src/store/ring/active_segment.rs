//! Active segment, to which a lane writes: the next page, and the frame that small commits make grow.
//!
//! A commit well below a page is padded, but its frame is kept in RAM, and the next small commit writes both together into the *other* of two
//! pages, so that the page with the only good copy is never overwritten. When nothing more fits, the page with the newest copy stays and the
//! other one is free for the next such frame.
#![deny(clippy::indexing_slicing)]

use super::record::Before;
use super::segment::Counters;
use crate::planted_flaw::{Flaw, planted};

/// The end of a lane's log.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) slot: u32,
    pub(super) generation: u64,
    /// Number of pages in a segment.
    pages: u32,
    /// First page that was never used since the slot was taken.
    next: u32,
    /// A single page below `next` without valid content; `None` if there is none.
    spare: Option<u32>,
    pub(super) grown: Option<Grown>,
}

/// A frame that can still grow.
#[derive(Debug)]
pub(super) struct Grown {
    /// Counters of the log before this frame.
    pub(super) start: Counters,
    pub(super) first_seq: u64,
    pub(super) body: Vec<u8>,
    pub(super) before: Before,
    /// Page of the newest copy, and that of the copy before it.
    page: u32,
    other: Option<u32>,
}

impl ActiveSegment {
    /// Makes the active segment of a lane, in which `next` is the first page that may be written.
    pub(super) fn new(slot: u32, generation: u64, pages: u32, next: u32) -> ActiveSegment {
        ActiveSegment { slot, generation, pages, next: next.min(pages), spare: None, grown: None }
    }

    /// Returns the number of pages that are still free in the segment.
    pub(super) fn left(&self) -> usize {
        self.pages.saturating_sub(self.next) as usize
    }

    /// Next page that the log writes.
    pub(super) fn next_page(&self) -> u32 {
        self.next
    }

    /// Uses up `pages` from [`ActiveSegment::next_page`] on.
    pub(super) fn advance(&mut self, pages: u32) {
        self.next = self.next.saturating_add(pages).min(self.pages);
    }

    /// Begins a growing frame and returns its page; `None` when the segment has no page left for it.
    pub(super) fn begin(&mut self, start: Counters, first_seq: u64, before: Before) -> Option<u32> {
        self.close();
        let page = self.single_page()?;
        self.grown = Some(Grown { start, first_seq, body: Vec::new(), before, page, other: None });
        Some(page)
    }

    /// Returns the page for the grown frame's next copy; that page then counts as the newest. `None` if there is no growing frame or no second
    /// page for it.
    pub(super) fn flip(&mut self) -> Option<u32> {
        if planted(Flaw::TailInPlace) {
            return self.grown.as_ref().map(|grown| grown.page);
        }
        let mut grown = self.grown.take()?;
        let page = match grown.other {
            Some(other) => Some(other),
            None => self.single_page(),
        };
        let newest = page.unwrap_or(grown.page);
        if page.is_some() {
            grown.other = Some(grown.page);
            grown.page = newest;
        }
        self.grown = Some(grown);
        page
    }

    /// Ends the growing frame as it is; the page of its older copy becomes free.
    pub(super) fn close(&mut self) {
        if let Some(grown) = self.grown.take()
            && grown.other.is_some()
        {
            self.spare = grown.other;
        }
    }

    fn single_page(&mut self) -> Option<u32> {
        if let Some(spare) = self.spare.take() {
            return Some(spare);
        }
        let page = self.next;
        (self.left() > 0).then(|| {
            self.next += 1;
            page
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_alternate_and_the_older_page_is_used_again() {
        let mut tail = ActiveSegment::new(0, 1, 8, 1);
        let begin = |tail: &mut ActiveSegment| tail.begin(Counters::default(), 1, Before::frame(1, 1));
        assert_eq!(begin(&mut tail), Some(1));
        assert_eq!(tail.flip(), Some(2));
        assert_eq!(tail.flip(), Some(1));
        assert_eq!(tail.flip(), Some(2));
        // Newest on 2, so 1 is free: the next growing frame starts there and goes on at 3.
        assert_eq!(begin(&mut tail), Some(1));
        assert_eq!(tail.flip(), Some(3));
        // Newest on 3, 1 free again; big frames go to fresh pages only.
        tail.close();
        assert_eq!(tail.next_page(), 4);
        tail.advance(4);
        assert_eq!(tail.left(), 0);
        assert_eq!(begin(&mut tail), Some(1));
        assert_eq!(tail.flip(), None);
        assert!(begin(&mut tail).is_none());
    }
}
