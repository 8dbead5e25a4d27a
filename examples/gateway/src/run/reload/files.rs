//! Files of a configuration, with their stamps at the last reading, and whether they have changed since.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::run::file_stamp::{Stamp, stamp};

/// Files with their stamps.
type Look = Vec<(PathBuf, Stamp)>;

/// Files of the last reading, whether their configuration is in force or not.
pub(super) struct ReadFiles {
    seen: Look,
    /// Stamps at the last check, if the files had changed then. The files are read when another check finds the same stamps, because their writer
    /// may not be done before.
    changing: Option<Look>,
}

impl ReadFiles {
    /// Stamps the files of a configuration that was read a moment ago. `file`: its main file.
    pub(super) fn new(file: &Path, config: &Config) -> Self {
        Self { seen: look(files_of(file, config)), changing: None }
    }

    /// Returns the stamps of the files before they are read, so that a change during the reading is found later.
    pub(super) fn before(&self) -> Look {
        look(self.paths())
    }

    /// Records a reading. `before`: the stamps before it; `config`: its result; `None`: it failed, and the same files are watched.
    pub(super) fn are_read(&mut self, before: &[(PathBuf, Stamp)], file: &Path, config: Option<&Config>) {
        let paths = config.map_or_else(|| self.paths(), |config| files_of(file, config));
        let as_before = |path: PathBuf| {
            let known = before.iter().find(|(known, _)| *known == path);
            known.cloned().unwrap_or_else(|| (path.clone(), stamp(&path)))
        };
        *self = Self { seen: paths.into_iter().map(as_before).collect(), changing: None };
    }

    /// Returns whether the files differ from the last reading, and two checks in a row found them the same.
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
