//! Durable atomic replacement of a small file in the state directory.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Mode of what is made: it is the owner's alone, as the queue beside it, whatever the umask allows.
const MODE: u32 = 0o600;

/// Replaces the file `name` in `dir` by one of these parts, one behind the other. At any power cut there is the old content or the new one, whole; when this returns, the new one.
///
/// # Errors
/// The disk refused: unless only the last sync did, the old content is still there.
pub(super) fn replace(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
    // One that a crash left may have another mode.
    file.set_permissions(Permissions::from_mode(MODE))?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()?;
    fs::rename(&new, dir.join(name))?;
    sync_names(dir)
}

/// Makes the names in a directory durable: of files that were renamed or removed.
///
/// # Errors
/// The disk refused.
pub(super) fn sync_names(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("f"), dir.path().join("f.new"));
        for (at, parts) in [&[&b"a long"[..], b"er one"][..], &[b"short"], &[]].into_iter().enumerate() {
            // Left by a crash.
            fs::write(&new, vec![b'x'; 100 * at]).unwrap();
            fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
            replace(dir.path(), "f", parts).unwrap();
            assert_eq!(fs::read(&path).unwrap(), parts.concat());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(!new.exists());
        }
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "f", &[b"old"]).unwrap();
        fs::create_dir(dir.path().join("f.new")).unwrap();
        replace(dir.path(), "f", &[b"new"]).unwrap_err();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"old");
    }
}
