//! Checks of one table of a configuration. Whatever a part refuses is noted, and the checks go on.

use crate::ParamError;

use super::error::Problem;
use super::path::Place;

/// Collector of the problems of one table.
pub(crate) struct Checks<'p> {
    place: Place,
    problems: &'p mut Vec<Problem>,
    before: usize,
}

impl<'p> Checks<'p> {
    pub(crate) fn new(place: &Place, problems: &'p mut Vec<Problem>) -> Self {
        let before = problems.len();
        Checks { place: place.clone(), problems, before }
    }

    /// Returns whether nothing was noted so far.
    pub(crate) fn are_fine(&self) -> bool {
        self.problems.len() == self.before
    }

    pub(crate) fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Returns the part that was made. `None`: a parameter was refused, which is noted as a problem.
    pub(crate) fn ok<T>(&mut self, made: Result<T, ParamError>) -> Option<T> {
        made.map_err(|error| self.problems.push(Problem::param(&self.place, &error))).ok()
    }

    /// Returns the part with the value of a key, if the table has the key. If the value is refused it is noted, and the part returned
    /// unchanged.
    pub(crate) fn set<T: Clone, V>(
        &mut self,
        part: T,
        key: &'static str,
        value: Option<V>,
        set: impl FnOnce(T, V) -> Result<T, ParamError>,
    ) -> T {
        let Some(value) = value else { return part };
        let with = set(part.clone(), value).map_err(|error| error.renamed(key));
        self.ok(with).unwrap_or(part)
    }
}
