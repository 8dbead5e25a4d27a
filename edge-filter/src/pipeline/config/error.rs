//! Errors of a configuration, with their places.

use crate::ParamError;

use super::parsed_text::ParsedText;
use super::path::Place;
use std::fmt;
use std::ops::Range;

/// Refusal of a configuration, with all problems in it, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Problems, at least one, in the order of the file.
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Returns the error; `None` if there are no problems.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| problem.line);
        (!problems.is_empty()).then_some(ConfigError { problems })
    }

    /// Looks up the lines of the problems' places in the text of the file, which may have other tables too.
    #[must_use]
    pub fn locate(self, text: &str) -> Self {
        let (text, _) = ParsedText::parse(text);
        let mut problems: Vec<Problem> =
            self.problems.into_iter().map(|problem| problem.locate(&text)).collect();
        problems.sort_by_key(|problem| problem.line);
        ConfigError { problems }
    }

    /// Returns all problems in the order of the file.
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

/// Problem of a configuration: its place, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    line: Option<usize>,
    problem: String,
    rests_on: Vec<Place>,
    unknown: Option<Box<Reference>>,
}

/// Name to which a reference was made, but that no part has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Reference {
    pub(in crate::pipeline) table: &'static str,
    pub(in crate::pipeline) name: String,
}

impl Problem {
    pub(crate) fn at(place: Place, problem: impl fmt::Display) -> Self {
        let problem = problem.to_string().trim_end().to_owned();
        Problem { place, line: None, problem, rests_on: Vec::new(), unknown: None }
    }

    /// Returns the problem of a stage that refused one of its parameters.
    pub(crate) fn param(stage: &Place, error: &ParamError) -> Self {
        Self::at(stage.key(error.param()), error)
    }

    /// Returns the problem of a piece of the file that does not belong there.
    pub(in crate::pipeline) fn spanned(
        place: Place,
        span: &Range<usize>,
        text: &ParsedText<'_>,
        problem: impl fmt::Display,
    ) -> Self {
        Problem { line: text.line(span), ..Self::at(place, problem) }
    }

    /// Adds keys of a table that the problem is about, besides its own place. If one of them could not be read, the problem may only be a
    /// consequence.
    #[must_use]
    pub(crate) fn about(mut self, table: &Place, keys: &[&'static str]) -> Self {
        self.rests_on.extend(keys.iter().map(|key| table.key(key)));
        self
    }

    /// Records that an element of `table` with this `name` was looked for.
    #[must_use]
    pub(crate) fn looked_for(self, table: &'static str, name: &str) -> Self {
        Problem { unknown: Some(Box::new(Reference { table, name: name.to_owned() })), ..self }
    }

    /// Looks up the line of the problem's place.
    pub(in crate::pipeline) fn locate(self, text: &ParsedText<'_>) -> Self {
        let line = self.place.span(text.tables()).and_then(|span| text.line(&span));
        Problem { line, ..self }
    }

    pub(in crate::pipeline) fn path(&self) -> &Place {
        &self.place
    }

    /// Returns place and text, by which the same problem is recognised.
    pub(in crate::pipeline) fn finding(&self) -> (Place, String) {
        (self.place.clone(), self.problem.clone())
    }

    pub(in crate::pipeline) fn rests_on(&self) -> &[Place] {
        &self.rests_on
    }

    pub(in crate::pipeline) fn unknown(&self) -> Option<&Reference> {
        self.unknown.as_deref()
    }

    /// Returns the line in the file, from 1; `None` if the configuration came from no file or the place has no line.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns the place, as in `rule 2: stages 1: deadband.percent`; rules and stages are counted from 1.
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
        if !self.place.is_root() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)
    }
}
