//! Paths into a configuration.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A path into the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Returns whether this place is `other`, a part of it, or the list that it is an element of.
    pub(super) fn touches(&self, other: &Place) -> bool {
        let elements = other.0.iter().rev().take_while(|step| matches!(step, Step::Index(_))).count();
        let list = other.0.get(..other.0.len() - elements).unwrap_or_default();
        self.0.starts_with(&other.0) || self.0 == list
    }

    /// The step into the same table as the last key of `other`: its key and the place up to it.
    pub(super) fn beside<'p>(&'p self, other: &'p Place) -> Option<(&'p str, &'p str, Place)> {
        let (Step::Key(key), table) = other.0.split_last()? else { return None };
        match self.0.get(table.len()) {
            Some(Step::Key(own)) if self.0.starts_with(table) => {
                Some((own, key, Place(self.0.get(..=table.len())?.to_vec())))
            }
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

    /// Returns whether the text has the whole path.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.walk(text).1 == self.0.len()
    }

    /// The bytes of the deepest part of the place that the text has; `None` if it has not even the table.
    pub(super) fn span(&self, text: &str) -> Option<Range<usize>> {
        self.walk(text).0
    }

    /// The bytes of the deepest part, and its depth.
    fn walk(&self, text: &str) -> (Option<Range<usize>>, usize) {
        let (table, _) = DeTable::parse_recoverable(text);
        let root = DeValue::Table(table.into_inner());
        let (mut value, mut span) = (&root, None);
        for (depth, step) in self.0.iter().enumerate() {
            let found = match step {
                Step::Key(key) => value.get(key.as_ref()),
                Step::Index(index) => value.get(*index),
            };
            let Some(found) = found else { return (span, depth) };
            span = Some(found.span());
            value = found.get_ref();
        }
        (span, self.0.len())
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
