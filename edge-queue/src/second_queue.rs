//! Second queue inside the directory of the first, for rows that are parked for long.

use std::io::ErrorKind;
use std::path::{Component, Path};

use crate::error::OpenError;
use crate::queue::Queue;

/// Directory for files of a queue that were found damaged.
const DAMAGED_DIR: &str = "bad";

impl Queue {
    /// Opens or creates a queue in the directory `name` inside this one's, with this one's limits, policy and clock, but
    /// one lane, in the order of pushes. Its rows may carry `more_bytes` beyond this one's. See [`Lease::moved`]. Blocks as
    /// [`Queue::open`] does, and reserves as much disk for its lane. A memory queue's is in memory too.
    ///
    /// Rows keep no age when they are moved: give each the [`ttl`](crate::Row::ttl) that is left of it.
    ///
    /// [`Lease::moved`]: crate::Lease::moved
    ///
    /// # Errors
    /// As [`Queue::open`]; also for a queue that was not opened by a path, and for a `name` that is not that of one directory: empty, `.`, `..`,
    /// with a separator, or `bad`, the quarantine of damaged files.
    pub fn open_beside(&self, name: &str, more_bytes: usize) -> Result<Queue, OpenError> {
        let home = self.handle.home.as_ref().ok_or_else(no_path)?;
        if !is_one_directory(name) {
            return Err(OpenError::Io {
                op: "open a queue beside: no name of a directory",
                source: ErrorKind::InvalidInput.into(),
            });
        }
        let config = home.config.beside(more_bytes);
        Queue::open_with_clock(home.dir.join(name), config, self.handle.engine.clock.clone())
    }

    /// Returns whether [`Queue::open_beside`] would find an existing queue, or might: also `true` for a directory that cannot be read. A
    /// directory with only a lock file, as a failed open leaves it, is no queue. Reads the file system.
    #[must_use]
    pub fn has_beside(&self, name: &str) -> bool {
        let Some(home) = &self.handle.home else { return false };
        let dir = home.dir.join(name);
        home.config.store_kind().files().iter().any(|file| may_exist(&dir.join(file)))
    }
}

/// Returns whether `name` is a valid name of a directory inside another one, and not reserved.
fn is_one_directory(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_plain = matches!(parts.next(), Some(Component::Normal(part)) if part == name);
    is_plain && parts.next().is_none() && name != DAMAGED_DIR
}

/// Returns whether there is such a file; `true` also if that cannot be found out.
fn may_exist(file: &Path) -> bool {
    match std::fs::metadata(file) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

fn no_path() -> OpenError {
    OpenError::Io { op: "find the directory of the first queue", source: ErrorKind::Unsupported.into() }
}
