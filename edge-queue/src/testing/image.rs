//! The content of one file as shared pages, so that a crash state costs pointers instead of a copy of the disk.

use std::sync::Arc;

const PAGE_BYTES: usize = crate::medium::PAGE;
type Page = [u8; PAGE_BYTES];

/// A sparse file: a page that was never touched is `None` and reads as zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pages: Vec<Option<Arc<Page>>>,
    len: u64,
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Space taken on the simulated disk.
    pub(super) fn allocated_bytes(&self) -> u64 {
        (self.pages.iter().flatten().count() * PAGE_BYTES) as u64
    }

    /// Fills `buf`; false when the file is too short.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> bool {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        for (index, within, range) in pieces(offset, buf.len()) {
            let Some(out) = buf.get_mut(range) else { return false };
            match self.pages.get(index).and_then(Option::as_deref) {
                Some(page) => {
                    let Some(from) = page.get(within..within + out.len()) else { return false };
                    out.copy_from_slice(from);
                }
                None => out.fill(0),
            }
        }
        true
    }

    /// Writes `data`, extending the file.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        for (index, within, range) in pieces(offset, data.len()) {
            let (Some(from), Some(page)) = (data.get(range), self.page_mut(index)) else { return };
            if let Some(out) = page.get_mut(within..within + from.len()) {
                out.copy_from_slice(from);
            }
        }
        self.len = self.len.max(offset.saturating_add(data.len() as u64));
    }

    /// Cuts the file, or extends it with zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.truncate(page_index(len.div_ceil(PAGE_BYTES as u64)));
            let within = page_index(len % PAGE_BYTES as u64);
            let last = self.pages.len().wrapping_sub(1);
            if within > 0
                && self.pages.get(last).is_some_and(Option::is_some)
                && let Some(tail) = self.page_mut(last).and_then(|page| page.get_mut(within..))
            {
                tail.fill(0);
            }
        }
        self.len = len;
    }

    /// Reserves space, extending the file; content stays.
    pub(super) fn allocate(&mut self, offset: u64, len: u64) {
        let zeros = Arc::new([0; PAGE_BYTES]);
        for (index, _, _) in pieces(offset, page_index(len)) {
            if self.pages.len() <= index {
                self.pages.resize(index + 1, None);
            }
            if let Some(slot) = self.pages.get_mut(index) {
                slot.get_or_insert_with(|| Arc::clone(&zeros));
            }
        }
        self.len = self.len.max(offset.saturating_add(len));
    }

    fn page_mut(&mut self, index: usize) -> Option<&mut Page> {
        if self.pages.len() <= index {
            self.pages.resize(index + 1, None);
        }
        self.pages
            .get_mut(index)
            .map(|slot| Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; PAGE_BYTES]))))
    }
}

/// Splits a range at page boundaries, as [`medium::pieces`](crate::medium).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    crate::medium::pieces(offset, len).map(|(page, within, range)| (page_index(page), within, range))
}

fn page_index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_across_pages_is_read_and_a_cut_leaves_zeros() {
        let mut image = Image::default();
        image.write(4000, &[7; 300]);
        let mut buf = [1; 310];
        assert!(!image.read(3995, &mut buf), "longer than the file");
        assert!(image.read(3990, &mut buf));
        assert_eq!((buf[9], buf[10], buf[309]), (0, 7, 7));
        image.set_len(4100);
        image.set_len(5000);
        assert!(image.read(4099, &mut buf));
        assert_eq!((buf[0], buf[1]), (7, 0));
        assert_eq!(image.allocated_bytes(), 8192);
    }
}
