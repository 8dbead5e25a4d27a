//! Sessions and retained messages of local clients, kept for the next run.
//!
//! ```text
//! edge clients 1 SHA-256-OF-THE-REST
//! what edge_bridge::listener::Listener::save returns
//! ```

#![allow(clippy::disallowed_methods, reason = "a shell: one small file")]

use std::path::{Path, PathBuf};
use std::{fs, io};

use edge_bridge::net::server::ClientStore;

use crate::{checksummed, file};

const FILE: &str = "clients";
/// Name to which a file is renamed that cannot be read; only the last such file is kept.
const ASIDE: &str = "clients.bad";
const VERSION: &str = "edge clients 1 ";
/// Size of the largest file that is read; more than is ever saved.
const BYTES_MAX: u64 = 4 << 20;

/// File of the listener's sessions and retained messages, with a checksum; one that cannot be read is renamed to `clients.bad`.
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
        match fs::remove_file(self.state.join(FILE)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl ClientStore for ClientFile {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        match checksummed::read(&self.state, FILE, VERSION, BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn save(&mut self, saved: &[u8]) -> io::Result<()> {
        checksummed::replace(&self.state, FILE, VERSION, saved)
    }

    fn set_aside(&mut self) -> io::Result<()> {
        fs::rename(self.state.join(FILE), self.state.join(ASIDE))?;
        file::sync_names(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_whole_or_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ClientFile::new(dir.path());
        assert_eq!(file.load().unwrap(), None, "a first start");
        file.save(b"clients").unwrap();
        assert_eq!(file.load().unwrap().unwrap(), b"clients");
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], b"", b"edge clients 2 x\n"] {
            fs::write(&path, damaged).unwrap();
            file.load().unwrap_err();
            file.set_aside().unwrap();
            assert_eq!(
                (file.load().unwrap(), fs::read(dir.path().join(ASIDE)).unwrap()),
                (None, damaged.to_vec())
            );
        }
    }
}
