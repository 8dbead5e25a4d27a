//! redb's storage on a [`Medium`], with the one thing redb lacks: after a failed sync Linux marks the pages clean and
//! shows them as if they were written, so a reopened redb would trust bytes that are on no disk. Everything written
//! since the last good sync is therefore kept in RAM and written again before redb may look at the file.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use crate::medium::Medium;
use crate::sync::{Mutex, MutexGuard, lock};

/// Rewritten at a time.
const REWRITE_BYTES: usize = 256 * 1024;

/// A handle to the file; clones share it, so that redb can be reopened on it.
#[derive(Clone)]
pub(super) struct Backend {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    medium: Box<dyn Medium>,
    unsynced: Vec<(u64, Vec<u8>)>,
    sync_failed: bool,
    bytes_written: u64,
    syncs: u64,
}

impl Backend {
    pub(super) fn new(medium: Box<dyn Medium>) -> Backend {
        let shared = Shared { medium, unsynced: Vec::new(), sync_failed: false, bytes_written: 0, syncs: 0 };
        Backend { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Bytes written and syncs asked so far.
    pub(super) fn figures(&self) -> (u64, u64) {
        let shared = self.lock();
        (shared.bytes_written, shared.syncs)
    }

    /// Makes the file what redb will read: see the module.
    pub(super) fn restore(&self) -> io::Result<()> {
        let mut shared = self.lock();
        if !shared.sync_failed {
            return Ok(());
        }
        let unsynced = std::mem::take(&mut shared.unsynced);
        let written = unsynced.iter().try_for_each(|(offset, data)| {
            shared.bytes_written += data.len() as u64;
            shared.medium.write_at(*offset, data)
        });
        shared.unsynced = unsynced;
        written?;
        shared.sync()
    }

    /// Returns whether the last sync failed and [`Backend::restore`] has not worked since.
    pub(super) fn is_unsynced(&self) -> bool {
        self.lock().sync_failed
    }

    /// Writes the whole file anew and syncs: for the process after one that died between a failed sync and its repair.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        let mut shared = self.lock();
        let len = shared.medium.len()?;
        let mut piece = Vec::new();
        for at in (0..len).step_by(REWRITE_BYTES) {
            piece.resize(REWRITE_BYTES.min(usize::try_from(len - at).unwrap_or(REWRITE_BYTES)), 0);
            shared.medium.read_at(at, &mut piece)?;
            shared.bytes_written += piece.len() as u64;
            shared.medium.write_at(at, &piece)?;
        }
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
        self.sync_failed = result.is_err();
        if result.is_ok() {
            self.unsynced.clear();
        }
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
        // A piece beyond the end would grow the file again when it is written anew.
        shared.unsynced.retain_mut(|(offset, data)| {
            let room = usize::try_from(len.saturating_sub(*offset)).unwrap_or(usize::MAX);
            data.truncate(room);
            !data.is_empty()
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut shared = self.lock();
        shared.bytes_written += data.len() as u64;
        shared.unsynced.push((offset, data.to_vec()));
        shared.medium.write_at(offset, data)
    }
}
