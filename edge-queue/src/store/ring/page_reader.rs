//! Page reader: reads pages and frames in bounded steps, and distinguishes a bad sector from a medium that does not answer at all.
//!
//! In an open ring a page that cannot be read makes the read fail, until the caller has tried for long enough; while a ring is opened, and after
//! that time, it counts as a page of zeros while others can be read. If neither superblock can be read either, the medium is down: nothing read
//! since then is valid, and no loss is reported.
#![deny(clippy::indexing_slicing)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;

use super::encryption::FrameCipher;
use super::frame::{Head, into_body, is_further_page};
use super::layout::{FRAME_PAGES_MAX, Geometry, PAGE, READ_BYTES};
use crate::medium::Medium;
use crate::planted_flaw::{Flaw, planted};

/// Access to the pages of a ring, which notices when the medium stops answering.
pub(super) struct Pages<'a> {
    medium: &'a dyn Medium,
    pub(super) geometry: &'a Geometry,
    down: RefCell<Option<io::Error>>,
    /// Pages of an open ring that are treated as lost. `None` while a ring is being opened, when an unreadable page
    /// counts as damaged.
    unread: Option<&'a Unread>,
    /// Number of pages that count as zeros because the medium did not return them.
    skipped: Cell<u64>,
    /// Cipher of an encrypted file.
    cipher: Option<&'a FrameCipher>,
}

/// Pages that are treated as lost: they could not be read for a long time, while others could.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// File offsets at which the lost pages end.
    pages: RefCell<BTreeSet<u64>>,
    /// Set while unreadable pages are treated as lost; otherwise such a page makes the read fail.
    gives_up: Cell<bool>,
}

/// Number of tries of a page while a ring is opened.
const OPEN_TRIES: u32 = 3;
/// Limit of the number of pages recorded as lost; a read of a further one has to try for long again.
const UNREAD_MAX: usize = 65_536;

impl Unread {
    /// Sets whether reads give up unreadable pages from now on.
    pub(super) fn give_up(&self, gives_up: bool) {
        self.gives_up.set(gives_up);
    }

    /// Returns whether reads give up unreadable pages.
    pub(super) fn gives_up(&self) -> bool {
        self.gives_up.get()
    }

    fn judge(&self, medium: &dyn Medium, end: u64, error: io::Error) -> io::Result<()> {
        let mut pages = self.pages.borrow_mut();
        // What lies behind the end of a file that was cut is gone for good.
        if pages.contains(&end) || medium.len()? < end {
            return Ok(());
        }
        if !self.gives_up.get() && !planted(Flaw::ReadErrorIsDamage) {
            return Err(error);
        }
        probe(medium, end)?;
        if pages.len() < UNREAD_MAX {
            pages.insert(end);
        }
        Ok(())
    }
}

impl<'a> Pages<'a> {
    pub(super) fn new(medium: &'a dyn Medium, geometry: &'a Geometry) -> Pages<'a> {
        let (down, skipped) = (RefCell::new(None), Cell::new(0));
        Pages { medium, geometry, down, unread: None, skipped, cipher: None }
    }

    /// Makes a reader of an encrypted file; of one that is not with `None`.
    pub(super) fn encrypted(self, cipher: Option<&'a FrameCipher>) -> Pages<'a> {
        Pages { cipher, ..self }
    }

    /// Returns whether the frame is one of this file's kind: of an encrypted file all are, of another none.
    pub(super) fn is_of_kind(&self, head: &Head) -> bool {
        head.encrypted == self.cipher.is_some()
    }

    /// Makes a reader for an open ring: an unreadable page fails the read until it was tried for so long that `unread` gives it up, and is read as
    /// zeros, as lost, from then on.
    pub(super) fn patient(self, unread: &'a Unread) -> Pages<'a> {
        Pages { unread: Some(unread), ..self }
    }

    /// Returns whether the medium stopped answering.
    pub(super) fn is_down(&self) -> bool {
        self.down.borrow().is_some()
    }

    /// Counts the medium as one that stopped answering: what was to be read may be in pages that it did not return before.
    pub(super) fn stop(&self, error: io::Error) {
        self.down.borrow_mut().get_or_insert(error);
    }

    /// Returns the error with which the medium stopped answering; `None` when it answers.
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
        } else if let Err(e) = self.try_read(offset, page) {
            page.fill(0);
            let end = offset + page.len() as u64;
            if self.medium.len().is_ok_and(|len| len >= end) {
                self.skipped.set(self.skipped.get() + 1);
            }
            let down = match self.unread {
                Some(unread) => unread.judge(self.medium, end, e).err(),
                None => probe(self.medium, end).err(),
            };
            *self.down.borrow_mut() = down;
        }
    }

    /// Reads a page; while a ring is being opened a failed read is tried again at once. The page in which a truncated file ends is padded with
    /// zeros, so that an open finds the same as the next one, when the file has its length again.
    fn try_read(&self, offset: u64, page: &mut [u8]) -> io::Result<()> {
        let Err(e) = self.read_whole(offset, page) else { return Ok(()) };
        // The length is asked for here alone: each page that is read would cost a call of the system more.
        let before_end = self.medium.len().unwrap_or(u64::MAX).saturating_sub(offset);
        let part = usize::try_from(before_end).ok().filter(|part| (1..page.len()).contains(part)).ok_or(e)?;
        let (page, behind) = page.split_at_mut(part);
        behind.fill(0);
        self.read_whole(offset, page)
    }

    fn read_whole(&self, offset: u64, page: &mut [u8]) -> io::Result<()> {
        let tries = if self.unread.is_none() { OPEN_TRIES } else { 1 };
        let mut last = Ok(());
        for _ in 0..tries {
            last = self.medium.read_at(offset, page);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Returns the number of pages that the medium did not return; those behind the end of the file are gone and do not count.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    /// Reads all pages of a frame, at most 64 KiB per read; `None` if they do not match the frame's header.
    pub(super) fn frame(&self, head: &Head, page: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.frame_into(head, page, &mut bytes).then_some(bytes)
    }

    /// Reads a frame as [`Pages::frame`] does, into a buffer that is reused; `false` if the pages do not match the header.
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

    /// Reads the body of a frame, as [`Pages::frame_into`] does the frame; `false` also if it does not open with the file's key.
    pub(super) fn body_into(&self, head: &Head, page: u32, bytes: &mut Vec<u8>) -> bool {
        self.frame_into(head, page, bytes) && self.open_body(head, bytes)
    }

    /// Returns whether a frame whose body cannot be had is whole, so that it does not open with the file's key. Of a file without one none is.
    pub(super) fn is_unopened(&self, head: &Head, page: u32) -> bool {
        self.cipher.is_some() && self.frame(head, page).is_some()
    }

    /// Turns a frame's pages into its body, in place; `false` if it does not open with the file's key.
    fn open_body(&self, head: &Head, frame: &mut Vec<u8>) -> bool {
        into_body(head, frame);
        self.is_of_kind(head) && self.cipher.is_none_or(|cipher| cipher.decrypt(head, frame))
    }
}

impl Pages<'_> {
    /// Returns whether a long frame's last page exists and belongs to it. At most one of several headers that claim a page is right: without this
    /// check a header could cause any amount of memory, and many headers any amount of time.
    fn ends_as_promised(&self, head: &Head, page: u32) -> bool {
        let Some(last) = head.pages.checked_sub(1) else { return false };
        let mut bytes = [0; PAGE];
        self.read(head.slot, page.saturating_add(last), &mut bytes);
        is_further_page(&bytes, last)
    }
}

/// Checks the medium after a failed read up to the offset `end`: an error when the medium as a whole does not answer.
pub(super) fn probe(medium: &dyn Medium, end: u64) -> io::Result<()> {
    if medium.len()? < end {
        return Ok(());
    }
    let mut page = [0; PAGE];
    medium.read_at(0, &mut page).or_else(|_| medium.read_at(PAGE as u64, &mut page))
}

/// Returns whether a slot that saw a failed write can be read throughout.
pub(super) fn readable(medium: &dyn Medium, geometry: &Geometry, slot: u32) -> bool {
    let mut piece = vec![0; READ_BYTES];
    let mut page = 0;
    while page < geometry.pages() {
        if medium.read_at(geometry.offset(slot, page), &mut piece).is_err() {
            return false;
        }
        page += (READ_BYTES / PAGE) as u32;
    }
    true
}

/// A piece of at most 64 KiB of one segment.
pub(super) struct PageReader<'a> {
    pages: &'a Pages<'a>,
    slot: u32,
    first: u32,
    bytes: Vec<u8>,
    /// Number of pages that are read at a time.
    step: u32,
}

impl<'a> PageReader<'a> {
    /// Makes a reader of a slot. `step_bytes` are read at a time: many to pass through a segment, few for one look.
    pub(super) fn new(pages: &'a Pages<'a>, slot: u32, step_bytes: usize) -> PageReader<'a> {
        let step = (step_bytes / PAGE).clamp(1, READ_BYTES / PAGE) as u32;
        PageReader { pages, slot, first: 0, bytes: Vec::new(), step }
    }

    /// Returns one page, read if need be.
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

    /// Returns whether the frame starting at `page` is whole. Frames of several pages are read apart.
    pub(super) fn is_whole(&mut self, head: &Head, page: u32) -> bool {
        if head.pages == 1 {
            let pages = self.pages;
            let bytes = self.page(page);
            return head.is_whole(bytes)
                && (pages.cipher.is_none() || pages.open_body(head, &mut bytes.to_vec()));
        }
        self.pages.body_into(head, page, &mut Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::frame::tests::sample;
    use crate::store::ring::test_sectors::Sectors;

    /// Two slots of 32 pages behind the superblocks.
    const GEOMETRY: Geometry = Geometry { segment_bytes: 32 * PAGE as u32, lanes: 1, segments: [2, 0, 0, 0] };
    const FILE_PAGES: usize = 2 + 64;

    fn end_of(page: usize) -> u64 {
        ((page + 1) * PAGE) as u64
    }

    fn file(bad: &[usize]) -> Sectors {
        Sectors::new(FILE_PAGES, 7).with_bad(bad)
    }

    #[test]
    fn a_medium_answers_while_one_superblock_can_be_read_or_the_read_was_behind_the_end() {
        let last = end_of(FILE_PAGES - 1);
        for (bad, answers) in [(&[0][..], true), (&[1], true), (&[0, 1], false)] {
            assert_eq!(probe(&file(bad), last).is_ok(), answers, "{bad:?}");
            assert!(probe(&file(bad), end_of(FILE_PAGES)).is_ok());
        }
    }

    #[test]
    fn a_page_is_gone_only_behind_the_end_or_once_it_was_given_up() {
        let gone = |unread: &Unread, medium: &Sectors, page: usize| {
            unread.judge(medium, end_of(page), io::ErrorKind::Other.into()).is_ok()
        };
        let (unread, medium) = (Unread::default(), file(&[9]));
        assert!(gone(&unread, &medium, FILE_PAGES));
        assert!(!gone(&unread, &medium, FILE_PAGES - 1) && !gone(&unread, &medium, 9));
        unread.give_up(true);
        assert!(!gone(&unread, &file(&[0, 1, 9]), 9), "nothing is given up of a medium that is down");
        assert!(gone(&unread, &medium, 9));
        unread.give_up(false);
        assert!(gone(&unread, &medium, 9) && !gone(&unread, &medium, 10), "that page for good, and no other");
    }

    #[test]
    fn unreadable_pages_are_zeros_and_counted_while_a_ring_is_opened() {
        let (medium, mut bytes) = (file(&[4]), [1; 3 * PAGE]);
        let pages = Pages::new(&medium, &GEOMETRY);
        pages.read(0, 1, &mut bytes);
        let expected: Vec<u8> = [7, 0, 7].iter().flat_map(|byte| [*byte; PAGE]).collect();
        assert!(bytes[..] == expected[..] && pages.skipped() == 1 && !pages.is_down());
    }

    #[test]
    fn the_first_page_behind_the_end_of_a_cut_file_is_no_error_of_the_medium() {
        let (medium, unread) = (Sectors::new(2 + 5, 7), Unread::default());
        let pages = Pages::new(&medium, &GEOMETRY).patient(&unread);
        pages.read(0, 5, &mut [0; PAGE]);
        assert!(!pages.is_down());
        let medium = Sectors::new(2 + 5, 7).with_bad(&[6]);
        let pages = Pages::new(&medium, &GEOMETRY).patient(&unread);
        pages.read(0, 4, &mut [0; PAGE]);
        assert!(pages.is_down(), "the last one before it is");
    }

    #[test]
    fn a_page_in_which_the_file_ends_goes_on_with_zeros() {
        let (mut medium, mut bytes) = (Sectors::new(2 + 5, 7), [1; 2 * PAGE]);
        medium.set_len(6 * PAGE as u64 + 100).unwrap();
        let pages = Pages::new(&medium, &GEOMETRY);
        pages.read(0, 4, &mut bytes);
        assert!(bytes[..100] == [7; 100] && bytes[100..] == [0; 2 * PAGE - 100]);
        assert_eq!(pages.skipped(), 0, "the page behind it is gone and does not come back");
    }

    #[test]
    fn a_slot_is_readable_when_each_of_its_pages_is() {
        for page in [0, 15, 16, 31] {
            assert!(!readable(&file(&[2 + 32 + page]), &GEOMETRY, 1), "page {page}");
            assert!(readable(&file(&[2 + page]), &GEOMETRY, 1));
        }
    }

    #[test]
    fn each_page_is_read_once() {
        let medium = file(&[]);
        let pages = Pages::new(&medium, &GEOMETRY);
        let mut reader = PageReader::new(&pages, 0, READ_BYTES);
        (0..32).for_each(|page| assert_eq!(reader.page(page), [7; PAGE]));
        assert_eq!(medium.reads.get(), 2);
    }

    #[test]
    fn a_header_that_claims_many_pages_of_others_costs_one_look() {
        for claimed in [17, 30] {
            let medium = file(&[]);
            let pages = Pages::new(&medium, &GEOMETRY);
            let head = Head { pages: claimed, slot: 0, ..sample() };
            assert!(!pages.frame_into(&head, 1, &mut Vec::new()));
            assert_eq!(medium.reads.get(), 1);
        }
    }
}
