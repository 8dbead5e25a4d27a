//! Reading pages and frames in bounded steps, and telling a bad sector from a medium that does not answer at all.
//!
//! A page that cannot be read while others can is damage: it counts as a page of zeros. When neither
//! superblock can be read either, the medium is down: nothing read since then may be believed, and nobody is told of losses.
#![deny(clippy::indexing_slicing)]

use std::cell::RefCell;
use std::io;

use super::frame::{Head, is_further_page};
use super::layout::{FRAME_PAGES_MAX, Geometry, PAGE, READ_BYTES};
use crate::medium::Medium;

/// The pages of a ring.
pub(super) struct Pages<'a> {
    medium: &'a dyn Medium,
    pub(super) geometry: &'a Geometry,
    down: RefCell<Option<io::Error>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(medium: &'a dyn Medium, geometry: &'a Geometry) -> Pages<'a> {
        Pages { medium, geometry, down: RefCell::new(None) }
    }

    /// Whether the medium stopped answering.
    pub(super) fn is_down(&self) -> bool {
        self.down.borrow().is_some()
    }

    /// Why it stopped answering.
    pub(super) fn into_error(self) -> Option<io::Error> {
        self.down.into_inner()
    }

    /// Fills `buf` with pages; unreadable ones become zeros.
    pub(super) fn read(&self, slot: u32, page: u32, buf: &mut [u8]) {
        if self.is_down() {
            buf.fill(0);
        } else if self.medium.read_at(self.geometry.offset(slot, page), buf).is_err() {
            for (one, n) in buf.chunks_mut(PAGE).zip(page..) {
                self.read_again(self.geometry.offset(slot, n), one);
            }
        }
    }

    fn read_again(&self, offset: u64, page: &mut [u8]) {
        if self.is_down() {
            page.fill(0);
        } else if self.medium.read_at(offset, page).is_err() {
            page.fill(0);
            if let Err(e) = probe(self.medium, offset + page.len() as u64) {
                *self.down.borrow_mut() = Some(e);
            }
        }
    }

    /// All pages of a frame, at most 64 KiB per read; `None` when they are not the frame its header promised.
    pub(super) fn frame(&self, head: &Head, page: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.frame_into(head, page, &mut bytes).then_some(bytes)
    }

    /// Like [`Pages::frame`], into a buffer that is used again.
    pub(super) fn frame_into(&self, head: &Head, page: u32, bytes: &mut Vec<u8>) -> bool {
        if page.checked_add(head.pages).is_none_or(|end| end > self.geometry.pages()) {
            return false;
        }
        if head.pages as usize > FRAME_PAGES_MAX && !self.ends_as_promised(head, page) {
            return false;
        }
        bytes.clear();
        bytes.resize(head.pages as usize * PAGE, 0);
        let mut at = page;
        for piece in bytes.chunks_mut(READ_BYTES) {
            self.read(head.slot, at, piece);
            at += (piece.len() / PAGE) as u32;
        }
        Head::decode(bytes) == Some(*head) && head.is_whole(bytes)
    }
}

impl Pages<'_> {
    /// Whether a long frame's last page is there and is its own. Of overlapping claims to a page one at most is: without
    /// this look a header could ask for any amount of memory, and many of them for any amount of time.
    fn ends_as_promised(&self, head: &Head, page: u32) -> bool {
        let Some(last) = head.pages.checked_sub(1) else { return false };
        let mut bytes = [0; PAGE];
        self.read(head.slot, page.saturating_add(last), &mut bytes);
        is_further_page(&bytes, last)
    }
}

/// After a failed read up to `end`: an error when the medium as a whole does not answer.
pub(super) fn probe(medium: &dyn Medium, end: u64) -> io::Result<()> {
    if medium.len()? < end {
        return Ok(());
    }
    let mut page = [0; PAGE];
    medium.read_at(0, &mut page).or_else(|_| medium.read_at(PAGE as u64, &mut page))
}

/// A piece of at most 64 KiB of one segment.
pub(super) struct Window<'a> {
    pages: &'a Pages<'a>,
    slot: u32,
    first: u32,
    bytes: Vec<u8>,
    /// Pages read at a time.
    step: u32,
}

impl<'a> Window<'a> {
    /// `step_bytes`: how much to read at a time; a segment that is passed through wants much, one look little.
    pub(super) fn new(pages: &'a Pages<'a>, slot: u32, step_bytes: usize) -> Window<'a> {
        let step = (step_bytes / PAGE).clamp(1, READ_BYTES / PAGE) as u32;
        Window { pages, slot, first: 0, bytes: Vec::new(), step }
    }

    /// One page.
    pub(super) fn page(&mut self, page: u32) -> &[u8] {
        let held = (self.bytes.len() / PAGE) as u32;
        if !(self.first..self.first + held).contains(&page) {
            let count = self.step.min(self.pages.geometry.pages().saturating_sub(page)).max(1);
            self.first = page;
            self.bytes.resize(count as usize * PAGE, 0);
            self.pages.read(self.slot, page, &mut self.bytes);
        }
        let at = (page - self.first) as usize * PAGE;
        self.bytes.get(at..at + PAGE).unwrap_or_default()
    }

    /// Whether the frame starting at `page` is whole. Frames of several pages are read apart.
    pub(super) fn is_whole(&mut self, head: &Head, page: u32) -> bool {
        if head.pages == 1 {
            return head.is_whole(self.page(page));
        }
        self.pages.frame(head, page).is_some()
    }
}
