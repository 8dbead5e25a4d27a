//! Typed reading of one table, collecting every mistake instead of stopping at the first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::findings::{Findings, Severity};
use super::suggest::nearest;
use super::units;

/// Outside world of the reader, so that tests can give it another one.
pub(crate) struct World<'a> {
    /// Directory that relative paths start from: that of the file.
    pub(crate) base: &'a Path,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
}

/// One table while it is being read. `finish` reports the keys nobody asked for.
pub(crate) struct Section<'a> {
    name: String,
    at: usize,
    table: Option<&'a DeTable<'a>>,
    asked: HashSet<&'static str>,
    /// Told already, with the reason why they are not valid.
    refused: HashSet<&'static str>,
    world: &'a World<'a>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

impl<'a> Section<'a> {
    pub(crate) fn new(name: &str, at: usize, table: Option<&'a DeTable<'a>>, world: &'a World<'a>) -> Self {
        Section { name: name.to_owned(), at, table, asked: HashSet::new(), refused: HashSet::new(), world }
    }

    /// A table within this one.
    pub(crate) fn inner(&self, key: &str, at: usize, table: &'a DeTable<'a>) -> Section<'a> {
        Section::new(&self.key(key), at, Some(table), self.world)
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The file does not have this table.
    pub(crate) fn is_absent(&self) -> bool {
        self.table.is_none()
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.insert(key);
        self.table?.get(key)
    }

    /// As [`get`](Self::get), of a key that is not valid here, whatever its value.
    pub(crate) fn refuse(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.refused.insert(key);
        self.table?.get(key)
    }

    pub(crate) fn string(&mut self, key: &'static str, findings: &mut Findings) -> Option<Placed<String>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let DeValue::String(text) = value.get_ref() else {
            findings.error(at, &self.key(key), format!("expected a string, found {}", kind(value.get_ref())));
            return None;
        };
        match expand(text, self.world.env) {
            Ok(value) => Some(Placed { value, at }),
            Err(message) => {
                findings.error(at, &self.key(key), message);
                None
            }
        }
    }

    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let text = self.string(key, findings)?;
        match parse(&text.value) {
            Ok(value) => Some(Placed { value, at: text.at }),
            Err(message) => {
                findings.error(text.at, &self.key(key), message);
                None
            }
        }
    }

    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<Placed<Duration>> {
        self.quantity(key, findings, units::duration)
    }

    pub(crate) fn size(&mut self, key: &'static str, findings: &mut Findings) -> Option<Placed<u64>> {
        self.quantity(key, findings, units::size)
    }

    /// A bare number where a unit is needed is told so in the unit's own words.
    fn quantity<T>(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        if let Some(value) = self.get(key) {
            let bare = match value.get_ref() {
                DeValue::Integer(number) => Some(number.to_string()),
                DeValue::Float(number) => Some(number.to_string()),
                _ => None,
            };
            if let Some(number) = bare {
                let message = parse(&number).err().unwrap_or_else(|| "needs a unit".to_owned());
                findings.error(value.span().start, &self.key(key), message);
                return None;
            }
        }
        self.parsed(key, findings, parse)
    }

    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
        findings: &mut Findings,
    ) -> Option<Placed<u64>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let DeValue::Integer(number) = value.get_ref() else {
            let found = kind(value.get_ref());
            findings.error(at, &self.key(key), format!("expected a whole number, found {found}"));
            return None;
        };
        let digits = number.as_str().replace('_', "");
        match u64::from_str_radix(&digits, number.radix()) {
            Ok(value) if range.contains(&value) => Some(Placed { value, at }),
            _ => {
                let (low, high) = (range.start(), range.end());
                findings.error(at, &self.key(key), format!("{number} is outside {low} to {high}"));
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, key: &'static str, findings: &mut Findings) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                let message = format!("expected true or false, found {}", kind(other));
                findings.error(value.span().start, &self.key(key), message);
                None
            }
        }
    }

    pub(crate) fn one_of(
        &mut self,
        key: &'static str,
        valid: &[&'static str],
        findings: &mut Findings,
    ) -> Option<Placed<&'static str>> {
        let text = self.string(key, findings)?;
        if let Some(found) = valid.iter().find(|name| **name == text.value) {
            return Some(Placed { value: found, at: text.at });
        }
        let help = nearest(&text.value, valid).map(|name| format!("did you mean \"{name}\"?"));
        let message = format!("\"{}\" is not one of {}", text.value, valid.join(", "));
        findings.add(Severity::Error, text.at, &self.key(key), message, help);
        None
    }

    pub(crate) fn strings(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<Placed<Vec<String>>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let DeValue::Array(items) = value.get_ref() else {
            findings.error(at, &self.key(key), format!("expected an array, found {}", kind(value.get_ref())));
            return None;
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => match expand(text, self.world.env) {
                    Ok(text) => out.push(text),
                    Err(message) => findings.error(item.span().start, &self.key(key), message),
                },
                other => {
                    let message = format!("expected strings, found {}", kind(other));
                    findings.error(item.span().start, &self.key(key), message);
                }
            }
        }
        Some(Placed { value: out, at })
    }

    /// A path relative to the configuration file; the file must exist and be readable.
    pub(crate) fn file(&mut self, key: &'static str, findings: &mut Findings) -> Option<Placed<PathBuf>> {
        let text = self.string(key, findings)?;
        let path = self.world.base.join(&text.value);
        if let Err(error) = std::fs::metadata(&path) {
            findings.error(text.at, &self.key(key), format!("{}: {error}", path.display()));
            return None;
        }
        Some(Placed { value: path, at: text.at })
    }

    /// A path relative to the configuration file that need not exist yet.
    pub(crate) fn path(&mut self, key: &'static str, findings: &mut Findings) -> Option<Placed<PathBuf>> {
        let text = self.string(key, findings)?;
        Some(Placed { value: self.world.base.join(&text.value), at: text.at })
    }

    /// Reports every key that was there and not asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        let valid: Vec<&str> = {
            let mut names: Vec<&str> = self.asked.iter().copied().collect();
            names.sort_unstable();
            names
        };
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if self.asked.contains(name) || self.refused.contains(name) {
                continue;
            }
            let help = match nearest(name, &valid) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("valid here: {}", valid.join(", ")),
            };
            findings.add(Severity::Error, key.span().start, &self.key(name), "unknown key", Some(help));
        }
    }
}

/// Returns what a value is, in words.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
