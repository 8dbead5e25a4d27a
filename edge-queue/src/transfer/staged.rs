//! The directory of an import under way: files have other names until everything is in them.

use std::io;
use std::sync::Arc;

use crate::config::StoreKind;
use crate::locks_and_atomics::{Mutex, MutexGuard, lock};
use crate::medium::{Dir, Medium};

/// Prefix of the names until the import is done.
const PREFIX: &str = "import-";

/// Directory of an import under way. Its clones are handles to the same directory.
#[derive(Clone)]
pub(super) struct Staged {
    dir: Arc<Mutex<Box<dyn Dir>>>,
    /// Names made so far, without prefix.
    names: Arc<Mutex<Vec<String>>>,
}

impl Staged {
    pub(super) fn new(dir: Box<dyn Dir>) -> Staged {
        Staged { dir: Arc::new(Mutex::new(dir)), names: Arc::new(Mutex::new(Vec::new())) }
    }

    /// Returns whether the directory itself has a file of this name.
    pub(super) fn holds(&self, name: &str) -> io::Result<bool> {
        match self.dir().open(name) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Gives the file `name` its final name and removes all others, so that there is a queue from here on.
    pub(super) fn publish(&self, name: &str) -> io::Result<()> {
        let others: Vec<String> = self.names().iter().filter(|other| *other != name).cloned().collect();
        self.discard(&others);
        let dir = self.dir();
        dir.rename(&staged(name), name)?;
        dir.sync().inspect_err(|_| {
            // Nobody was told that it is there.
            let _best_effort = dir.remove(name);
        })
    }

    /// Removes what an import that was cut short left behind, so that it takes no room: such files are never taken up.
    pub(super) fn discard_left_behind(&self) {
        let finished = StoreKind::ON_DISK.iter().filter_map(|kind| kind.files().first());
        // Both stores begin a file under this name.
        let names: Vec<String> =
            finished.flat_map(|name| [(*name).to_owned(), format!("{name}.new")]).collect();
        self.discard(&names);
    }

    /// Removes all files of the unfinished import, as far as possible. Errors are ignored, because no queue uses these
    /// files.
    pub(super) fn discard_all(&self) {
        let names = self.names().clone();
        self.discard(&names);
    }

    fn discard(&self, names: &[String]) {
        let dir = self.dir();
        for name in names {
            let _not_there = dir.remove(&staged(name));
        }
    }

    fn dir(&self) -> MutexGuard<'_, Box<dyn Dir>> {
        lock(&self.dir)
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.names)
    }
}

fn staged(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Dir for Staged {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.names().push(name.to_owned());
        self.dir().create(&staged(name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        // What an import that was cut short left behind is not taken up.
        if !self.names().iter().any(|known| known == name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.dir().open(&staged(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir().rename(&staged(from), &staged(to))?;
        let mut names = self.names();
        names.retain(|name| name != from);
        names.push(to.to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir().remove(&staged(name))?;
        self.names().retain(|known| known != name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.dir().sync()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        self.dir().lock(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.dir().free_bytes()
    }
}
