//! Creation of a ring's file: its whole length is reserved, with both superblocks, under another name until it is complete.
#![deny(clippy::indexing_slicing)]

use std::io;

use super::layout::FILE_NEW;
use super::superblock::Superblock;
use crate::error::OpenError;
use crate::medium::{Dir, Medium};

/// Setting from which the size of a file follows.
const LOWER: Option<&str> = Some("max_bytes");

/// Returns the free bytes of the file system, `None` if unknown; an error if `needed` bytes certainly find no room.
pub(super) fn check_space(dir: &dyn Dir, needed: u64) -> Result<Option<u64>, OpenError> {
    let free = dir.free_bytes().ok().flatten();
    match free {
        Some(free) if free < needed => Err(OpenError::NoSpace { needed, free, lower: LOWER }),
        _ => Ok(free),
    }
}

/// Creates [`FILE_NEW`], complete and durable except for its name.
pub(super) fn create(
    dir: &dyn Dir,
    mut superblock: Superblock,
) -> Result<(Box<dyn Medium>, Superblock), OpenError> {
    let needed = superblock.geometry.file_bytes();
    let free = check_space(dir, needed)?;
    let made = (|| {
        let mut medium = dir.create(FILE_NEW)?;
        medium.lock()?;
        medium.allocate(0, needed)?;
        superblock.write_next(medium.as_mut())?;
        superblock.write_next(medium.as_mut())?;
        medium.sync()?;
        Ok(medium)
    })();
    match made {
        Ok(medium) => Ok((medium, superblock)),
        Err(source) => {
            let _ = dir.remove(FILE_NEW);
            let source: io::Error = source;
            Err(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    OpenError::NoSpace { needed, free: free.unwrap_or(0), lower: LOWER }
                }
                _ => OpenError::Io { op: "create", source },
            })
        }
    }
}
