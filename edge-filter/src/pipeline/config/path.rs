//! Places in a configuration, as paths of keys and indices.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Place in the configuration, as a path from its root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(Cow<'static, str>),
    Index(usize),
}

impl Place {
    pub(crate) fn root() -> Self {
        Place(Vec::new())
    }

    pub(crate) fn key(&self, key: &'static str) -> Self {
        self.with(Step::Key(Cow::Borrowed(key)))
    }

    /// Returns the place of a key that the file has, as [`key`](Self::key) does for a known one.
    pub(in crate::pipeline) fn named(&self, key: &str) -> Self {
        self.with(Step::Key(Cow::Owned(key.to_owned())))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        Place(self.0.iter().cloned().chain([step]).collect())
    }

    pub(in crate::pipeline) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the root, every place above this one, and the place itself.
    pub(in crate::pipeline) fn prefixes(&self) -> impl Iterator<Item = Place> {
        (0..=self.0.len()).filter_map(|depth| Some(Place(self.0.get(..depth)?.to_vec())))
    }

    /// Returns the list of which the place is an element; `None` if it is in no list.
    pub(in crate::pipeline) fn list(&self) -> Option<Place> {
        let is_index = |step: &&Step| matches!(step, Step::Index(_));
        let elements = self.0.iter().rev().take_while(is_index).count();
        (elements > 0).then(|| Place(self.0.iter().take(self.0.len() - elements).cloned().collect()))
    }

    /// Splits off the last key; `None` for an element of a list.
    pub(in crate::pipeline) fn split_key(&self) -> Option<(Place, &str)> {
        match self.0.split_last() {
            Some((Step::Key(key), table)) => Some((Place(table.to_vec()), key)),
            _ => None,
        }
    }

    /// Returns the key, if the place is directly in `table`; else `None`.
    pub(in crate::pipeline) fn key_in(&self, table: &Place) -> Option<&str> {
        match self.0.split_last() {
            Some((Step::Key(key), above)) if above == table.0 => Some(key),
            _ => None,
        }
    }

    /// Returns the index of the element of the array of tables `table` that contains the place; `None` if the place is not in it.
    pub(in crate::pipeline) fn element_of(&self, table: &str) -> Option<usize> {
        match self.0.as_slice() {
            [Step::Key(key), Step::Index(index), ..] if key == table => Some(*index),
            _ => None,
        }
    }

    /// Returns whether the tables contain the whole path.
    pub(in crate::pipeline) fn is_in(&self, tables: &DeTable<'_>) -> bool {
        self.walk(tables).1 == self.0.len()
    }

    /// Returns the byte range of the deepest part of the place that the tables contain; `None` if they do not contain even the first.
    pub(in crate::pipeline) fn span(&self, tables: &DeTable<'_>) -> Option<Range<usize>> {
        self.walk(tables).0
    }

    /// Returns the byte range of the deepest part that the tables contain, and its depth.
    fn walk(&self, tables: &DeTable<'_>) -> (Option<Range<usize>>, usize) {
        let mut deepest: Option<&Spanned<DeValue<'_>>> = None;
        for (depth, step) in self.0.iter().enumerate() {
            let found = match (deepest, step) {
                (None, Step::Key(key)) => tables.get(key.as_ref()),
                (None, Step::Index(_)) => None,
                (Some(above), Step::Key(key)) => above.get_ref().get(key.as_ref()),
                (Some(above), Step::Index(index)) => above.get_ref().get(*index),
            };
            let Some(found) = found else { return (deepest.map(Spanned::span), depth) };
            deepest = Some(found);
        }
        (deepest.map(Spanned::span), self.0.len())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for step in &self.0 {
            match step {
                Step::Key(key) if is_bare(key) => write!(f, "{between}{key}")?,
                Step::Key(key) => write!(f, "{between}{key:?}")?,
                Step::Index(index) => write!(f, " {}", index + 1)?,
            }
            between = if matches!(step, Step::Index(_)) { ": " } else { "." };
        }
        Ok(())
    }
}

/// Returns whether a key needs no quotes in TOML.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::super::parsed_text::ParsedText;
    use super::*;

    #[test]
    fn a_key_is_that_of_its_own_table_alone() {
        let (own, other) = (Place::root().key("own"), Place::root().key("other"));
        assert_eq!(own.key("key").key_in(&own), Some("key"));
        assert_eq!(own.key_in(&Place::root()), Some("own"));
        for above in [&other, &Place::root(), &own.key("key"), &own.index(0)] {
            assert_eq!(own.key("key").key_in(above), None, "{above}");
        }
        assert_eq!(own.index(0).key_in(&own), None, "an element has no key");
    }

    #[test]
    fn an_element_is_one_of_the_table_at_the_top() {
        let element = Place::root().key("own").index(2);
        assert_eq!(
            (element.element_of("own"), element.key("a").index(5).element_of("own")),
            (Some(2), Some(2))
        );
        assert_eq!((element.element_of("other"), Place::root().key("own").element_of("own")), (None, None));
        assert_eq!(Place::root().key("above").key("own").index(2).element_of("own"), None);
    }

    #[test]
    fn a_place_is_in_a_file_that_has_all_of_its_path() {
        let (text, _) = ParsedText::parse("[[own]]\nkey = [1, 2]\n");
        let (tables, element) = (text.tables(), Place::root().key("own").index(0));
        for place in [element.key("key").index(1), element.clone(), Place::root()] {
            assert!(place.is_in(tables), "{place}");
        }
        let absent = [element.key("key").index(2), element.key("other"), Place::root().key("own").index(1)];
        for place in absent {
            assert!(!place.is_in(tables), "{place}");
        }
    }
}
