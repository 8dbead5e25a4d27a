//! Storage backend of redb on a [`Medium`], which rewrites [`unsynced`] bytes and counts writes.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use super::unsynced::{self, Unsynced};
use crate::locks_and_atomics::{Mutex, MutexGuard, lock};
use crate::medium::{FileId, Medium};

/// A handle to the file; clones share it, so that redb can be reopened on it.
#[derive(Clone)]
pub(super) struct Backend {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    medium: Box<dyn Medium>,
    unsynced: Unsynced,
    bytes_written: u64,
    syncs: u64,
}

impl Backend {
    /// Makes the backend of an open file, whose lock it takes: redb locks only files that it opens itself.
    pub(super) fn new(mut medium: Box<dyn Medium>) -> io::Result<Backend> {
        medium.lock()?;
        let shared = Shared { medium, unsynced: Unsynced::default(), bytes_written: 0, syncs: 0 };
        Ok(Backend { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Returns the identity of the file.
    pub(super) fn id(&self) -> io::Result<Option<FileId>> {
        self.lock().medium.id()
    }

    /// Returns the numbers of bytes written and syncs so far.
    pub(super) fn figures(&self) -> (u64, u64) {
        let shared = self.lock();
        (shared.bytes_written, shared.syncs)
    }

    /// Writes the bytes of a failed sync again and syncs them, so that redb may read the file. Does nothing if the last sync worked.
    pub(super) fn restore(&self) -> io::Result<()> {
        let mut shared = self.lock();
        if !shared.unsynced.sync_failed() {
            return Ok(());
        }
        let Shared { medium, unsynced, bytes_written, .. } = &mut *shared;
        unsynced.write_again(medium.as_mut(), bytes_written)?;
        shared.sync()
    }

    /// Returns whether the last sync failed and [`Backend::restore`] has not worked since.
    pub(super) fn is_unsynced(&self) -> bool {
        self.lock().unsynced.sync_failed()
    }

    /// Writes the whole file again and syncs.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        let mut shared = self.lock();
        let Shared { medium, bytes_written, .. } = &mut *shared;
        unsynced::rewrite(medium.as_mut(), bytes_written)?;
        shared.sync()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Shared {
    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        let result = self.medium.sync();
        self.unsynced.note_sync(&result);
        result
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.lock().medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.lock().medium.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut shared = self.lock();
        shared.medium.set_len(len)?;
        shared.unsynced.cut(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut shared = self.lock();
        shared.bytes_written += data.len() as u64;
        shared.unsynced.keep(offset, data);
        shared.medium.write_at(offset, data)
    }
}
