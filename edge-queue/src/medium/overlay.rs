//! Overlay: a writable directory above one that is never written; all writes stay in RAM.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::{Dir, Medium, PAGE, pieces};
use crate::locks_and_atomics::lock;

/// Directory that keeps every write, rename and removal in RAM and only reads from the directory beneath. A store opened on it does the same as
/// at its next open, repairs included, and changes nothing. Costs RAM for each page written. Clones are handles to the same directory.
///
/// ```
/// # use edge_queue::medium::{Dir, Medium, Overlay, os::OsDir};
/// # fn main() -> std::io::Result<()> {
/// # let home = tempfile::tempdir()?;
/// let overlay = Overlay::new(Box::new(OsDir::new(home.path())?));
/// overlay.create("notes")?.write_at(0, b"in RAM")?;
/// assert_eq!(overlay.open("notes")?.len()?, 6);
/// assert!(!home.path().join("notes").exists());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Overlay {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    beneath: Box<dyn Dir>,
    /// Files opened or made so far, by name; `None` for a name that was removed.
    names: BTreeMap<String, Option<Shadow>>,
}

type Shadow = Arc<Mutex<Content>>;

/// A file: pages in RAM over what lies beneath.
struct Content {
    beneath: Option<Box<dyn Medium>>,
    /// Number of bytes of `beneath` from its start that were not cut off; `pages` replaces some of them.
    shown: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    len: u64,
}

impl Overlay {
    /// Lays an empty layer over `beneath`, which is read and never written.
    #[must_use]
    pub fn new(beneath: Box<dyn Dir>) -> Overlay {
        Overlay { shared: Arc::new(Mutex::new(Shared { beneath, names: BTreeMap::new() })) }
    }

    /// Returns whether the medium beneath returns anything of a file, by its first two pages: those that the layer keeps say nothing about that.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub(crate) fn is_readable(&self, name: &str) -> bool {
        let Ok(file) = lock(&self.shared).find(name) else { return false };
        let content = lock(&file);
        let Some(beneath) = &content.beneath else { return true };
        let mut page = [0; PAGE];
        beneath.read_at(0, &mut page).is_ok() || beneath.read_at(PAGE as u64, &mut page).is_ok()
    }
}

impl Shared {
    fn find(&mut self, name: &str) -> io::Result<Shadow> {
        match self.names.get(name) {
            Some(Some(file)) => return Ok(Arc::clone(file)),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => {}
        }
        let beneath = self.beneath.open(name)?;
        let len = beneath.len()?;
        let content = Content { beneath: Some(beneath), shown: len, pages: BTreeMap::new(), len };
        let file = Arc::new(Mutex::new(content));
        self.names.insert(name.to_owned(), Some(Arc::clone(&file)));
        Ok(file)
    }
}

impl Dir for Overlay {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let content = Content { beneath: None, shown: 0, pages: BTreeMap::new(), len: 0 };
        let file = Arc::new(Mutex::new(content));
        lock(&self.shared).names.insert(name.to_owned(), Some(Arc::clone(&file)));
        Ok(Box::new(OverlayFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(OverlayFile(lock(&self.shared).find(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut shared = lock(&self.shared);
        let file = shared.find(from)?;
        shared.names.insert(from.to_owned(), None);
        shared.names.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut shared = lock(&self.shared);
        shared.find(name)?;
        shared.names.insert(name.to_owned(), None);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the lock of the directory beneath, because a queue must not be inspected while it is open.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        lock(&self.shared).beneath.lock(name)
    }
}

struct OverlayFile(Shadow);

impl Medium for OverlayFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        lock(&self.0).read(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        lock(&self.0).write(offset, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        lock(&self.0).set_len(len)
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        content.len = content.len.max(offset.saturating_add(len));
        Ok(())
    }

    /// Takes the lock of the file beneath; one that is in RAM alone has none.
    fn lock(&mut self) -> io::Result<()> {
        lock(&self.0).beneath.as_mut().map_or(Ok(()), |beneath| beneath.lock())
    }
}

impl Content {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = end_of(offset, buf.len())?;
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let first = offset / PAGE as u64;
        if self.pages.range(first..end.div_ceil(PAGE as u64)).next().is_none() {
            return self.read_beneath(offset, buf);
        }
        for (page, within, range) in pieces(offset, buf.len()) {
            let Some(out) = buf.get_mut(range) else { continue };
            match self.pages.get(&page).and_then(|bytes| bytes.get(within..within + out.len())) {
                Some(bytes) => out.copy_from_slice(bytes),
                None => self.read_beneath(page * PAGE as u64 + within as u64, out)?,
            }
        }
        Ok(())
    }

    /// Reads the part of the file beneath that was not cut off, and zeros behind it.
    fn read_beneath(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let shown = usize::try_from(self.shown.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let (bytes, zeros) = buf.split_at_mut(shown);
        zeros.fill(0);
        match &self.beneath {
            Some(beneath) if !bytes.is_empty() => beneath.read_at(offset, bytes),
            _ => Ok(()),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = end_of(offset, data.len())?;
        for (page, within, range) in pieces(offset, data.len()) {
            let Some(bytes) = data.get(range) else { continue };
            let whole = bytes.len() == PAGE;
            if let Some(out) = self.page_mut(page, whole)?.get_mut(within..within + bytes.len()) {
                out.copy_from_slice(bytes);
            }
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn page_mut(&mut self, page: u64, whole: bool) -> io::Result<&mut [u8; PAGE]> {
        let mut bytes = Box::new([0; PAGE]);
        if !whole && !self.pages.contains_key(&page) {
            self.read_beneath(page.saturating_mul(PAGE as u64), bytes.as_mut_slice())?;
        }
        Ok(self.pages.entry(page).or_insert(bytes))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            let (last, within) = (len / PAGE as u64, (len % PAGE as u64) as usize);
            self.pages.split_off(&len.div_ceil(PAGE as u64));
            self.shown = self.shown.min(len);
            if let Some(tail) = self.pages.get_mut(&last).and_then(|page| page.get_mut(within..)) {
                tail.fill(0);
            }
        }
        self.len = len;
        Ok(())
    }
}

fn end_of(offset: u64, len: usize) -> io::Result<u64> {
    offset.checked_add(len as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::{Rng, SimDir};

    #[test]
    fn it_behaves_like_a_disk_and_leaves_the_one_beneath_alone() {
        let mut rng = Rng::new(crate::testing::seed());
        let (beneath, twin) = (SimDir::new(), SimDir::new());
        let first = rng.bytes(30_000);
        for dir in [&beneath, &twin] {
            dir.create("f").unwrap().write_at(0, &first).unwrap();
        }
        let before = beneath.counters();
        let over = Overlay::new(Box::new(beneath.clone()));
        let (mut a, mut b) = (over.open("f").unwrap(), twin.open("f").unwrap());
        for _ in 0..3_000 {
            let (offset, len) = (rng.below(40_000), rng.between(1, 9_000));
            match rng.below(6) {
                0 => {
                    let data = rng.bytes(len as usize);
                    a.write_at(offset, &data).unwrap();
                    b.write_at(offset, &data).unwrap();
                }
                1 if rng.one_in(8) => {
                    a.set_len(offset).unwrap();
                    b.set_len(offset).unwrap();
                }
                2 if rng.one_in(8) => {
                    a.allocate(offset, len).unwrap();
                    b.allocate(offset, len).unwrap();
                }
                _ => {
                    let (mut x, mut y) = (vec![1; len as usize], vec![2; len as usize]);
                    let (read, expected) = (a.read_at(offset, &mut x), b.read_at(offset, &mut y));
                    assert_eq!(read.is_ok(), expected.is_ok());
                    assert!(read.is_err() || x == y);
                }
            }
            assert_eq!(a.len().unwrap(), b.len().unwrap());
        }
        assert_eq!(over.free_bytes().unwrap(), None, "unknown: it writes to RAM");
        over.rename("f", "g").unwrap();
        assert!(over.open("f").is_err() && over.open("g").is_ok());
        over.remove("g").unwrap();
        assert!(over.open("g").is_err() && over.remove("g").is_err());
        over.create("h").unwrap();
        assert_eq!(beneath.counters().operations, before.operations);
        assert_eq!((beneath.names(), beneath.content("f").unwrap()), (vec!["f".to_owned()], first));
    }
}
