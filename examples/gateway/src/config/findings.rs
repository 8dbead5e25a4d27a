//! Findings in a configuration: everything at once, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The gateway does not start.
    Error,
    /// It starts, and somebody should read this.
    Warning,
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Byte offset in the file.
    pub(crate) at: usize,
    /// Full key, for example `hub.window` or `route[2].to`.
    pub(crate) key: String,
    pub(crate) message: String,
    /// Advice.
    pub(crate) help: Option<String>,
}

/// All findings about one file.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    file: PathBuf,
    text: String,
    all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn new(file: &Path, text: &str) -> Findings {
        Findings { file: file.to_path_buf(), text: text.to_owned(), all: Vec::new() }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.all.push(finding);
    }

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
        self.push(Finding { severity, at, key: key.to_owned(), message: message.into(), help });
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.all.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Line and column (both from 1) of a byte offset.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        (line, column)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<&Finding> = self.all.iter().collect();
        sorted.sort_by_key(|finding| finding.at);
        for finding in sorted {
            let word = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let (line, column) = self.place(finding.at);
            writeln!(f, "{word}: {}: {}", finding.key, finding.message)?;
            writeln!(f, "  --> {}:{line}:{column}", self.file.display())?;
            if let Some(source) = self.text.lines().nth(line - 1) {
                writeln!(f, "{line:>5} | {source}")?;
            }
            if let Some(help) = &finding.help {
                writeln!(f, "help: {help}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
