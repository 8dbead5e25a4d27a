//! Paths into a configuration.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A path into the configuration.
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

    /// As [`key`](Self::key), of a key that the file has.
    pub(super) fn named(&self, key: &str) -> Self {
        self.with(Step::Key(Cow::Owned(key.to_owned())))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        Place(self.0.iter().cloned().chain([step]).collect())
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the place and all that it is a part of.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Place> {
        (0..=self.0.len()).filter_map(|depth| Some(Place(self.0.get(..depth)?.to_vec())))
    }

    /// Returns the list that the place is an element of, if it is one.
    pub(super) fn list(&self) -> Option<Place> {
        let is_index = |step: &&Step| matches!(step, Step::Index(_));
        let elements = self.0.iter().rev().take_while(is_index).count();
        (elements > 0).then(|| Place(self.0.iter().take(self.0.len() - elements).cloned().collect()))
    }

    /// Splits off the last key; `None` of an element of a list.
    pub(super) fn split_key(&self) -> Option<(Place, &str)> {
        match self.0.split_last() {
            Some((Step::Key(key), table)) => Some((Place(table.to_vec()), key)),
            _ => None,
        }
    }

    /// The key, if it is one of `table` itself.
    pub(super) fn key_in(&self, table: &Place) -> Option<&str> {
        match self.0.split_last() {
            Some((Step::Key(key), above)) if above == table.0 => Some(key),
            _ => None,
        }
    }

    /// Returns the element of the array of tables `table` that the place is in.
    pub(super) fn element_of(&self, table: &str) -> Option<usize> {
        match self.0.as_slice() {
            [Step::Key(key), Step::Index(index), ..] if key == table => Some(*index),
            _ => None,
        }
    }

    /// Returns whether the tables have the whole path.
    pub(super) fn is_in(&self, tables: &DeTable<'_>) -> bool {
        self.walk(tables).1 == self.0.len()
    }

    /// The bytes of the deepest part of the place that the tables have; `None` if they have not even the first.
    pub(super) fn span(&self, tables: &DeTable<'_>) -> Option<Range<usize>> {
        self.walk(tables).0
    }

    /// The bytes of the deepest part, and its depth.
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
