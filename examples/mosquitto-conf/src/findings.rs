//! Findings about a configuration: errors, traps and lines that have no effect, each with its place.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A line of a file. All places are equal: a section that has only moved means what it meant.
#[derive(Debug, Clone)]
pub struct Place {
    /// Path as it was given, or as `include_dir` has it.
    pub file: Arc<Path>,
    /// Number of the line, from 1.
    pub line: usize,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The bridge does not start.
    Error,
    /// The line means something else than it seems to, in Mosquitto or here.
    Trap,
    /// The line has no effect here.
    Ignored,
}

/// Finding about a line or a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line that it is about; `None`: the whole configuration.
    pub place: Option<Place>,
    /// Severity of the finding.
    pub severity: Severity,
    /// Sentence for the operator.
    pub text: String,
}

/// All findings of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds an error.
    pub fn error(&mut self, place: impl Into<Option<Place>>, text: impl Into<String>) {
        self.add(Severity::Error, place.into(), text.into());
    }

    /// Adds a trap.
    pub fn trap(&mut self, place: impl Into<Option<Place>>, text: impl Into<String>) {
        self.add(Severity::Trap, place.into(), text.into());
    }

    /// Adds a line that has no effect.
    pub fn ignored(&mut self, place: impl Into<Option<Place>>, text: impl Into<String>) {
        self.add(Severity::Ignored, place.into(), text.into());
    }

    fn add(&mut self, severity: Severity, place: Option<Place>, text: String) {
        self.0.push(Finding { place, severity, text });
    }

    /// Counts the findings of one weight.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Iterates over the findings by file and line; those of the whole file come first.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|finding| finding.place.as_ref().map(|place| (&place.file, place.line)));
        sorted.into_iter()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Ignored => "ignored",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.text)
    }
}
