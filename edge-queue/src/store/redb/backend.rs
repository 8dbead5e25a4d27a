//! Storage backend of redb on a [`Medium`], which rewrites [`unsynced`] bytes and counts writes.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::StorageBackend;

use super::PAGE_BYTES;
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
    /// Set once a call of the medium has panicked.
    panicked: bool,
    /// Set once a read has failed, until [`Backend::forget_unread`].
    unread: bool,
}

impl Backend {
    /// Makes the backend of an open file, whose lock it takes: redb locks only files that it opens itself.
    pub(super) fn new(mut medium: Box<dyn Medium>) -> io::Result<Backend> {
        medium.lock()?;
        let (unsynced, bytes_written, syncs) = (Unsynced::default(), 0, 0);
        let shared = Shared { medium, unsynced, bytes_written, syncs, panicked: false, unread: false };
        Ok(Backend { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Returns the identity of the file.
    pub(super) fn id(&self) -> io::Result<Option<FileId>> {
        self.call(|shared| shared.medium.id())
    }

    /// Returns the numbers of bytes written and syncs so far.
    pub(super) fn figures(&self) -> (u64, u64) {
        let shared = self.lock();
        (shared.bytes_written, shared.syncs)
    }

    /// Writes the bytes of a failed sync again and syncs them, so that redb may read the file. Does nothing if the last sync worked.
    pub(super) fn restore(&self) -> io::Result<()> {
        self.call(|shared| {
            if !shared.unsynced.sync_failed() {
                return Ok(());
            }
            let Shared { medium, unsynced, bytes_written, .. } = shared;
            unsynced.write_again(medium.as_mut(), bytes_written)?;
            shared.sync()
        })
    }

    /// Returns whether the last sync failed and [`Backend::restore`] has not worked since.
    pub(super) fn is_unsynced(&self) -> bool {
        self.lock().unsynced.sync_failed()
    }

    /// Writes the whole file again and syncs.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        self.call(|shared| {
            let Shared { medium, bytes_written, .. } = shared;
            unsynced::rewrite(medium.as_mut(), bytes_written)?;
            shared.sync()
        })
    }

    /// Forgets that reads have failed.
    pub(super) fn forget_unread(&self) {
        self.lock().unread = false;
    }

    /// Returns whether a read has failed although the medium answers: its length and the first page can be read. So a sector is bad.
    pub(super) fn has_bad_sector(&self) -> bool {
        let first =
            |shared: &mut Shared| shared.medium.len().and(shared.medium.read_at(0, &mut [0; PAGE_BYTES]));
        let unread = self.lock().unread;
        unread && self.call(first).is_ok()
    }

    /// Returns whether a call of the medium has panicked; since then it is not called.
    pub(super) fn has_panicked(&self) -> bool {
        self.lock().panicked
    }

    /// Calls the medium. A panic must not reach redb's own fence, where it would count as damage of the file.
    fn call<T>(&self, call: impl FnOnce(&mut Shared) -> io::Result<T>) -> io::Result<T> {
        let mut shared = self.lock();
        if !shared.panicked {
            match catch_unwind(AssertUnwindSafe(|| call(&mut shared))) {
                Ok(result) => return result,
                Err(_) => shared.panicked = true,
            }
        }
        Err(io::Error::other("the medium panicked"))
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
        self.call(|shared| shared.medium.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call(|shared| {
            let done = shared.medium.read_at(offset, out);
            shared.unread |= done.is_err();
            done
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(|shared| {
            shared.medium.set_len(len)?;
            shared.unsynced.cut(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(Shared::sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call(|shared| {
            shared.bytes_written += data.len() as u64;
            shared.unsynced.keep(offset, data);
            shared.medium.write_at(offset, data)
        })
    }
}
