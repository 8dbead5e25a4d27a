//! Findings in a configuration: all of them are collected, each with its place in its file.

use std::fmt;
use std::path::{Path, PathBuf};

use control_loop::OneLine;
use edge_filter::ConfigError;

use super::key_places::KeyPlaces;
use super::mask::without_password;
use super::named_paths::{LEFT_OUT, names_secret};
use super::quote::{self, QUOTED_MAX, cut};
use super::sources::{Place, Sources};

/// Most findings of one severity that are kept. What is beyond is counted: whoever mends these sees the next.
const KEPT_MAX: usize = 100;
/// Most characters of a message or advice: some quote a value.
const MESSAGE_MAX: usize = 1_000;

/// Keys of certificates and their keys, without which a configuration that was in force goes on.
const IDENTITIES: [&str; 6] =
    ["hub.cert", "hub.key", "local.cert", "local.key", "local.broker_cert", "local.broker_key"];

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The gateway does not start.
    Error,
    /// `check` fails. `run` starts with a warning and stores every message, but does not connect to the hub until the error is mended.
    ErrorInCheck,
    /// The gateway starts, and the operator should read this.
    Warning,
}

/// Error or warning about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Byte offset in the files. `None`: the finding is about something that is missing.
    pub(crate) at: Option<usize>,
    /// Full key, for example `hub.window` or `route[2].to`.
    pub(crate) key: String,
    pub(crate) message: String,
    /// The message for others; empty before it is kept.
    shareable: String,
    /// Advice on how to mend it.
    pub(crate) help: Option<String>,
    /// Position in another file, which is shown instead of the position in this one.
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// Position in another file, which gateway.toml names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    file: PathBuf,
    /// Number and text of the line. `None`: the finding is about the whole file.
    line: Option<(usize, String)>,
}

/// All findings of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Boxed, to keep the error of the readers small.
    pub(super) sources: Box<Sources>,
    all: Vec<Finding>,
    /// Numbers of the findings that are not kept: errors, errors in `check`, warnings.
    more: [usize; 3],
    /// Set if findings about missing parts are left out.
    skips_missing: bool,
    /// Set if the configuration was in force before.
    was_in_force: bool,
    /// Number of errors that are certificates of the gateway's own, or their keys, that cannot be used.
    unusable_identities: u8,
    /// Places of the keys, with the number of included files of which they were made. `None`: none was looked for yet.
    places: Option<(usize, KeyPlaces)>,
}

impl Findings {
    pub(crate) fn new(file: &Path, text: &str) -> Findings {
        let sources = Box::new(Sources::new(file, text));
        Findings {
            sources,
            all: Vec::new(),
            more: [0; 3],
            skips_missing: false,
            was_in_force: false,
            unusable_identities: 0,
            places: None,
        }
    }

    /// Returns the files that the findings are about.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(crate) fn push(&mut self, mut finding: Finding) {
        if self.skips(finding.severity, &finding.message) {
            return;
        }
        let short = |message: &str| cut(&without_password(message), MESSAGE_MAX).into_owned();
        // Before it is cut: of a path that is cut, nothing would be found.
        finding.shareable = short(&self.shareable_message(&finding));
        finding.key = cut(&finding.key, QUOTED_MAX).into_owned();
        finding.message = short(&finding.message);
        finding.help = finding.help.map(|help| cut(&help, MESSAGE_MAX).into_owned());
        self.all.push(finding);
    }

    /// Returns a message without the paths of secrets' files, or nothing of one about such a file that names no path: what it quotes is not known.
    fn shareable_message(&self, finding: &Finding) -> String {
        let text = self.sources.paths.without_secrets(&finding.message);
        let is_unclear = names_secret(&finding.key) && text == finding.message;
        if is_unclear { LEFT_OUT.to_owned() } else { text }
    }

    /// Returns a path that `key` names at `at`, from the folder of the file in which it stands, and knows it from then on.
    pub(crate) fn named_path(&mut self, at: usize, key: &str, path: &Path) -> PathBuf {
        let path = self.sources.folder(at).join(path);
        self.sources.paths.add(key, &path);
        path
    }

    /// Returns whether no more findings of this severity are kept: what is costly about one is left out.
    pub(crate) fn is_full(&self, severity: Severity) -> bool {
        self.all.iter().filter(|finding| finding.severity == severity).count() >= KEPT_MAX
    }

    /// Returns whether a finding is not to be kept, and counts one that finds no room.
    fn skips(&mut self, severity: Severity, message: &str) -> bool {
        if self.skips_missing && message.starts_with("missing: ") {
            return true;
        }
        let is_full = self.is_full(severity);
        if is_full && let Some(more) = self.more.get_mut(severity as usize) {
            *more += 1;
        }
        is_full
    }

    /// Adds an error. `at`: byte offset in the files; 0 if the place is to be found by `key`.
    pub(crate) fn error(&mut self, at: usize, key: &str, message: impl Into<String>) {
        self.add(Severity::Error, at, key, message, None);
    }

    pub(crate) fn warning(&mut self, at: usize, key: &str, message: impl Into<String>) {
        self.add(Severity::Warning, at, key, message, None);
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        at: usize,
        key: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let message = message.into();
        if self.skips(severity, &message) {
            return;
        }
        let at = if at == 0 { self.find(key) } else { Some(at) };
        let key = key.to_owned();
        let shareable = String::new();
        self.push(Finding { severity, at, key, message, shareable, help, elsewhere: None });
    }

    /// Takes the configuration for one that was in force before: an unusable certificate is no error any more, since a restart between the halves of
    /// its renewal would keep the whole site down.
    pub(crate) fn go_on_without_identities(&mut self) {
        self.was_in_force = true;
    }

    /// Reports a file that cannot be used. Returns whether the configuration is taken without it.
    pub(crate) fn unusable(&mut self, at: usize, key: &str, message: impl Into<String>) -> bool {
        let is_identity = IDENTITIES.contains(&key);
        let goes_on = self.was_in_force && is_identity;
        let severity = if goes_on { Severity::Warning } else { Severity::Error };
        self.unusable_identities = self.unusable_identities.saturating_add(u8::from(is_identity && !goes_on));
        self.add(severity, at, key, message, None);
        goes_on
    }

    /// Returns whether certificates of the gateway's own, or their keys, that cannot be used are all that is wrong. A mistake in naming them is none of
    /// these.
    pub(crate) fn are_of_identities(&self) -> bool {
        let errors = self.all.iter().filter(|finding| finding.severity == Severity::Error).count();
        errors > 0 && errors == usize::from(self.unusable_identities)
    }

    /// Returns the full key of the first error, which the first of [`summaries`](Self::summaries) is about.
    pub(crate) fn first_error_key(&self) -> Option<&str> {
        let mut errors = self.all.iter().filter(|finding| finding.severity == Severity::Error);
        errors.next().map(|finding| finding.key.as_str())
    }

    /// Reports the mistakes of another file, which `key` names at `at`, each with its line in that file.
    pub(crate) fn errors_in(&mut self, file: &Path, text: &str, error: &ConfigError, at: usize, key: &str) {
        for problem in error.problems() {
            let severity = Severity::Error;
            if self.is_full(severity) {
                self.skips(severity, "");
                continue;
            }
            let line = problem.line().and_then(|line| {
                let source = text.lines().nth(line.checked_sub(1)?)?;
                Some((line, quote::line(source, 1)))
            });
            let elsewhere = Some(Elsewhere { file: file.to_owned(), line });
            let message = format!("{}: {problem}", file.display());
            self.push(Finding {
                severity,
                at: Some(at),
                key: key.to_owned(),
                message,
                shareable: String::new(),
                help: None,
                elsewhere,
            });
        }
    }

    /// Turns findings at which only `check` fails into warnings.
    pub(crate) fn for_a_run(mut self) -> Self {
        for finding in &mut self.all {
            if finding.severity == Severity::ErrorInCheck {
                finding.severity = Severity::Warning;
            }
        }
        let [errors, in_check, warnings] = self.more;
        self.more = [errors, 0, in_check + warnings];
        self
    }

    /// Leaves out findings about missing parts from now on. In a file that is not valid TOML these parts may exist and be unreadable.
    pub(crate) fn skip_missing(&mut self) {
        self.skips_missing = true;
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        let more = self.more.get(severity as usize).copied().unwrap_or(0);
        self.all.iter().filter(|finding| finding.severity == severity).count() + more
    }

    /// Returns the numbers of errors and warnings in words.
    pub(crate) fn counted(&self) -> String {
        let counted = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let errors = self.count(Severity::Error) + self.count(Severity::ErrorInCheck);
        format!("{}, {}", counted(errors, "error"), counted(self.count(Severity::Warning), "warning"))
    }

    /// Returns findings of this severity in a line each: file, line, key and message, with passwords masked.
    pub(crate) fn summaries(&self, severity: Severity) -> impl Iterator<Item = String> {
        self.lines(severity, |finding| &finding.message)
    }

    /// Returns [`summaries`](Self::summaries) for pages and for whoever helps: without what may be a secret that was typed in the place of its path.
    pub(crate) fn shareable_summaries(&self, severity: Severity) -> impl Iterator<Item = String> {
        self.lines(severity, |finding| &finding.shareable)
    }

    fn lines(
        &self,
        severity: Severity,
        message: impl Fn(&Finding) -> &String,
    ) -> impl Iterator<Item = String> {
        self.all.iter().filter(move |finding| finding.severity == severity).map(move |finding| {
            let place = finding.at.filter(|_| finding.elsewhere.is_none()).map(|at| self.sources.place(at));
            let file = match (&place, finding.at) {
                (Some(Place { file, line, .. }), _) => format!("{}:{line}", file.display()),
                (None, Some(at)) => self.sources.place(at).file.display().to_string(),
                (None, None) => self.sources.main().path.display().to_string(),
            };
            let message = without_password(message(finding));
            OneLine(&format!("{file}: {}: {message}", finding.key)).to_string()
        })
    }

    /// Returns the byte offset of a key's value, or else of the nearest table above it. `None`: the file has none of these.
    fn find(&mut self, key: &str) -> Option<usize> {
        let files = self.sources.included().len();
        if self.places.as_ref().is_none_or(|(of, _)| *of != files) {
            self.places = Some((files, KeyPlaces::of(&self.sources.merged().table)));
        }
        self.places.as_ref().and_then(|(_, places)| places.at(key))
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        let file = OneLine(&file);
        match &self.line {
            Some((line, source)) => writeln!(f, "  --> {file}:{line}\n{line:>5} | {}", OneLine(source)),
            None => writeln!(f, "  --> {file}"),
        }
    }
}

impl fmt::Display for Findings {
    /// Writes each part of a finding on its own line, whatever strings of the file it quotes, and no password of an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<&Finding> = self.all.iter().collect();
        sorted.sort_by_key(|finding| finding.at);
        for finding in sorted {
            let word = match finding.severity {
                Severity::Error | Severity::ErrorInCheck => "error",
                Severity::Warning => "warning",
            };
            let message = without_password(&finding.message);
            writeln!(f, "{word}: {}: {}", OneLine(&finding.key), OneLine(&message))?;
            match (&finding.elsewhere, finding.at.map(|at| self.sources.place(at))) {
                (Some(elsewhere), _) => elsewhere.fmt(f)?,
                (None, Some(Place { file, line, column, source })) => {
                    let file = file.display().to_string();
                    writeln!(f, "  --> {}:{line}:{column}", OneLine(&file))?;
                    if !source.is_empty() {
                        writeln!(f, "{line:>5} | {}", OneLine(&quote::line(source, column)))?;
                    }
                }
                (None, None) => {
                    let file = self.sources.main().path.display().to_string();
                    writeln!(f, "  --> {}", OneLine(&file))?;
                }
            }
            if let Some(help) = &finding.help {
                writeln!(f, "help: {}", OneLine(help))?;
            }
            writeln!(f)?;
        }
        let [errors, in_check, warnings] = self.more;
        if errors + in_check + warnings > 0 {
            let errors = errors + in_check;
            writeln!(f, "... and {errors} more errors, {warnings} more warnings: mend these first\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_most_that_are_kept_are_counted() {
        let mut findings = Findings::new(Path::new("g.toml"), "a = 1\n");
        for _ in 0..KEPT_MAX {
            findings.warning(4, "a", "doubtful");
        }
        findings.skip_missing();
        for _ in 0..KEPT_MAX + 7 {
            findings.error(4, &"k".repeat(5_000), "x".repeat(5_000));
            findings.error(4, "a", "missing: a");
        }
        let said = findings.to_string();
        assert_eq!((findings.count(Severity::Error), findings.count(Severity::Warning)), (107, 100));
        assert_eq!((said.matches("error: k").count(), said.matches("doubtful").count()), (100, 100));
        assert!(said.ends_with("... and 7 more errors, 0 more warnings: mend these first\n\n"));
        assert!(said.lines().all(|line| line.chars().count() < 1_300), "cut");
        assert!(!said.contains("missing"));
    }

    #[test]
    fn a_finding_without_a_place_stands_at_its_key_or_at_what_is_above_it() {
        let text =
            "# a site\n[hub]\nurl = \"mqtt://h\"\n\n[[route]]\nmatch = \"a\"\n\n[[route]]\nmatch = \"b\"\n";
        let mut findings = Findings::new(Path::new("g.toml"), text);
        for key in
            ["route[2].match", "route[2].batch_age", "hub.url", "route[9].match", "route", "queue.max_age"]
        {
            findings.error(0, key, "wrong");
        }
        let said = findings.to_string();
        for (key, place) in [
            ("route[2].match", "g.toml:9:9\n    9 | match = \"b\""),
            ("route[2].batch_age", "g.toml:8:1\n    8 | [[route]]"),
            ("hub.url", "g.toml:3:7\n    3 | url = \"mqtt://h\""),
            ("route[9].match", "g.toml\n"),
            ("queue.max_age", "g.toml\n"),
        ] {
            assert!(said.contains(&format!("error: {key}: wrong\n  --> {place}")), "{key}\n{said}");
        }
    }
}
