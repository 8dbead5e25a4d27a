//! Saving of local clients' sessions and retained messages in the state directory, which shows in the status while it is refused.

#![allow(clippy::disallowed_methods, reason = "a shell: it looks at a directory")]

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use edge_bridge::net::server::ClientStore;
use edge_state::ClientFile;

use crate::run::status::snapshot::CurrentFacts;

/// File of the clients. Writes nothing once the path of its directory leads to another one: what is saved there would not be found beside the
/// queue, and what is beside the queue would be out of date.
pub(in crate::run) struct SavedClients {
    state: PathBuf,
    file: ClientFile,
    /// Device and inode of the directory in which the file was found or saved first.
    directory: Option<(u64, u64)>,
    facts: CurrentFacts,
}

impl SavedClients {
    pub(super) fn new(state: &Path, facts: CurrentFacts) -> Self {
        Self { state: state.to_owned(), file: ClientFile::new(state), directory: None, facts }
    }

    fn present_directory(&self) -> io::Result<(u64, u64)> {
        std::fs::metadata(&self.state).map(|found| (found.dev(), found.ino()))
    }

    fn save_there(&mut self, saved: &[u8]) -> io::Result<()> {
        let present = self.present_directory()?;
        if self.directory.is_some_and(|known| known != present) {
            let state = self.state.display();
            return Err(io::Error::other(format!("{state} is another directory than before")));
        }
        self.file.save(saved)?;
        self.directory = Some(present);
        Ok(())
    }
}

impl ClientStore for SavedClients {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        let loaded = self.file.load()?;
        if loaded.is_some() {
            self.directory = self.present_directory().ok();
        }
        Ok(loaded)
    }

    fn save(&mut self, saved: &[u8]) -> io::Result<()> {
        let result = self.save_there(saved);
        self.facts.set_unsaved_clients(result.as_ref().err().map(ToString::to_string));
        result
    }

    fn set_aside(&mut self) -> io::Result<()> {
        self.file.set_aside()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::run::status::snapshot::test_snapshots::facts;

    use super::*;

    #[test]
    fn another_directory_in_its_place_is_not_written_to_until_it_is_back() {
        let home = tempfile::tempdir().unwrap();
        let (state, away) = (home.path().join("state"), home.path().join("away"));
        fs::create_dir(&state).unwrap();
        let facts = CurrentFacts::new(facts());
        let mut clients = SavedClients::new(&state, facts.clone());
        assert_eq!(clients.load().unwrap(), None);
        clients.save(b"first").unwrap();
        fs::rename(&state, &away).unwrap();
        clients.save(b"second").unwrap_err();
        fs::create_dir(&state).unwrap();
        let error = clients.save(b"second").unwrap_err().to_string();
        assert_eq!(facts.get().unsaved_clients, Some(error));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        fs::remove_dir(&state).unwrap();
        fs::rename(&away, &state).unwrap();
        clients.save(b"second").unwrap();
        assert_eq!(facts.get().unsaved_clients, None);
        assert_eq!(SavedClients::new(&state, facts).load().unwrap().unwrap(), b"second");
    }
}
