//! Typed reader of one TOML table, which collects every mistake instead of stopping at the first.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_bridge::net::signer_socket;
use edge_state::toml_amount;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::findings::{Findings, Severity};
use super::keys::{self, Key, Preset, Value};
use super::operator_file;
use super::suggest::nearest;
use super::units;

/// Environment of the reader, which tests can replace.
pub(crate) struct World<'a> {
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// Function that reads the text of a rules file.
    pub(crate) rules: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// One table while it is read. Bounds, choices and defaults are those of [`keys`], and `finish` reports keys that do not exist.
pub(crate) struct Section<'a> {
    name: String,
    at: usize,
    table: Option<&'a DeTable<'a>>,
    keys: &'static [Key],
    world: &'a World<'a>,
}

/// Value with its byte offset in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

impl<'a> Section<'a> {
    pub(crate) fn new(name: &str, at: usize, table: Option<&'a DeTable<'a>>, world: &'a World<'a>) -> Self {
        let keys = keys::keys_of(name);
        Section { name: name.to_owned(), at, table, keys, world }
    }

    /// Returns the reader of a table inside this one.
    pub(crate) fn inner(&self, key: &str, at: usize, table: &'a DeTable<'a>) -> Section<'a> {
        Section::new(&self.key(key), at, Some(table), self.world)
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Returns position and name of the first of these keys that the file has, or else those of the table.
    pub(crate) fn first_of(&self, keys: &[&str]) -> (usize, String) {
        let first = keys.iter().find_map(|key| Some((self.get(key)?.span().start, self.key(key))));
        first.unwrap_or_else(|| (self.at, self.name.clone()))
    }

    /// Returns the place of a key, or that of the table.
    pub(crate) fn at_key(&self, key: &str) -> usize {
        self.first_of(&[key]).0
    }

    /// Reads a file of filter rules or of control loops, unless it holds more than may be parsed.
    pub(crate) fn rules(&self, file: &Path) -> io::Result<String> {
        let text = (self.world.rules)(file)?;
        toml_amount::check_rules(&text)
            .map_err(|excess| io::Error::new(io::ErrorKind::InvalidData, excess))?;
        Ok(text)
    }

    /// Returns whether the file lacks this table.
    pub(crate) fn is_absent(&self) -> bool {
        self.table.is_none()
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    fn value_of(&self, key: &str) -> Option<Value> {
        self.keys.iter().find(|known| known.name == key).map(|known| known.value)
    }

    /// Returns the default of a key as the file would write it; empty if it has no such default.
    pub(crate) fn preset(&self, key: &str) -> &'static str {
        match self.keys.iter().find(|known| known.name == key).map(|known| known.preset) {
            Some(Preset::Is(text)) => text,
            _ => "",
        }
    }

    pub(crate) fn preset_duration(&self, key: &str) -> Duration {
        units::duration(self.preset(key)).unwrap_or_default()
    }

    /// Returns the file's value of a duration key, or its default.
    pub(crate) fn duration_in_force(&self, key: &'static str, findings: &mut Findings) -> Duration {
        self.duration(key, findings).map_or_else(|| self.preset_duration(key), |found| found.value)
    }

    /// Returns the file's value of a size key, or its default.
    pub(crate) fn size_in_force(&self, key: &'static str, findings: &mut Findings) -> u64 {
        let found = self.size(key, findings).map(|found| found.value);
        found.or_else(|| units::size(self.preset(key)).ok()).unwrap_or_default()
    }

    /// Returns the file's value of an integer key, or its default.
    pub(crate) fn integer_in_force(&self, key: &'static str, findings: &mut Findings) -> u64 {
        let found = self.integer(key, findings).map(|found| found.value);
        found.or_else(|| self.preset(key).parse().ok()).unwrap_or_default()
    }

    /// Returns the file's value of a choice key, or its default.
    pub(crate) fn one_of_in_force(&self, key: &'static str, findings: &mut Findings) -> &'static str {
        self.one_of(key, findings).map_or_else(|| self.preset(key), |found| found.value)
    }

    pub(crate) fn string(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<String>> {
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
        &self,
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

    pub(crate) fn duration(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<Duration>> {
        let bounds = match self.value_of(key) {
            Some(Value::Duration(least, most)) => (least, most),
            _ => ("", ""),
        };
        self.quantity(key, bounds, findings, units::duration)
    }

    pub(crate) fn size(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<u64>> {
        let bounds = match self.value_of(key) {
            Some(Value::Size(least, most) | Value::Batch { bytes: (least, most), .. }) => (least, most),
            _ => ("", ""),
        };
        self.quantity(key, bounds, findings, units::size)
    }

    /// Reads a quantity with a unit and checks its bounds; an empty text is no bound. A bare number is reported in the words of the unit's
    /// parser.
    fn quantity<T: PartialOrd>(
        &self,
        key: &'static str,
        (least, most): (&str, &str),
        findings: &mut Findings,
        parse: impl Fn(&str) -> Result<T, String>,
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
        let found = self.parsed(key, findings, &parse)?;
        let is_below = parse(least).is_ok_and(|least| found.value < least);
        if is_below || parse(most).is_ok_and(|most| found.value > most) {
            findings.error(found.at, &self.key(key), keys::range(least, most));
        }
        Some(found)
    }

    pub(crate) fn integer(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<u64>> {
        let (low, high) = match self.value_of(key) {
            Some(Value::Integer(low, high) | Value::Batch { readings: (low, high), .. }) => (low, high),
            _ => (0, u64::MAX),
        };
        let value = self.get(key)?;
        let at = value.span().start;
        let DeValue::Integer(number) = value.get_ref() else {
            let found = kind(value.get_ref());
            findings.error(at, &self.key(key), format!("expected a whole number, found {found}"));
            return None;
        };
        let digits = number.as_str().replace('_', "");
        match u64::from_str_radix(&digits, number.radix()) {
            Ok(value) if (low..=high).contains(&value) => Some(Placed { value, at }),
            _ => {
                findings.error(at, &self.key(key), format!("{number} is outside {low} to {high}"));
                None
            }
        }
    }

    pub(crate) fn boolean(&self, key: &'static str, findings: &mut Findings) -> Option<bool> {
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

    pub(crate) fn one_of(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<&'static str>> {
        let valid = match self.value_of(key) {
            Some(Value::OneOf(valid)) => valid,
            _ => &[],
        };
        let text = self.string(key, findings)?;
        if let Some(found) = valid.iter().find(|name| **name == text.value) {
            return Some(Placed { value: found, at: text.at });
        }
        let help = nearest(&text.value, valid).map(|name| format!("did you mean \"{name}\"?"));
        let message = format!("\"{}\" is not one of {}", text.value, valid.join(", "));
        findings.add(Severity::Error, text.at, &self.key(key), message, help);
        None
    }

    pub(crate) fn strings(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<Vec<String>>> {
        let Placed { value, at } = self.placed_strings(key, findings)?;
        Some(Placed { value: value.into_iter().map(|item| item.value).collect(), at })
    }

    /// Reads an array of strings as [`strings`](Self::strings) does, each with its place.
    pub(crate) fn placed_strings(
        &self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<Placed<Vec<Placed<String>>>> {
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
                    Ok(value) => out.push(Placed { value, at: item.span().start }),
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

    /// Reads a path relative to the file in which it stands, at which a readable file must exist.
    pub(crate) fn file(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<PathBuf>> {
        self.file_or_absent(key, false, findings)
    }

    /// Reads a path as [`file`](Self::file) does; with `may_be_absent` there may be nothing of this path yet.
    pub(crate) fn file_or_absent(
        &self,
        key: &'static str,
        may_be_absent: bool,
        findings: &mut Findings,
    ) -> Option<Placed<PathBuf>> {
        let Placed { value: path, at } = self.path(key, findings)?;
        if may_be_absent && !operator_file::is_there(&path) {
            return Some(Placed { value: path, at });
        }
        if let Err(error) = operator_file::check(&path)
            && !findings.unusable(at, &self.key(key), format!("{}: {error}", path.display()))
        {
            return None;
        }
        Some(Placed { value: path, at })
    }

    /// Reads a private key: a file, or `unix:PATH` of the signer that has it, where nobody need listen yet. Both paths are relative to the file in
    /// which they stand.
    pub(crate) fn private_key(
        &self,
        key: &'static str,
        may_be_absent: bool,
        findings: &mut Findings,
    ) -> Option<Placed<PathBuf>> {
        let text = self.string(key, findings)?;
        let Some(socket) = signer_socket(text.value.as_ref()) else {
            return self.file_or_absent(key, may_be_absent, findings);
        };
        if socket.as_os_str().is_empty() {
            findings.error(text.at, &self.key(key), "`unix:` without the path of the signer's socket");
            return None;
        }
        let mut value = OsString::from("unix:");
        value.push(findings.named_path(text.at, &self.key(key), socket));
        Some(Placed { value: value.into(), at: text.at })
    }

    /// Reads a path relative to the file in which it stands, where nothing need exist yet.
    pub(crate) fn path(&self, key: &'static str, findings: &mut Findings) -> Option<Placed<PathBuf>> {
        let text = self.string(key, findings)?;
        if text.value.is_empty() {
            findings.error(text.at, &self.key(key), "an empty path");
            return None;
        }
        Some(Placed { value: findings.named_path(text.at, &self.key(key), text.value.as_ref()), at: text.at })
    }

    /// Reports every key that does not exist in this table.
    pub(crate) fn finish(self, findings: &mut Findings) {
        let mut valid: Vec<&str> = self.keys.iter().map(|known| known.name).collect();
        if self.name.is_empty() {
            valid.extend(keys::table_names());
        }
        valid.sort_unstable();
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if valid.contains(&name) {
                continue;
            }
            if findings.is_full(Severity::Error) {
                findings.error(key.span().start, name, "unknown key");
                continue;
            }
            let help = match (nearest(name, &valid), keys::elsewhere(&self.name, name)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(other)) => other,
                (None, None) => format!("valid here: {}", valid.join(", ")),
            };
            findings.add(Severity::Error, key.span().start, &self.key(name), "unknown key", Some(help));
        }
    }
}

/// Returns the kind of a value in words.
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

/// Returns a named sub-table. A missing one counts as empty, so that its required keys are reported by name.
pub(super) fn table<'a>(
    top: &mut Section<'a>,
    name: &'static str,
    world: &'a World<'a>,
    findings: &mut Findings,
) -> Section<'a> {
    match top.get(name) {
        None => Section::new(name, 0, None, world),
        Some(value) => match value.get_ref() {
            DeValue::Table(inner) => Section::new(name, value.span().start, Some(inner), world),
            other => {
                let message = format!("expected a table, found {}", kind(other));
                findings.error(value.span().start, name, message);
                Section::new(name, value.span().start, None, world)
            }
        },
    }
}
