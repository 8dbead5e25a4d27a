//! Stamp of a file, by which a change is noticed, also when a rename or a link put another file in its place.

#![allow(clippy::disallowed_methods, reason = "a shell: files")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Inode, size, and the times of the last change of content and inode. `None`: the file is missing, or its metadata cannot be read.
pub(in crate::run) type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

pub(in crate::run) fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}
