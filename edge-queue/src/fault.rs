//! Faults of a store, by the action that an operator can take.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::store::StoreError;

/// A call of the store that has not returned for this long counts as a failing store ([`FaultKind::Stalled`]). Flash that
/// collects garbage takes a tenth of it; what takes longer delays receipts past the default `ack_within`.
pub const STALLED_AFTER_MS: u64 = 2_000;

/// Kind of a store's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The file system is full, or a quota or a limit on a file's size is reached: give it space.
    DiskFull,
    /// The file system is read-only, usually remounted so after an error: look at the kernel's log.
    ReadOnly,
    /// The medium failed a call (EIO, or any other error of the system).
    Io,
    /// A call has not returned for [`STALLED_AFTER_MS`]: the medium does not respond. Ends with the call.
    Stalled,
    /// No segment of a lane's region is free, and its policy evicts nothing: acknowledge rows.
    LaneFull,
    /// The path of the file leads elsewhere: it or its directory was removed or moved away, or the volume unmounted. Bring it back to its path.
    /// If it is gone for good, what waits can still be read until the queue is dropped.
    NameLost,
    /// Code that the queue calls panicked: the store, its medium or directory, or the clock. After a panic in a call of the store it is not called
    /// again, and nothing is stored until the queue is opened anew; after one that ended the queue's own thread, commits are written by
    /// [`Queue::commit`](crate::Queue::commit) and [`Queue::close`](crate::Queue::close) alone. Does not end: close the queue and open it again.
    Panicked,
}

impl FaultKind {
    /// Returns the kind of fault that a store's error means.
    pub(crate) fn of(error: &StoreError) -> FaultKind {
        match error {
            StoreError::Full { .. } => FaultKind::LaneFull,
            StoreError::Io { source, .. } => FaultKind::of_call(source),
            StoreError::NameLost { .. } => FaultKind::NameLost,
            StoreError::Panicked { .. } => FaultKind::Panicked,
        }
    }

    /// Returns the kind of fault that a failed call of the medium means.
    pub(crate) fn of_call(error: &io::Error) -> FaultKind {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                FaultKind::DiskFull
            }
            ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
            _ => FaultKind::Io,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::DiskFull => "disk full",
            FaultKind::ReadOnly => "read-only",
            FaultKind::Io => "I/O error",
            FaultKind::Stalled => "stalled",
            FaultKind::LaneFull => "lane full",
            FaultKind::NameLost => "file gone",
            FaultKind::Panicked => "panicked",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Lane;

    #[test]
    fn the_system_s_words_become_the_operator_s() {
        let io = |code| StoreError::Io { op: "write", source: std::io::Error::from_raw_os_error(code) };
        // ENOSPC, EDQUOT, EFBIG, EROFS, EIO, ENODEV.
        let kinds = [28, 122, 27, 30, 5, 19].map(|code| FaultKind::of(&io(code)));
        let full = FaultKind::DiskFull;
        assert_eq!(kinds, [full, full, full, FaultKind::ReadOnly, FaultKind::Io, FaultKind::Io]);
        assert_eq!(FaultKind::of(&StoreError::Full { lane: Lane(0) }), FaultKind::LaneFull);
    }
}
