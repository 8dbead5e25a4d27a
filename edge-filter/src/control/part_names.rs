//! Names of the parts of one kind, each found without going through all of them.

use crate::error::ParamError;
use hashbrown::HashMap;

/// Names of inputs, of outputs or of interlocks, with their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PartNames {
    numbers: HashMap<String, usize>,
}

impl PartNames {
    /// Checks a name before its part is added.
    ///
    /// # Errors
    /// If another part has the name.
    pub(super) fn check(&self, name: &str) -> Result<(), ParamError> {
        match self.number(name) {
            None => Ok(()),
            Some(_) => Err(ParamError::new("name", "a name of its own", name)),
        }
    }

    /// Adds the name of the next part. Returns its number, from 0. If two parts have the same name, the first one keeps it.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let number = self.numbers.len();
        *self.numbers.entry(name.to_owned()).or_insert(number)
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
