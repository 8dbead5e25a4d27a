//! Directories in use, by device and inode. While a volume is detached (`umount -l`) or a directory is moved away, its path may lead to another one, such
//! as the mount point: what is written there is not found beside the rest, and is in the way of the next mount. [`file::replace`](crate::file::replace)
//! refuses to. One record for the whole process, as paths are.

#![allow(clippy::disallowed_methods, reason = "a shell: it looks at a directory")]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and inode of a directory.
type Identity = (u64, u64);

static IN_USE: Mutex<BTreeMap<PathBuf, Identity>> = Mutex::new(BTreeMap::new());

/// Takes the directory into use that has this path now, in place of one that had it before.
///
/// # Errors
/// It cannot be looked at.
pub fn begin(dir: &Path) -> io::Result<()> {
    let found = identity(dir)?;
    directories().insert(dir.to_owned(), found);
    Ok(())
}

/// Ends the use of the directory of this path: whatever has the path next may be written to.
pub fn end(dir: &Path) {
    directories().remove(dir);
}

/// Checks that the path leads to the directory in use, if there is one.
///
/// # Errors
/// It leads to another one, or to none.
pub(crate) fn check(dir: &Path) -> io::Result<()> {
    let Some(known) = directories().get(dir).copied() else { return Ok(()) };
    match identity(dir) {
        Ok(found) if found == known => Ok(()),
        Ok(_) => Err(io::Error::other(format!(
            "{} is another directory than the one in use: that was moved away, or its volume unmounted",
            dir.display()
        ))),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", dir.display()))),
    }
}

fn directories() -> MutexGuard<'static, BTreeMap<PathBuf, Identity>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn identity(dir: &Path) -> io::Result<Identity> {
    std::fs::metadata(dir).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::file;

    use super::*;

    #[test]
    fn another_directory_in_its_place_is_not_written_to_until_it_is_back() {
        let home = tempfile::tempdir().unwrap();
        let (state, away) = (home.path().join("state"), home.path().join("away"));
        fs::create_dir(&state).unwrap();
        file::replace(&state, "f", &[b"before"]).unwrap();
        begin(&state).unwrap();
        file::replace(&state, "f", &[b"first"]).unwrap();
        fs::rename(&state, &away).unwrap();
        let gone = file::replace(&state, "f", &[b"second"]).unwrap_err();
        assert!(gone.kind() == io::ErrorKind::NotFound && gone.to_string().contains("/state"), "{gone}");
        fs::create_dir(&state).unwrap();
        let other = file::replace(&state, "f", &[b"second"]).unwrap_err().to_string();
        assert!(other.contains("/state is another directory than the one in use"), "{other}");
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        assert_eq!(fs::read(away.join("f")).unwrap(), b"first");
        fs::remove_dir(&state).unwrap();
        fs::rename(&away, &state).unwrap();
        file::replace(&state, "f", &[b"second"]).unwrap();

        // The next start in this process may find another one, and takes it.
        fs::rename(&state, &away).unwrap();
        fs::create_dir(&state).unwrap();
        end(&state);
        file::replace(&state, "f", &[b"third"]).unwrap();
        begin(&state).unwrap();
        file::replace(&state, "f", &[b"fourth"]).unwrap();
        assert_eq!(fs::read(away.join("f")).unwrap(), b"second");
    }
}
