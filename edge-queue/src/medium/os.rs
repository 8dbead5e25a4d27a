//! Real files: [`Medium`] on `std::fs::File`, [`Dir`] on a path.
#![allow(clippy::disallowed_methods, reason = "this module is where the crate meets the file system")]
#![deny(clippy::indexing_slicing)]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::{Dir, Medium};

/// Longest wait of [`Dir::lock`] before it says that somebody else has the lock: a process that was killed keeps its locks
/// until it is gone, and whatever it forked, until that runs a program of its own. A service that is started again finds
/// one or the other.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_AGAIN: Duration = Duration::from_millis(5);

/// Mode of what is made: payloads are the owner's alone, whatever the umask allows.
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
    /// Opens the directory, creating it (and its parents) when it does not exist.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<OsDir> {
        let path = path.into();
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

    /// Held by a reader; nothing when no queue was ever opened here.
    fn lock_shared(&self, name: &str) -> io::Result<Box<dyn Send>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(self.at(name)?) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Box::new(())),
            Err(e) => return Err(e),
        };
        held(file, File::try_lock_shared)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name below this directory; refuses anything that would lead out of it.
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
        let file = make_file(OpenOptions::new().read(true).write(true).create(true).truncate(true), &path)?;
        Ok(Box::new(OsFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.read_only);
        // A link would have a file elsewhere written.
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let opened = options.open(self.at(name)?);
        let is_link = |e: &io::Error| e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        let file = opened.map_err(|e| match is_link(&e) {
            true => io::Error::other(format!(
                "{name} is a symbolic link, and none in the queue's directory is followed"
            )),
            false => e,
        })?;
        Ok(Box::new(OsFile { file }))
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
        let file = make_file(&mut options, &at)?;
        held(file, File::try_lock)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }
}

/// Itself, not what a link leads to.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)?;
    restrict(path, &fs::metadata(path)?, DIR_MODE);
    Ok(())
}

fn make_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(FILE_MODE).open(path)?;
    restrict(path, &file.metadata()?, FILE_MODE);
    Ok(file)
}

/// Sets the mode where a umask took the owner's own bits, or an older file had more.
fn restrict(path: &Path, found: &fs::Metadata, mode: u32) {
    if found.permissions().mode() & 0o777 != mode {
        // A file system without modes (vfat) refuses; what its mount allows is all there is.
        let _as_mounted = fs::set_permissions(path, Permissions::from_mode(mode));
    }
}

fn held(file: File, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Box<dyn Send>> {
    let since = Instant::now();
    loop {
        match lock(&file) {
            Ok(()) => return Ok(Box::new(Held { file })),
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_AGAIN);
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// A lock that ends here and now. Closing the file is not enough: the lock belongs to every descriptor of it, and one
/// that another thread has just forked has them all until it runs its own program.
struct Held {
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // If the system refuses, closing is what is left.
        let _closed_next = self.file.unlock();
    }
}

struct OsFile {
    file: File,
}

impl OsFile {
    /// Makes the file at least so long.
    fn extend_to(&mut self, end: u64) -> io::Result<()> {
        if self.len()? < end { self.set_len(end) } else { Ok(()) }
    }
}

impl Medium for OsFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), offset, len) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve (older NFS, FUSE): a longer file is the best they offer.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.extend_to(offset.saturating_add(len))
            }
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_what_is_written_and_names_move_into_a_subdirectory() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::new(tmp.path().join("a/b")).unwrap();
        let mut file = dir.create("x").unwrap();
        file.allocate(0, 8192).unwrap();
        assert_eq!(file.len().unwrap(), 8192);
        file.write_at(4096, b"hello").unwrap();
        file.sync().unwrap();
        drop(file);
        dir.rename("x", "bad/x.1").unwrap();
        dir.sync().unwrap();
        assert_eq!(dir.open("x").err().unwrap().kind(), io::ErrorKind::NotFound);
        let file = dir.open("bad/x.1").unwrap();
        let mut buf = [0; 5];
        file.read_at(4096, &mut buf).unwrap();
        assert_eq!(&buf, b"hello");
        let short = file.read_at(8190, &mut buf).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        assert!(dir.free_bytes().unwrap().unwrap() > 0);
    }

    /// Counting system calls without tracing them: a device has nothing to sync, and the system says so (EINVAL).
    #[cfg(target_os = "linux")]
    #[test]
    fn a_sync_is_a_system_call_and_its_refusal_is_told() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::new(tmp.path()).unwrap();
        let mut device = OsDir::read_only("/dev").unwrap().open("null").unwrap();
        let refused = |done: io::Result<()>| done.err().and_then(|e| e.raw_os_error()) == Some(22);
        assert!(refused(device.sync()), "a file");
        assert!(dir.sync().is_ok());
        std::os::unix::fs::symlink("/proc/self", tmp.path().join("bad")).unwrap();
        assert!(refused(dir.sync()), "the directory of what was set aside");
        assert!(refused(OsDir::new("/proc/self").unwrap().sync()), "the directory");
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::new(tmp.path()).unwrap();
        let held = dir.lock("lock").unwrap();
        assert_eq!(dir.lock("lock").err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(dir.lock("lock").is_ok());
    }

    /// A forked process has every descriptor until it runs its own program; a second descriptor is the same to the lock.
    #[test]
    fn a_lock_ends_with_its_holder_although_a_forked_process_still_has_the_file() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::new(tmp.path()).unwrap();
        let file = File::create(tmp.path().join("lock")).unwrap();
        let forked = file.try_clone().unwrap();
        let held = held(file, File::try_lock).unwrap();
        assert_eq!(dir.lock("lock").err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(dir.lock("lock").is_ok());
        drop(forked);
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::new(tmp.path()).unwrap();
        for name in ["../x", "/etc/x", "", "bad/../../x"] {
            assert_eq!(dir.create(name).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn a_file_is_empty_until_something_is_in_it() {
        let tmp = tempfile::tempdir().unwrap();
        let mut file = OsDir::new(tmp.path()).unwrap().create("x").unwrap();
        assert!(file.is_empty().unwrap());
        file.write_at(0, b"x").unwrap();
        assert!(!file.is_empty().unwrap());
    }

    /// Content stays where space cannot be reserved.
    #[test]
    fn a_file_that_is_made_longer_instead_of_reserved_is_never_cut() {
        let tmp = tempfile::tempdir().unwrap();
        let file = make_file(OpenOptions::new().read(true).write(true).create(true), &tmp.path().join("x"));
        let mut file = OsFile { file: file.unwrap() };
        for (end, len) in [(100, 100), (50, 100), (100, 100), (101, 101)] {
            file.extend_to(end).unwrap();
            assert_eq!(file.len().unwrap(), len);
        }
    }

    #[test]
    fn only_what_does_not_exist_counts_as_absent() {
        let tmp = tempfile::tempdir().unwrap();
        let (dir, reader) = (OsDir::new(tmp.path()).unwrap(), OsDir::read_only(tmp.path()).unwrap());
        assert!(dir.sync().is_ok() && reader.lock("lock").is_ok());
        // A name that leads to itself cannot be opened, whoever asks.
        std::os::unix::fs::symlink("lock", tmp.path().join("lock")).unwrap();
        assert!(dir.lock("lock").is_err() && reader.lock("lock").is_err());
    }

    #[test]
    fn a_link_or_a_pipe_leads_nowhere_and_holds_nothing_up() {
        let (tmp, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| tmp.path().join(name);
        let dir = OsDir::new(tmp.path()).unwrap();
        std::os::unix::fs::symlink(other.path().join("made"), at("lock")).unwrap();
        assert!(dir.lock("lock").is_err());
        fs::write(other.path().join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(other.path().join("kept"), at("queue.ring")).unwrap();
        for dir in [&dir, &OsDir::read_only(tmp.path()).unwrap()] {
            let error = dir.open("queue.ring").err().unwrap().to_string();
            assert!(error.contains("queue.ring is a symbolic link"), "{error}");
        }
        fs::remove_file(other.path().join("kept")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(at("bad")).status().unwrap();
        assert!(pipe.success());
        dir.sync().unwrap();
        for n in 0..2 {
            dir.create("x").unwrap();
            dir.rename("x", "bad/x").unwrap();
            assert!(fs::symlink_metadata(at("bad")).unwrap().is_dir() && at("bad/x").exists());
            assert!(n == 1 || at("bad.moved").exists());
            fs::remove_dir_all(at("bad")).unwrap();
            std::os::unix::fs::symlink(other.path(), at("bad")).unwrap();
            dir.sync().unwrap();
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_keeps_the_mode_that_it_was_given() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let tmp = tempfile::tempdir().unwrap();
        let bad = tmp.path().join("bad");
        fs::create_dir(&bad).unwrap();
        for (path, set) in [(tmp.path(), 0o2755), (&bad, 0o750)] {
            fs::set_permissions(path, Permissions::from_mode(set)).unwrap();
        }
        let dir = OsDir::new(tmp.path()).unwrap();
        drop((dir.create("x").unwrap(), dir.create("bad/x").unwrap(), dir.create("other/x").unwrap()));
        assert_eq!((mode(tmp.path()), mode(&bad)), (0o2755, 0o750));
        // Linux hands the group bit of a directory on to those made in it.
        assert!([0o700, 0o2700].contains(&mode(&tmp.path().join("other"))));
        let inherits = tmp.path().join("plain");
        fs::create_dir(&inherits).unwrap();
        let inherited = mode(&inherits) & 0o7000;
        assert_eq!(mode(&tmp.path().join("other")) & 0o7000, inherited);
    }
}
