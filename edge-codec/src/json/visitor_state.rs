//! State that all visitors share: limits, the keys of the open objects, and the typed error behind serde's text.

#![deny(clippy::indexing_slicing)]

use super::FieldMap;
use super::map::Role;
use crate::{DecodeError, Limits};
use serde::de;
use std::borrow::Cow;

pub(crate) struct Guard<'de, 'm> {
    pub(crate) map: &'m FieldMap,
    pub(crate) limits: &'m Limits,
    /// Keys of every open object, one object after the other, so that one allocation serves the whole input.
    keys: Vec<Cow<'de, str>>,
    /// Indices into `keys` of the fields around the current position, from the reading's object inwards.
    path: Vec<usize>,
    /// True within an entry of the list of readings, which is one reading whatever it holds.
    in_list: bool,
    failure: Option<DecodeError>,
    readings: usize,
}

impl<'de, 'm> Guard<'de, 'm> {
    pub(crate) fn new(map: &'m FieldMap, limits: &'m Limits) -> Self {
        Self { map, limits, keys: Vec::new(), path: Vec::new(), in_list: false, failure: None, readings: 0 }
    }

    /// Stores a typed error and returns one for serde. Its offset is filled in later, when serde has given the position.
    pub(crate) fn fail<E: de::Error>(&mut self, error: DecodeError) -> E {
        self.failure = Some(error);
        E::custom("refused")
    }

    pub(crate) fn limit<E: de::Error>(&mut self, what: &'static str, limit: usize, found: usize) -> E {
        self.fail(DecodeError::Limit { what, offset: 0, limit, found: found as u64 })
    }

    pub(crate) fn malformed<E: de::Error>(&mut self, what: &'static str) -> E {
        self.fail(DecodeError::Malformed { offset: 0, what: what.into() })
    }

    pub(crate) fn missing<E: de::Error>(&mut self, field: Cow<'static, str>) -> E {
        self.fail(DecodeError::Missing { offset: 0, field })
    }

    pub(crate) fn check_depth<E: de::Error>(&mut self, level: usize) -> Result<(), E> {
        let limit = self.limits.depth;
        if level > limit { Err(self.limit("depth", limit, level)) } else { Ok(()) }
    }

    pub(crate) fn check_text<E: de::Error>(&mut self, len: usize) -> Result<(), E> {
        let limit = self.limits.text_bytes;
        if len > limit { Err(self.limit("text bytes", limit, len)) } else { Ok(()) }
    }

    pub(crate) fn count_reading<E: de::Error>(&mut self) -> Result<(), E> {
        self.readings = self.readings.saturating_add(1);
        let (limit, found) = (self.limits.readings, self.readings);
        if found > limit { Err(self.limit("readings", limit, found)) } else { Ok(()) }
    }

    /// Begins an object. The result is the first argument of [`key`](Self::key) and [`close`](Self::close).
    pub(crate) fn open(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn close(&mut self, object: usize) {
        self.keys.truncate(object);
    }

    /// Takes the next key of an object. Refuses a duplicate, and a key above the limits.
    pub(crate) fn key<E: de::Error>(&mut self, object: usize, key: Cow<'de, str>) -> Result<(), E> {
        self.check_text(key.len())?;
        let before = self.keys.get(object..).unwrap_or_default();
        let (limit, found) = (self.limits.fields, before.len().saturating_add(1));
        if before.contains(&key) {
            return Err(self.fail(DecodeError::Duplicate { offset: 0, field: key.into_owned().into() }));
        }
        if found > limit {
            return Err(self.limit("fields", limit, found));
        }
        self.keys.push(key);
        Ok(())
    }

    /// Returns the key that was taken last.
    pub(crate) fn last_key(&self) -> &str {
        self.keys.last().map_or("", |key| key)
    }

    /// Returns a copy of the key that was taken last. It borrows from the input if the key has no escapes.
    pub(crate) fn own_last_key(&self) -> Cow<'de, str> {
        self.keys.last().cloned().unwrap_or_default()
    }

    /// Takes the index of an array's next element as its key, in place of that of the element before. `array`: result of [`open`](Self::open).
    pub(super) fn index(&mut self, array: usize, index: usize) {
        self.keys.truncate(array);
        self.keys.push(Cow::Owned(index.to_string()));
    }

    /// Enters the field whose key was taken last. Returns how to treat it.
    pub(crate) fn enter(&mut self) -> Step {
        self.path.push(self.keys.len().saturating_sub(1));
        let mut path = [""; MAX_PATH];
        let Some(here) = self.here(&mut path) else { return Step::Skip };
        match self.map.role(here) {
            Some(role) => Step::Field(role),
            None if self.map.leads_on(here) => Step::Into,
            None if self.in_list => Step::Skip,
            None if self.map.leads_to_each(here) => Step::Into,
            None if self.map.is_each(here) => Step::Each,
            None => Step::Skip,
        }
    }

    /// Fills `path` with the keys around the current position. `None` if they are too many for a field of the map.
    fn here<'p>(&'p self, path: &'p mut [&'p str; MAX_PATH]) -> Option<&'p [&'p str]> {
        let here = path.get_mut(..self.path.len())?;
        for (slot, at) in here.iter_mut().zip(&self.path) {
            *slot = self.keys.get(*at).map_or("", |key| key);
        }
        Some(here)
    }

    /// Returns whether an array here is the list of which every entry is a reading.
    pub(super) fn is_at_list(&self) -> bool {
        let mut path = [""; MAX_PATH];
        !self.in_list && self.here(&mut path).is_some_and(|here| self.map.has_several(here))
    }

    /// Begins the list of readings: paths are those within an entry until [`end_list`](Self::end_list), which takes the result.
    pub(super) fn begin_list(&mut self) -> Vec<usize> {
        self.in_list = true;
        std::mem::take(&mut self.path)
    }

    pub(super) fn end_list(&mut self, around: Vec<usize>) {
        self.in_list = false;
        self.path = around;
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// Returns the error to report for an error of serde, with its offset in the input.
    pub(crate) fn explain(self, input: &str, error: &serde_json::Error) -> DecodeError {
        let place = offset(input, error.line(), error.column());
        match self.failure {
            Some(mut typed) => {
                set_offset(&mut typed, place);
                typed
            }
            None if error.is_eof() => DecodeError::Truncated { offset: input.len(), needed: 1 },
            None => DecodeError::Malformed { offset: place, what: plain(error).into() },
        }
    }
}

/// Most keys of a pointer to a field; the field map has no role for anything deeper.
const MAX_PATH: usize = 8;

/// Treatment of a field.
pub(crate) enum Step {
    Field(Role),
    Into,
    /// Reads the field as a reading of its own if it is a number or a boolean.
    Each,
    Skip,
}

/// Converts line and column of serde_json to a byte offset. Both count from 1; column 0 is the line feed before.
pub(super) fn offset(input: &str, line: usize, column: usize) -> usize {
    let lines_before = line.saturating_sub(1);
    let start = match lines_before.checked_sub(1) {
        None => 0,
        Some(n) => input.bytes().enumerate().filter(|(_, b)| *b == b'\n').nth(n).map_or(0, |(at, _)| at + 1),
    };
    start.saturating_add(column).saturating_sub(1).min(input.len())
}

/// Returns serde_json's text without its line and column, because our errors have a byte offset.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

fn set_offset(error: &mut DecodeError, place: usize) {
    if let DecodeError::Limit { offset, .. }
    | DecodeError::Malformed { offset, .. }
    | DecodeError::Unexpected { offset, .. }
    | DecodeError::Missing { offset, .. }
    | DecodeError::Version { offset, .. }
    | DecodeError::Duplicate { offset, .. } = error
    {
        *offset = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_byte_offsets_over_lines() {
        for (input, at) in [("x", 0), ("[1,\n  x]", 6), ("[\n\n\n\"\u{fc}\",x]", 9)] {
            let error = serde_json::from_str::<de::IgnoredAny>(input).unwrap_err();
            assert_eq!(offset(input, error.line(), error.column()), at, "{input}");
            assert_eq!(&input[at..=at], "x");
        }
    }
}
