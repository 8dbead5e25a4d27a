//! File of an export or a backup: written under another name and put in place whole and durable. What ends the command leaves nothing under the
//! final name that could be taken for the whole, and whoever exports may drop what was exported right behind.

#![allow(clippy::disallowed_methods, reason = "a command: a file")]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use edge_queue::transfer::{Item, Stream, StreamEnd};
use edge_state::file::{folder_of, sync_names};

/// Mode of the file, so that only its owner can read it whatever the umask is.
const MODE: u32 = 0o600;

/// A file that is being written. What is left of it is removed unless it was put in place.
pub(super) struct ExportFile {
    out: BufWriter<File>,
    /// Path at which it is at present.
    path: PathBuf,
    target: PathBuf,
    is_in_place: bool,
}

impl Drop for ExportFile {
    fn drop(&mut self) {
        if !self.is_in_place {
            // Nothing depends on it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Write for ExportFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl ExportFile {
    /// Creates the file that is to be `target`.
    ///
    /// # Errors
    /// There is something at `target`, or the file cannot be made beside it.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        check_free(target)?;
        let mut name = target.file_name().map(OsString::from).ok_or(ErrorKind::InvalidInput)?;
        name.push(".new");
        let path = target.with_file_name(name);
        remove_remains(&path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path)?;
        if is_locked(&file) || !is_at(&path, &file)? {
            return Err(written_by_another());
        }
        // A file system without modes refuses; what its mount allows is all there is.
        let _as_mounted = file.set_permissions(Permissions::from_mode(MODE));
        Ok(Self { out: BufWriter::new(file), path, target: target.to_owned(), is_in_place: false })
    }

    pub(super) fn write_line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Makes the content durable, and returns the path at which it can be read until [`finish`](Self::finish).
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn sync(&mut self) -> io::Result<&Path> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        Ok(&self.path)
    }

    /// Puts the file in place once its content is on the disk.
    ///
    /// # Errors
    /// It could not be written, or something came to its place meanwhile: nothing is left of it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.sync()?;
        check_free(&self.target)?;
        fs::rename(&self.path, &self.target)?;
        self.path.clone_from(&self.target);
        sync_names(folder_of(&self.target))?;
        self.is_in_place = true;
        Ok(())
    }
}

/// Reads an export stream to its end. Returns the number of its intact rows, and what is missing of it.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_through(input: impl Read) -> io::Result<(u64, StreamEnd)> {
    let mut stream = Stream::new(input);
    let mut rows = 0;
    while let Some(item) = stream.next_item().map_err(io::Error::other)? {
        rows += u64::from(matches!(item, Item::Row(_)));
    }
    Ok((rows, *stream.end()))
}

/// Reads the note of an export stream; empty where it has none, or its first block is damaged.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn note(input: impl Read) -> io::Result<Vec<u8>> {
    let mut stream = Stream::new(input);
    stream.next_item().map_err(io::Error::other)?;
    Ok(stream.note().to_vec())
}

/// Checks an export stream that was just written.
///
/// # Errors
/// It cannot be read, or the `thing` is not whole.
pub(super) fn check_whole(input: impl Read, thing: &str) -> io::Result<()> {
    let (_, end) = read_through(input)?;
    if end.is_whole() { Ok(()) } else { Err(io::Error::other(format!("the {thing} is not whole"))) }
}

fn check_free(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "it is there already, and nothing is replaced: name another file, or move this one away",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Locks a file for this process. Returns whether another one has it; a file system without locks cannot tell.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Returns whether the path still names the file: another command may have removed it, and made its own there, before it was locked here.
fn is_at(path: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?.ino();
    Ok(fs::symlink_metadata(path).is_ok_and(|found| found.ino() == own))
}

fn written_by_another() -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, "another command writes it at this moment")
}

/// Removes what an export left that was ended.
fn remove_remains(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => {
            // Held until it is removed.
            let remains = OpenOptions::new().write(true).open(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}, left by an export: {error}", path.display()))
            })?;
            if is_locked(&remains) || !is_at(path, &remains)? {
                return Err(written_by_another());
            }
            fs::remove_file(path)
        }
        Ok(_) => {
            let text = format!("{} is there, and no regular file", path.display());
            Err(io::Error::new(ErrorKind::AlreadyExists, text))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Readings are their owner's alone, as in the queue; and nobody has a file written through a link of theirs.
    #[test]
    fn an_export_is_its_owners_alone_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let [path, new, other] = ["f", "f.new", "other"].map(|name| dir.path().join(name));
        fs::write(&new, "of an export that was ended").unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        let mut file = ExportFile::create(&path).unwrap();
        file.write_line("x").unwrap();
        assert!(mode(&new) == 0o600 && !path.exists(), "nobody takes a half for the whole");
        file.finish().unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap(), new.exists()), (0o600, b"x\n".to_vec(), false));
        fs::remove_file(&path).unwrap();
        fs::write(&other, "precious").unwrap();
        symlink(&other, &new).unwrap();
        assert!(ExportFile::create(&path).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&new).unwrap().is_symlink(), "it is not ours to remove");
    }

    /// Either of two at a time would take the other's half away, and put it in place as its own whole.
    #[test]
    fn a_file_that_another_command_writes_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let [path, new] = ["f", "f.new"].map(|name| dir.path().join(name));
        let mut first = ExportFile::create(&path).unwrap();
        first.write_line("first").unwrap();
        let error = ExportFile::create(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains("another command") && new.exists(), "{error}");
        first.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first\n");
    }

    #[test]
    fn what_is_there_stays_and_a_given_up_export_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [path, new] = ["f", "f.new"].map(|name| dir.path().join(name));
        drop(ExportFile::create(&path).unwrap());
        assert!(!path.exists() && !new.exists());
        let late = ExportFile::create(&path).unwrap();
        fs::write(&path, "of yesterday").unwrap();
        for refused in [ExportFile::create(&path).map(drop), late.finish()] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("there already") && error.contains("name another file"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), b"of yesterday");
        }
        assert!(!new.exists());
        // A link to nothing is something, too.
        fs::remove_file(&path).unwrap();
        symlink(dir.path().join("nowhere"), &path).unwrap();
        assert!(ExportFile::create(&path).is_err() && ExportFile::create(dir.path()).is_err());
    }
}
