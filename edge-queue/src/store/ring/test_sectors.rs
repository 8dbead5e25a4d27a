//! A file in RAM with pages that cannot be read, for the tests of this folder.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;

use super::layout::PAGE;
use crate::medium::Medium;

/// File in memory, some of whose pages cannot be read.
#[derive(Default)]
pub(super) struct Sectors {
    pub(super) bytes: Vec<u8>,
    /// Numbers of the pages that fail to be read.
    pub(super) bad: BTreeSet<usize>,
    /// Number of calls of `read_at`.
    pub(super) reads: Cell<usize>,
    /// Number of calls of `sync`.
    pub(super) syncs: u32,
    /// Bytes given to `write_at`.
    pub(super) written: usize,
}

impl Sectors {
    pub(super) fn new(pages: usize, fill: u8) -> Sectors {
        Sectors { bytes: vec![fill; pages * PAGE], ..Sectors::default() }
    }

    /// The file with these pages unreadable.
    pub(super) fn with_bad(self, pages: &[usize]) -> Sectors {
        Sectors { bad: pages.iter().copied().collect(), ..self }
    }
}

impl Medium for Sectors {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        let (start, end) = (offset as usize, offset as usize + buf.len());
        if self.bad.range(start / PAGE..end.div_ceil(PAGE)).next().is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        buf.copy_from_slice(self.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.written += data.len();
        let start = offset as usize;
        let place = self.bytes.get_mut(start..start + data.len()).ok_or(io::ErrorKind::StorageFull)?;
        place.copy_from_slice(data);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.bytes.resize(len as usize, 0);
        Ok(())
    }
    fn allocate(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}
