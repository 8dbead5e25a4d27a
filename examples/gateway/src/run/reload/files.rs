//! Files of a configuration as they were when they were last read, and whether they have changed since.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::run::file_stamp::{Stamp, stamp};

/// Files with their stamps.
type Look = Vec<(PathBuf, Stamp)>;

/// Files of the last reading, whether it is in force or not.
pub(super) struct ReadFiles {
    seen: Look,
    /// Files as they were at the last look, if they had changed: their writer may not be done.
    changing: Option<Look>,
}

impl ReadFiles {
    /// `file`: the one from which `config` was read a moment ago.
    pub(super) fn new(file: &Path, config: &Config) -> Self {
        Self { seen: look(files_of(file, config)), changing: None }
    }

    /// Returns the files as they are before they are read: a change in between is found later.
    pub(super) fn before(&self) -> Look {
        look(self.paths())
    }

    /// Notes that they were read. `before`: as they were; `config`: what came of it, `None` if nothing did, and the same files are looked at.
    pub(super) fn are_read(&mut self, before: &[(PathBuf, Stamp)], file: &Path, config: Option<&Config>) {
        let paths = config.map_or_else(|| self.paths(), |config| files_of(file, config));
        let as_before = |path: PathBuf| {
            let known = before.iter().find(|(known, _)| *known == path);
            known.cloned().unwrap_or_else(|| (path.clone(), stamp(&path)))
        };
        *self = Self { seen: paths.into_iter().map(as_before).collect(), changing: None };
    }

    /// Returns whether they are others than at the last reading, and have been for two looks.
    pub(super) fn have_changed(&mut self) -> bool {
        let found = self.before();
        if found == self.seen {
            self.changing = None;
            return false;
        }
        let is_settled = self.changing.as_ref() == Some(&found);
        self.changing = Some(found);
        is_settled
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.seen.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn files_of(file: &Path, config: &Config) -> Vec<PathBuf> {
    std::iter::once(file.to_owned()).chain(config.rules_files()).collect()
}

fn look(paths: Vec<PathBuf>) -> Look {
    paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}
