//! The planted bug of the power cuts on real disks: a directory whose syncs do nothing.

use std::io;

use edge_queue::medium::{Dir, Medium};

/// Files and names as in the directory within, never synced.
pub(crate) struct NoSync<D>(pub(crate) D);

struct NoSyncFile(Box<dyn Medium>);

impl<D: Dir> Dir for NoSync<D> {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(NoSyncFile(self.0.create(name)?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(NoSyncFile(self.0.open(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        self.0.lock(name)
    }
}

impl Medium for NoSyncFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(offset, len)
    }
}
