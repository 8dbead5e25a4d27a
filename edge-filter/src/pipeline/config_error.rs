//! Errors of a configuration, with their places.

use crate::ParamError;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A configuration that cannot be used: everything that is wrong with it, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Mistakes found, at least one, in the order of the file.
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `None` if there are no problems.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| problem.line);
        (!problems.is_empty()).then_some(ConfigError { problems })
    }

    pub(crate) fn at(place: Place, problem: impl fmt::Display) -> Self {
        Problem::at(place, problem).into()
    }

    /// A stage refused one of its parameters.
    pub(crate) fn param(stage: &Place, error: &ParamError) -> Self {
        Problem::param(stage, error).into()
    }

    /// A file that is not TOML, or has a key or a type that does not belong there.
    pub(crate) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Problem::parse(before.map_or_else(Place::root, Place::of_header), error, text).into()
    }

    /// Finds the lines of the places in the text of the file, which may have other tables beside.
    #[must_use]
    pub fn locate(self, text: &str) -> Self {
        let mut problems: Vec<Problem> =
            self.problems.into_iter().map(|problem| problem.locate(text)).collect();
        problems.sort_by_key(|problem| problem.line);
        ConfigError { problems }
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Returns what is wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        ConfigError { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for problem in &self.problems {
            write!(f, "{between}{problem}")?;
            between = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    line: Option<usize>,
    problem: String,
}

impl Problem {
    pub(crate) fn at(place: Place, problem: impl fmt::Display) -> Self {
        Problem { place, line: None, problem: problem.to_string() }
    }

    /// A stage refused one of its parameters.
    pub(crate) fn param(stage: &Place, error: &ParamError) -> Self {
        Self::at(stage.key(error.param()), error)
    }

    /// A file that is not TOML.
    pub(crate) fn parse(place: Place, error: &toml::de::Error, text: &str) -> Self {
        Self::spanned(place, error.span().unwrap_or(0..0), text, error.message())
    }

    /// A piece of the file that is not what belongs there.
    pub(crate) fn spanned(place: Place, span: Range<usize>, text: &str, problem: impl fmt::Display) -> Self {
        let line = text.get(..span.start).map(line_after);
        Problem { place, line, problem: problem.to_string().trim_end().to_owned() }
    }

    /// Finds the line of the place.
    pub(crate) fn locate(mut self, text: &str) -> Self {
        self.line = self.place.span(text).and_then(|span| text.get(..span.start)).map(line_after);
        self
    }

    /// The line in the file, from 1, if the configuration came from one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The place, as in `rule 2: stages 1: deadband.percent`; rules and stages are counted from 1.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.to_string()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.0.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)
    }
}

fn line_after(before: &str) -> usize {
    before.matches('\n').count() + 1
}

/// The tables of rules and of control loops.
const TABLES: [&str; 10] =
    ["defaults", "rule", "alarm", "control", "input", "output", "pid", "switch", "ramp", "interlock"];

/// A path into the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl Place {
    pub(crate) fn root() -> Self {
        Place(Vec::new())
    }

    pub(crate) fn key(&self, key: &'static str) -> Self {
        self.with(Step::Key(key))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        Place(self.0.iter().cloned().chain([step]).collect())
    }

    /// The table whose header is the last one in `before`.
    fn of_header(before: &str) -> Self {
        let headers = || before.lines().map(str::trim_start).filter(|line| line.starts_with('['));
        let Some(last) = headers().next_back() else { return Self::root() };
        let named = |line: &str, open: &str| {
            let name = line.strip_prefix(open)?.split([']', ' ']).next()?;
            TABLES.iter().copied().find(|table| *table == name)
        };
        if let Some(table) = named(last, "[[") {
            let count = headers().filter(|line| named(line, "[[") == Some(table)).count();
            return Self::root().key(table).index(count.saturating_sub(1));
        }
        named(last, "[").map_or_else(Self::root, |table| Self::root().key(table))
    }

    /// The bytes of the deepest part of the place that the text has.
    fn span(&self, text: &str) -> Option<Range<usize>> {
        let table = DeTable::parse(text).ok()?;
        let mut span = table.span();
        let root = DeValue::Table(table.into_inner());
        let mut value = &root;
        for step in &self.0 {
            let found = match step {
                Step::Key(key) => value.get(*key),
                Step::Index(index) => value.get(*index),
            };
            let Some(found) = found else { break };
            // The array of `[[rule]]` has no text of its own.
            if !found.span().is_empty() {
                span = found.span();
            }
            value = found.get_ref();
        }
        Some(span)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for step in &self.0 {
            match step {
                Step::Key(key) => write!(f, "{between}{key}")?,
                Step::Index(index) => write!(f, " {}", index + 1)?,
            }
            between = if matches!(step, Step::Index(_)) { ": " } else { "." };
        }
        Ok(())
    }
}
