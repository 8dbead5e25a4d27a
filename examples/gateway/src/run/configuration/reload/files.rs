//! Files of a configuration, with their stamps at the last reading, and whether they have changed since.

use std::path::{Path, PathBuf};

use crate::config::{Config, Findings, include};
use crate::run::configuration::file_stamp::{Stamp, stamp};

/// Files with their stamps.
type Look = Vec<(PathBuf, Stamp)>;

/// Files of the last reading, whether their configuration is in force or not.
pub(super) struct ReadFiles {
    main: PathBuf,
    /// Paths of `include`: the files that they stand for are looked for anew each time, so that one that comes or goes is a change.
    patterns: Vec<PathBuf>,
    rules: Vec<PathBuf>,
    seen: Look,
    /// Stamps at the last check, if the files had changed then. The files are read when another check finds the same stamps, because their writer
    /// may not be done before.
    changing: Option<Look>,
}

impl ReadFiles {
    /// Stamps the files of a configuration that was read a moment ago. `file`: its main file.
    pub(super) fn new(file: &Path, config: &Config) -> Self {
        let mut files = Self {
            main: file.to_owned(),
            patterns: config.sources.patterns.clone(),
            rules: config.rules_files(),
            seen: Look::new(),
            changing: None,
        };
        files.seen = files.look();
        files
    }

    /// Returns the stamps of all files as they are now: taken before the files are read, a change during the reading is found later.
    pub(super) fn look(&self) -> Look {
        let included =
            self.patterns.iter().flat_map(|pattern| include::files_of(pattern).unwrap_or_default());
        let all = std::iter::once(self.main.clone()).chain(included).chain(self.rules.iter().cloned());
        all.map(|path| (path.clone(), stamp(&path))).collect()
    }

    /// Sets the files to watch after the configuration was read. `before`: the stamps taken before. If it has mistakes, the rules' files are those of the
    /// last configuration without any.
    pub(super) fn are_read(
        &mut self,
        before: &[(PathBuf, Stamp)],
        loaded: &Result<(Config, Findings), Findings>,
    ) {
        let sources = match loaded {
            Ok((config, _)) => {
                self.rules = config.rules_files();
                &config.sources
            }
            Err(findings) => findings.sources(),
        };
        self.patterns = sources.patterns.clone();
        // Those that were read: one that has come or gone since is a change.
        let paths = std::iter::once(&self.main).chain(&sources.named).chain(&self.rules);
        let as_before = |path: &PathBuf| {
            let known = before.iter().find(|(known, _)| known == path);
            known.cloned().unwrap_or_else(|| (path.clone(), stamp(path)))
        };
        self.seen = paths.map(as_before).collect();
        self.changing = None;
    }

    /// Returns whether the files differ from the last reading, and two checks in a row found them the same.
    pub(super) fn have_changed(&mut self) -> bool {
        let found = self.look();
        if found == self.seen {
            self.changing = None;
            return false;
        }
        let is_settled = self.changing.as_ref() == Some(&found);
        self.changing = Some(found);
        is_settled
    }
}
