//! Lock of a file, by which a directory and a store have one writer.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::medium::FileId;

/// Longest wait for the lock of another process: a killed process keeps its locks until it has ended, and so does a process that it forked, until
/// that one calls exec. A restarted service meets either.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(5);

/// File whose lock, if it has one, is released when it is dropped. Closing the file is not enough: the lock belongs to every descriptor of it, and
/// a process that another thread has just forked has them all until it calls exec.
pub(super) struct LockableFile {
    file: File,
    /// Path by which it was opened.
    path: PathBuf,
}

impl LockableFile {
    pub(super) fn new(file: File, path: PathBuf) -> Self {
        Self { file, path }
    }

    pub(super) fn as_file(&self) -> &File {
        &self.file
    }

    /// Takes the lock with `try_lock`, waiting for [`PATIENCE`].
    ///
    /// # Errors
    /// `WouldBlock`: another process or handle has it; or the path names another file now, so that the lock of this one keeps nobody out.
    pub(super) fn lock(&self, try_lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<()> {
        let since = Instant::now();
        loop {
            match try_lock(&self.file) {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        if self.is_at_its_path()? {
            return Ok(());
        }
        self.file.unlock()?;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns the identity of the file.
    pub(super) fn id(&self) -> io::Result<FileId> {
        self.file.metadata().map(|own| id_of(&own))
    }

    fn is_at_its_path(&self) -> io::Result<bool> {
        let own = self.id()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => Ok(id_of(&there) == own),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn id_of(file: &Metadata) -> FileId {
    FileId { device: file.dev(), inode: file.ino() }
}

impl Drop for LockableFile {
    fn drop(&mut self) {
        // If the system refuses, closing is what is left.
        let _closed_next = self.file.unlock();
    }
}
