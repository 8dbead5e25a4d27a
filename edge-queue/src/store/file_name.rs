//! Look at the name of a store's file: compares the file that the name leads to with the one that is open, by device and inode.

use std::io::ErrorKind;

use super::FileName;
use crate::medium::{Dir, FileId};

/// Compares the file `name` in `dir` with an open one, whose identity is `None` where the medium does not show it. An error that says nothing
/// about the name, as of a directory that may not be searched any more, is no loss of the name, unless the directory is one of another device: then
/// the volume was unmounted.
pub(super) fn look_at_name(dir: &dyn Dir, name: &'static str, open: Option<FileId>) -> FileName {
    let Some(open) = open else { return FileName::Unknown };
    let elsewhere = || dir.device().ok().flatten().is_some_and(|device| device != open.device);
    match dir.open(name).and_then(|there| there.id()) {
        Ok(Some(there)) if there == open => FileName::Held,
        Ok(Some(_)) => FileName::Lost(name),
        Err(error) if leads_nowhere(error.kind()) || elsewhere() => FileName::Lost(name),
        Ok(None) | Err(_) => FileName::Unknown,
    }
}

fn leads_nowhere(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::medium::Medium;

    /// A directory that this user may not search.
    struct Closed {
        device: Option<u64>,
    }

    impl Dir for Closed {
        fn create(&self, _: &str) -> io::Result<Box<dyn Medium>> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn open(&self, _: &str) -> io::Result<Box<dyn Medium>> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn remove(&self, _: &str) -> io::Result<()> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn sync(&self) -> io::Result<()> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn lock(&self, _: &str) -> io::Result<Box<dyn Send>> {
            Err(ErrorKind::PermissionDenied.into())
        }
        fn device(&self) -> io::Result<Option<u64>> {
            Ok(self.device)
        }
    }

    /// As after `umount -l` above a mount point that belongs to somebody else.
    #[test]
    fn a_directory_that_may_not_be_searched_has_the_name_unless_it_is_of_another_device() {
        let open = FileId { device: 7, inode: 1 };
        let found = |device| look_at_name(&Closed { device }, "queue.ring", Some(open));
        assert_eq!((found(Some(7)), found(None)), (FileName::Unknown, FileName::Unknown));
        assert_eq!(found(Some(8)), FileName::Lost("queue.ring"));
    }
}
