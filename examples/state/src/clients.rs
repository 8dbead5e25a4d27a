//! Sessions and retained messages of local clients, kept for the next run.
//!
//! ```text
//! edge clients 2
//! what edge_bridge::listener::Listener::save returns, which has checksums of its own
//! ```
//!
//! Version 1 was `edge clients 1 SHA-256-OF-THE-REST` and what that function returned then, without checksums. It is read, and not written.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file")]

use std::path::{Path, PathBuf};
use std::{fs, io};

use edge_bridge::net::server::ClientStore;

use crate::{checksummed, file};

const FILE: &str = "clients";
/// Name of a file that is damaged or cannot be read; only the last such file is kept.
const ASIDE: &str = "clients.bad";
const HEAD: &[u8] = b"edge clients 2\n";
const VERSION_1: &str = "edge clients 1 ";
/// Size of the largest file that is read; more than is ever saved.
const BYTES_MAX: u64 = 4 << 20;

/// File of the listener's sessions and retained messages; one that is damaged or cannot be read is kept as `clients.bad`.
#[derive(Clone, Debug)]
pub struct ClientFile {
    state: PathBuf,
}

impl ClientFile {
    /// Names the file in a state directory; nothing is touched before it is used.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// Removes what an earlier run kept, for a run that keeps nothing: later it would bring back what is long over. Returns whether there was anything.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove(&self) -> io::Result<bool> {
        remove(&self.state.join(FILE))
    }
}

impl ClientStore for ClientFile {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = match file::read(&self.state, FILE, BYTES_MAX) {
            // A directory that is not there may come back, as one that is mounted late does, with what an earlier run kept in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.state.is_dir() => return Ok(None),
            read => read.map_err(|error| of_path(&self.state.join(FILE), &error))?,
        };
        if bytes.starts_with(VERSION_1.as_bytes()) {
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
            return checksummed::body_of(&bytes, VERSION_1)
                .map(|body| Some(body.to_vec()))
                .ok_or_else(damaged);
        }
        // Without its head it is damaged, which its reader sees, and whole behind that perhaps.
        if bytes.starts_with(HEAD) {
            bytes.drain(..HEAD.len());
        }
        Ok(Some(bytes))
    }

    fn save(&mut self, saved: &[u8]) -> io::Result<()> {
        file::replace(&self.state, FILE, &[HEAD, saved])
    }

    /// Gives the file a second name, so that it is still there if a kill comes before the next save replaces it.
    fn set_aside(&mut self) -> io::Result<()> {
        if !self.state.is_dir() {
            return Err(of_path(&self.state, &io::ErrorKind::NotADirectory.into()));
        }
        let (path, aside) = (self.state.join(FILE), self.state.join(ASIDE));
        let link = self.state.join(format!("{ASIDE}.new"));
        remove(&link).map_err(|error| of_path(&link, &error))?;
        if matches!(fs::symlink_metadata(&path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            // Nothing was kept: only its directory could not be entered before.
            return Ok(());
        }
        if fs::hard_link(&path, &link).is_ok() {
            fs::rename(&link, &aside)?;
            // A rename does nothing where both are names of one file, since an earlier start.
            remove(&link)?;
        } else {
            // A directory, or a file system without links.
            fs::rename(&path, &aside).map_err(|error| of_path(&path, &error))?;
        }
        file::sync_names(&self.state)
    }
}

/// Returns the error with the path that it is of.
fn of_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Removes a file. Returns whether it was there.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_saved_is_loaded_damaged_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ClientFile::new(dir.path());
        assert_eq!(file.load().unwrap(), None, "a first start");
        file.save(b"\0clients").unwrap();
        let whole = fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!(whole, b"edge clients 2\n\0clients");
        assert_eq!(file.load().unwrap().unwrap(), b"\0clients");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(dir.path().join(FILE), &damaged).unwrap();
            // Of a damaged head the reader gets all, to see that there is damage.
            let from = if at < HEAD.len() { 0 } else { HEAD.len() };
            assert_eq!(file.load().unwrap().unwrap(), damaged[from..], "byte {at}");
        }
        fs::write(dir.path().join(FILE), b"").unwrap();
        assert_eq!(file.load().unwrap().unwrap(), b"", "an empty file is not a first start");
    }

    /// Also where the reason is a directory above it.
    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::os::unix::fs::symlink(dir.path(), &path).unwrap();
        let said = ClientFile::new(dir.path()).load().unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}: ", path.display())), "{said}");
    }

    #[test]
    fn nothing_is_set_aside_where_nothing_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        ClientFile::new(dir.path()).set_aside().unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }

    /// It may be back later, with what an earlier run kept.
    #[test]
    fn a_directory_that_is_not_there_is_no_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let (state, away) = (dir.path().join("state"), dir.path().join("away"));
        fs::create_dir(&away).unwrap();
        ClientFile::new(&away).save(b"kept").unwrap();
        let mut file = ClientFile::new(&state);
        for is_file in [false, true] {
            if is_file {
                fs::write(&state, "somebody's").unwrap();
            }
            file.load().unwrap_err();
            file.set_aside().unwrap_err();
            file.save(b"clients").unwrap_err();
        }
        assert_eq!(fs::read(&state).unwrap(), b"somebody's");
        fs::remove_file(&state).unwrap();
        fs::rename(&away, &state).unwrap();
        file.set_aside().unwrap();
        file.save(b"clients").unwrap();
        assert_eq!(fs::read(state.join(ASIDE)).unwrap(), b"edge clients 2\nkept");
    }

    #[test]
    fn a_file_of_version_1_is_loaded_if_its_checksum_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ClientFile::new(dir.path());
        checksummed::replace(dir.path(), FILE, VERSION_1, b"\x01clients").unwrap();
        assert_eq!(file.load().unwrap().unwrap(), b"\x01clients");
        let mut bytes = fs::read(dir.path().join(FILE)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(dir.path().join(FILE), &bytes).unwrap();
        file.load().unwrap_err();
    }

    #[test]
    fn what_is_set_aside_stays_until_the_next_save_and_is_kept_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ClientFile::new(dir.path());
        let aside = dir.path().join(ASIDE);
        for damaged in ["first", "second"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            for _ in 0..2 {
                // A kill before the next save, and the next start.
                file.set_aside().unwrap();
                assert_eq!(file.load().unwrap().unwrap(), damaged.as_bytes());
                assert_eq!(fs::read_to_string(&aside).unwrap(), damaged);
                assert_eq!(names(dir.path()), [FILE, ASIDE]);
            }
            file.save(b"whole").unwrap();
            assert_eq!(file.load().unwrap().unwrap(), b"whole");
            assert_eq!(fs::read_to_string(&aside).unwrap(), damaged);
        }
        // What is no file, somebody's mistake, does not stay in the way either.
        fs::remove_file(dir.path().join(FILE)).unwrap();
        fs::remove_file(&aside).unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        file.load().unwrap_err();
        file.set_aside().unwrap();
        file.save(b"whole").unwrap();
        assert!(aside.is_dir());
    }
}
