//! Look at the name of a store's file: compares the file that the name leads to with the one that is open, by device and inode.

use std::io::ErrorKind;

use super::FileName;
use crate::medium::{Dir, FileId};

/// Compares the file `name` in `dir` with an open one, whose identity is `None` where the medium does not show it. An error that says nothing
/// about the name, as of a directory that may not be searched any more, is no loss of the name.
pub(super) fn look_at_name(dir: &dyn Dir, name: &'static str, open: Option<FileId>) -> FileName {
    let Some(open) = open else { return FileName::Unknown };
    match dir.open(name).and_then(|there| there.id()) {
        Ok(Some(there)) if there == open => FileName::Held,
        Ok(Some(_)) => FileName::Lost(name),
        Err(error) if leads_nowhere(error.kind()) => FileName::Lost(name),
        Ok(None) | Err(_) => FileName::Unknown,
    }
}

fn leads_nowhere(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}
