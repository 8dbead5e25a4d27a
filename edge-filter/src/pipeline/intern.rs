//! Names to numbers, with a bound.

use std::collections::HashMap;
use std::sync::Arc;

/// Sensor names and their numbers: 0, 1, 2, … in the order of their first appearance.
#[derive(Clone, Debug)]
pub(super) struct Names {
    // SipHash with random keys: names come from the network.
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    max: usize,
}

impl Names {
    pub(super) fn new(max: usize) -> Self {
        // The last number is `Pipeline::UNFILTERED`.
        let max = max.min(u32::MAX as usize - 1);
        Names { numbers: HashMap::new(), names: Vec::new(), max }
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// A number for a new name; `None` when there is no room.
    pub(super) fn add(&mut self, name: &str) -> Option<u32> {
        if self.names.len() >= self.max {
            return None;
        }
        let number = u32::try_from(self.names.len()).ok()?;
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        Some(number)
    }

    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number as usize).map(AsRef::as_ref)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_bounded() {
        let mut names = Names::new(2);
        assert_eq!((names.add("a"), names.add("b"), names.add("c")), (Some(0), Some(1), None));
        assert_eq!((names.number("b"), names.number("c")), (Some(1), None));
        assert_eq!((names.name(0), names.name(2)), (Some("a"), None));
        assert_eq!(names.len(), 2);
    }
}
