//! Real files: [`Medium`] on `std::fs::File`, [`Dir`] on a path.
#![allow(clippy::disallowed_methods, reason = "this module is where the crate meets the file system")]
#![deny(clippy::indexing_slicing)]

mod lockable_file;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use super::{Dir, FileId, Medium};
use lockable_file::LockableFile;

/// Modes of directories and files that are created: only the owner can read payloads, whatever the umask allows.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory of the operating system. File names may contain one `/` (`bad/…`); the subdirectory is made on demand.
/// Directories that are made have mode 0700 and files 0600; a directory that exists keeps its mode.
#[derive(Clone, Debug)]
pub struct OsDir {
    path: PathBuf,
    read_only: bool,
}

impl OsDir {
    /// Opens the directory, creating it (and its parents) when it does not exist. A relative path counts from the present working directory, also
    /// after the process has changed to another.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<OsDir> {
        let path = std::path::absolute(path.into())?;
        if !path.is_dir() {
            make_dir(&path)?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(OsDir { path, read_only: false })
    }

    /// Opens an existing directory to read from: files are opened without write access, every call that would change
    /// something fails, and [`Dir::lock`] shares the lock with others that read.
    pub fn read_only(path: impl Into<PathBuf>) -> io::Result<OsDir> {
        let path = path.into();
        if !fs::metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(OsDir { path, read_only: true })
    }

    fn writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// Takes the lock shared with other readers; locks nothing when there is no lock file, because no queue was ever opened here.
    fn lock_shared(&self, name: &str) -> io::Result<Box<dyn Send>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let at = self.at(name)?;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&at) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Box::new(())),
            Err(e) => return Err(e),
        };
        let held = LockableFile::new(file, at);
        held.lock(File::try_lock_shared)?;
        Ok(Box::new(held))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name below this directory; refuses anything that would lead out of it.
    fn at(&self, name: &str) -> io::Result<PathBuf> {
        let name = Path::new(name);
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || name.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "file name leads out of the directory"));
        }
        Ok(self.path.join(name))
    }

    fn make_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if parent != self.path && !is_directory(parent) => {
                // A file or a link that somebody made in its place gives way: what is set aside stays in this directory.
                if fs::symlink_metadata(parent).is_ok() {
                    fs::rename(parent, parent.with_extension("moved"))?;
                }
                make_dir(parent)
            }
            _ => Ok(()),
        }
    }
}

impl Dir for OsDir {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.writable()?;
        let path = self.at(name)?;
        self.make_parent(&path)?;
        // What is there gives way, be it a file that a crash left or a link that somebody made: emptying it would empty what the link names.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = make_file(&mut options, &path)?;
        Ok(Box::new(OsFile { file: LockableFile::new(file, path), read_only: false }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.read_only);
        // A link would have a file elsewhere written.
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let path = self.at(name)?;
        let opened = options.open(&path);
        let is_link = |e: &io::Error| e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        let file = opened.map_err(|e| match is_link(&e) {
            true => io::Error::other(format!(
                "{name} is a symbolic link, and none in the queue's directory is followed"
            )),
            false => e,
        })?;
        Ok(Box::new(OsFile { file: LockableFile::new(file, path), read_only: self.read_only }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.writable()?;
        let to = self.at(to)?;
        self.make_parent(&to)?;
        fs::rename(self.at(from)?, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.writable()?;
        fs::remove_file(self.at(name)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.writable()?;
        File::open(&self.path)?.sync_all()?;
        let bad = self.path.join("bad");
        // Anything else under that name holds nothing of ours, and opening a pipe would wait.
        if bad.is_dir() { File::open(bad)?.sync_all() } else { Ok(()) }
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        if self.read_only {
            return self.lock_shared(name);
        }
        let at = self.at(name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A link would make or lock a file elsewhere.
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let held = LockableFile::new(make_file(&mut options, &at)?, at);
        held.lock(File::try_lock)?;
        Ok(Box::new(held))
    }

    fn device(&self) -> io::Result<Option<u64>> {
        Ok(Some(fs::metadata(&self.path)?.dev()))
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }
}

/// Returns whether a path is a directory itself; a link to one is none.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)?;
    restrict(&fs::metadata(path)?, DIR_MODE, |mode| fs::set_permissions(path, mode));
    Ok(())
}

fn make_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(FILE_MODE).open(path)?;
    restrict(&file.metadata()?, FILE_MODE, |mode| file.set_permissions(mode));
    Ok(file)
}

/// Sets the mode where a umask took the owner's own bits, or an older file had more.
fn restrict(found: &fs::Metadata, mode: u32, set: impl FnOnce(Permissions) -> io::Result<()>) {
    if found.permissions().mode() & 0o777 != mode {
        // A file system without modes (vfat) refuses; what its mount allows is all there is.
        let _as_mounted = set(Permissions::from_mode(mode));
    }
}

struct OsFile {
    file: LockableFile,
    read_only: bool,
}

impl OsFile {
    /// Makes the file at least `end` bytes long.
    fn extend_to(&mut self, end: u64) -> io::Result<()> {
        if self.len()? < end { self.set_len(end) } else { Ok(()) }
    }
}

impl Medium for OsFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.as_file().read_exact_at(buf, offset)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.as_file().write_all_at(data, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_file().sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.as_file().metadata()?.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.as_file().set_len(len)
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self.file.as_file(), rustix::fs::FallocateFlags::empty(), offset, len) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve (older NFS, FUSE): a longer file is the best they offer.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.extend_to(offset.saturating_add(len))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn lock(&mut self) -> io::Result<()> {
        self.file.lock(if self.read_only { File::try_lock_shared } else { File::try_lock })
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.file.id().map(Some)
    }
}

#[cfg(test)]
mod tests;
