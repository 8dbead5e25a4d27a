//! Entry points of the reader: a file, texts that were kept, or the state directory alone.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::queue_key::{QueueKey, queue_key};
use super::section::{Section, World, table};
use super::sources::{self, Merged};
use super::{Config, Findings, Severity, amount, digest, include, operator_file, read, tables};

impl Config {
    /// Reads and checks a file. `Err` has at least one error; `Ok` may have warnings.
    pub(crate) fn load(path: &Path) -> Result<(Config, Findings), Findings> {
        let env = |name: &str| std::env::var(name).ok();
        match operator_file::read_text(path) {
            Ok(text) => Config::parse(path, &text, &env),
            Err(error) => {
                let mut findings = Findings::new(path, "");
                findings.error(0, "file", format!("cannot be read: {error}"));
                Err(findings)
            }
        }
    }

    /// Reads the state directory alone, whatever else is wrong with the file, so that a gateway that was started with an earlier content can be
    /// asked. `None`: the file names no directory. If it is no TOML, what
    /// is left of a name may be none: that it is no TOML is the error unless the directory is there. Included files name none, for the gateway neither:
    /// one that does is an error.
    pub(crate) fn state_in(path: &Path) -> Result<Option<PathBuf>, Findings> {
        let env = |name: &str| std::env::var(name).ok();
        let text = operator_file::read_text(path);
        // What is beyond a limit is not looked at: the directory stands in front of the routes.
        let within = text.as_deref().map(amount::within).unwrap_or_default();
        let mut findings = Findings::new(path, within);
        if let Err(error) = &text {
            findings.error(0, "file", format!("cannot be read: {error}"));
        }
        let (root, mistakes) = DeTable::parse_recoverable(within);
        let world = World { env: &env, rules: &operator_file::read_text };
        let mut top = Section::new("", 0, Some(root.get_ref()), &world);
        let mut gateway = table(&mut top, "gateway", &world, &mut findings);
        let state = tables::state(&mut gateway, &mut findings);
        if !state.as_ref().is_some_and(|dir| dir.is_dir()) {
            for mistake in mistakes {
                let at = mistake.span().map_or(0, |span| span.start);
                findings.error(at, "syntax", mistake.message().to_owned());
            }
        }
        if state.is_none() && findings.count(Severity::Error) == 0 {
            include::read(&mut findings, None, &world);
            if amount::is_too_much(&mut findings) {
                return Err(findings);
            }
            let sources = findings.sources().clone();
            for (at, key, message) in
                sources.merged().mistakes.into_iter().filter(|(_, key, _)| key == sources::STATE)
            {
                findings.error(at, &key, message);
            }
        }
        if findings.count(Severity::Error) == 0 { Ok(state) } else { Err(findings) }
    }

    /// Reads the key of the queue alone, whatever else is wrong with the configuration, so that no backlog is written in the clear on a machine that
    /// lacks something else, such as a credential of the service. `None`: the configuration names no key.
    ///
    /// # Errors
    /// The key cannot be used; or the files cannot be read as one table, and what cannot be read may name a key.
    pub(crate) fn queue_key_in(path: &Path) -> Result<Option<QueueKey>, Findings> {
        let env = |name: &str| std::env::var(name).ok();
        let world = World { env: &env, rules: &operator_file::read_text };
        let text = operator_file::read_text(path);
        let mut findings = Findings::new(path, text.as_deref().unwrap_or_default());
        if let Err(error) = &text {
            findings.error(0, "file", format!("cannot be read: {error}"));
        }
        if amount::is_too_much(&mut findings) {
            return Err(findings);
        }
        include::read(&mut findings, None, &world);
        if amount::is_too_much(&mut findings) {
            return Err(findings);
        }
        let sources = findings.sources().clone();
        let Merged { table: root, mistakes, .. } = sources.merged();
        for (at, key, message) in mistakes {
            findings.error(at, &key, message);
        }
        let mut top = Section::new("", 0, Some(&root), &world);
        let mut queue = table(&mut top, "queue", &world, &mut findings);
        let key = queue_key(&mut queue, &mut findings);
        if findings.count(Severity::Error) == 0 { Ok(key) } else { Err(findings) }
    }

    /// As [`Config::load`] with the texts of the file, of the files that it includes and of its rules files given, as they were in force before: a
    /// certificate or key that cannot be used is a warning.
    pub(crate) fn of_texts(
        path: &Path,
        text: &str,
        included: &[(PathBuf, String)],
        rules: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<(Config, Findings), Findings> {
        let env = |name: &str| std::env::var(name).ok();
        Config::parse_in(path, text, Some(included), &World { env: &env, rules })
    }

    /// As [`Config::load`] with the text and environment given.
    pub(crate) fn parse(
        path: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Config, Findings), Findings> {
        Config::parse_in(path, text, None, &World { env, rules: &operator_file::read_text })
    }

    fn parse_in(
        path: &Path,
        text: &str,
        kept: Option<&[(PathBuf, String)]>,
        world: &World<'_>,
    ) -> Result<(Config, Findings), Findings> {
        let mut findings = Findings::new(path, text);
        if kept.is_some() {
            findings.go_on_without_identities();
        }
        // Before the first parse, and again with all files.
        if amount::is_too_much(&mut findings) {
            return Err(findings);
        }
        include::read(&mut findings, kept, world);
        if amount::is_too_much(&mut findings) {
            return Err(findings);
        }
        let has_all_files = findings.count(Severity::Error) == 0;
        let sources = findings.sources().clone();
        let Merged { table, mistakes, is_toml } = sources.merged();
        for (at, key, message) in mistakes {
            findings.error(at, &key, message);
        }
        if !(is_toml && has_all_files) {
            findings.skip_missing();
        }
        let config = read(&table, world, &mut findings);
        match config {
            Some(config) if findings.count(Severity::Error) == 0 => {
                let digest = digest::digest(&config);
                Ok((Config { digest, ..config }, findings))
            }
            _ => {
                if findings.count(Severity::Error) == 0 {
                    findings.error(0, "file", "incomplete");
                }
                Err(findings)
            }
        }
    }
}
