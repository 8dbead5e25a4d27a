//! Checks of one table: whatever its part refuses is noted, and the checks go on.

use super::config_error::Problem;
use super::config_path::Place;
use crate::ParamError;

/// Notes of what is wrong with one table.
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

    /// Returns the part that was made; notes the parameter that was refused.
    pub(crate) fn ok<T>(&mut self, made: Result<T, ParamError>) -> Option<T> {
        made.map_err(|error| self.problems.push(Problem::param(&self.place, &error))).ok()
    }

    /// A part with the value of a key, if it has one; as it was if the value is refused.
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
