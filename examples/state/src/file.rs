//! Small files of a state directory: read within a limit, replaced whole and durably. Whoever else can write there gets no file written or read
//! through a link, and no start that waits for a pipe. Any program may use it.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use crate::in_use;

/// Mode of what is made: it is the owner's alone, as the queue beside it, whatever the umask allows.
const MODE: u32 = 0o600;

/// Replaces the file `name` in `dir` by one of these parts, one behind the other. At any power cut there is the old content or the new one, whole; when this returns, the new one.
///
/// # Errors
/// The disk refused: unless only the last sync did, the old content is still there. Or the path leads to another directory than the one
/// [in use](crate::in_use).
pub fn replace(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    replace_by(dir, name, |file| parts.iter().try_for_each(|part| file.write_all(part)))
}

/// Replaces the file as [`replace`] does, and gives it this mode: for one that is not of the state directory, and that others may read.
///
/// # Errors
/// Those of [`replace`].
pub fn replace_with_mode(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    replace_by(dir, name, |file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)
    })
}

/// Replaces the file by what `write` writes, as [`replace`] does.
pub(crate) fn replace_by(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    in_use::check(dir)?;
    let new = dir.join(format!("{name}.new"));
    let mut file = made_anew(&new)?;
    // Whatever the umask takes.
    file.set_permissions(Permissions::from_mode(MODE))?;
    if let Err(error) = write(&mut file).and_then(|()| file.sync_all()) {
        // What there is of it takes room that others may need. The next attempt removes it, too.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    fs::rename(&new, dir.join(name))?;
    sync_names(dir)
}

/// Makes an empty file in the place of one that a crash left, or of a link that somebody made: `create_new` follows none.
fn made_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// Finds out whether the disk has room for a file of so many bytes. They are reserved and not written, under a name that is gone before, so that
/// nothing is left of it whatever happens.
///
/// # Errors
/// The disk refused.
pub fn try_room(dir: &Path, name: &str, bytes: u64) -> io::Result<()> {
    in_use::check(dir)?;
    let path = dir.join(name);
    let file = made_anew(&path)?;
    fs::remove_file(&path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes.max(1)) {
        // Such a file system says at least what is free.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let about = fstatvfs(&file)?;
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            if free < bytes { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        tried => Ok(tried?),
    }
}

/// Reads a file of at most `bytes_max`. Links are not followed, and nothing waits: a pipe is an error. Nothing is read of a larger one.
///
/// # Errors
/// There is no such file, it is no regular one or too large, or the disk refused.
pub fn read(dir: &Path, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_opened(&open(dir, name, bytes_max)?, bytes_max)
}

/// Opens a file of at most `bytes_max`, as [`read`] does.
pub(crate) fn open(dir: &Path, name: &str, bytes_max: u64) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(dir.join(name))?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    if about.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(file)
}

/// Reads an open file to its end.
pub(crate) fn read_opened(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    // It may have grown since it was opened.
    if bytes.len() as u64 > bytes_max { Err(too_large(bytes_max)) } else { Ok(bytes) }
}

fn too_large(bytes_max: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {bytes_max} bytes"))
}

/// Returns the directory of a file: that of a bare name is the working directory.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the directory of a file, and its name there.
///
/// # Errors
/// The path ends with no name, or with one that is not UTF-8.
pub fn folder_and_name(file: &Path) -> io::Result<(&Path, &str)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file in UTF-8");
    Ok((folder_of(file), name.ok_or_else(no_name)?))
}

/// Makes the names in a directory durable: of files that were renamed or removed.
///
/// # Errors
/// The disk refused.
pub fn sync_names(dir: &Path) -> io::Result<()> {
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
    fn a_file_that_others_may_read_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        replace_with_mode(dir.path(), "f", 0o644, b"text").unwrap();
        let path = dir.path().join("f");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read(path).unwrap(), b"text");
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (at, mine) = (dir.path(), dir.path().join("somebodys"));
        fs::write(&mine, "precious").unwrap();
        std::os::unix::fs::symlink(&mine, at.join("f.new")).unwrap();
        replace(at, "f", &[b"text"]).unwrap();
        assert_eq!(
            (fs::read(&mine).unwrap(), fs::read(at.join("f")).unwrap()),
            (b"precious".to_vec(), b"text".to_vec())
        );
        assert!(fs::symlink_metadata(at.join("f")).unwrap().is_file());
        std::os::unix::fs::symlink(&mine, at.join("link")).unwrap();
        read(at, "link", 100).unwrap_err();
        let pipe = std::process::Command::new("mkfifo").arg(at.join("pipe")).status().unwrap();
        assert!(pipe.success());
        read(at, "pipe", 100).unwrap_err();
        assert_eq!(
            (read(at, "f", 4).unwrap(), read(at, "f", 3).unwrap_err().kind()),
            (b"text".to_vec(), io::ErrorKind::InvalidData)
        );
        assert_eq!(read(at, "none", 3).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn room_is_tried_and_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (at, mine) = (dir.path(), dir.path().join("somebodys"));
        fs::write(&mine, "precious").unwrap();
        std::os::unix::fs::symlink(&mine, at.join("trial")).unwrap();
        try_room(at, "trial", 1 << 20).unwrap();
        try_room(at, "trial", 0).unwrap();
        // No length at all: of one that the disk does not have, it might take all that is free first.
        try_room(at, "trial", 1 << 63).unwrap_err();
        let left: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!((fs::read(&mine).unwrap(), left), (b"precious".to_vec(), vec!["somebodys".into()]));
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        for (file, place) in
            [("f", Some((".", "f"))), ("a/f", Some(("a", "f"))), ("/f", Some(("/", "f"))), ("..", None)]
        {
            let found = folder_and_name(Path::new(file)).ok();
            assert_eq!(found, place.map(|(folder, name)| (Path::new(folder), name)), "{file}");
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
