//! Disk access through two traits, so that a test can lose, tear, reorder or refuse any call.
//!
//! A call that fails returns its error, and the queue tries again. One that panics costs more: the queue stores nothing from then on until it is
//! opened again (see [`store`](crate::store#panics)).

use std::io;
use std::ops::Range;

mod hooked;
#[cfg(unix)]
pub mod os;
mod overlay;

pub use hooked::{Call, Hooked, Verdict};
pub use overlay::Overlay;

/// Unit of files that are kept in RAM.
pub(crate) const PAGE: usize = 4096;

/// Identity of a file, whatever name leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// Number of the device that holds the file.
    pub device: u64,
    /// Number of the file on that device.
    pub inode: u64,
}

/// One file of fixed or growing size, accessed by offset.
pub trait Medium: Send {
    /// Fills `buf` from `offset`; a short file is `UnexpectedEof`.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`. Not durable before `sync`.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable (fdatasync). After an error the unsynced bytes are in an unknown
    /// state for ever: Linux marks the pages clean.
    fn sync(&mut self) -> io::Result<()>;
    /// Current length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Returns whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts the file to `len` bytes, or extends it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Reserves `len` bytes from `offset`, extending the file; fails with `StorageFull` when there is no space.
    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()>;
    /// Takes the exclusive lock of the file itself, whatever name leads to it; a file opened to read from shares it with other readers.
    /// `WouldBlock` when another holder has it. Released when the file is dropped. Stores take it for the file that holds the rows, because the
    /// lock of [`Dir::lock`] is gone with its name. A medium that only one program can reach needs none, and keeps this method.
    fn lock(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Returns the identity of the file, by which a store notices that its name leads elsewhere. `None` for a medium that only one program can
    /// reach.
    fn id(&self) -> io::Result<Option<FileId>> {
        Ok(None)
    }
}

/// The directory a queue lives in.
pub trait Dir: Send {
    /// Makes a new empty file, replacing one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    /// Opens an existing file; `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    /// Renames, replacing `to`. Durable after `sync`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable after `sync`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable (fsync of the directory).
    fn sync(&self) -> io::Result<()>;
    /// Takes the exclusive lock named `name`; `WouldBlock` when another holder has it. Released on drop, whoever else
    /// still has the file.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>>;
    /// Bytes this process could still write here; `None` when that cannot be known.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
    /// Number of the device that the directory's path leads to now; `None` when that cannot be known. A store whose file may not be opened any more
    /// compares it with that of [`Medium::id`]: another one means that the volume was unmounted.
    fn device(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// Cuts a byte range at page boundaries into pieces of (page number, offset in the page, range in the buffer).
pub(crate) fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset.saturating_add(done as u64);
        let within = (at % PAGE as u64) as usize;
        let take = (PAGE - within).min(len - done);
        done += take;
        Some((at / PAGE as u64, within, done - take..done))
    })
}
