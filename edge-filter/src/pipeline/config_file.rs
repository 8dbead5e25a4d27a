//! A configuration file, piece by piece: a mistake in one piece does not hide those in the next.

use super::Pattern;
use super::config_error::{ConfigError, Problem, Reference};
use super::piece::{Fault, FaultKind, LeftOut, Piece, alike};
use super::place::Place;
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file in TOML, read table by table, with everything that is wrong with it: for a program whose file has
/// tables of its own beside those of [`Controller`](crate::control::Controller).
///
/// A value that cannot be read is noted and left out, and the rest of its table is read and checked all the same. What may
/// only follow from a value that was left out is not told.
///
/// ```
/// use edge_filter::ConfigFile;
/// use std::collections::BTreeMap;
///
/// let text = "[mqtt]\nport = 1883\n[control]\nperiod_ms = 0\nwatchdog = 5\n";
/// let mut file = ConfigFile::parse(text)?;
/// let ports: Option<BTreeMap<String, u16>> = file.take("mqtt");
/// assert_eq!(ports.map(|ports| ports["port"]), Some(1883));
/// let loops = file.controller();
/// assert_eq!(file.finish(Some(loops)).unwrap_err().problems().len(), 2);
/// # Ok::<(), edge_filter::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct ConfigFile<'t> {
    text: &'t str,
    tables: DeTable<'t>,
    /// Tables and keys that somebody has asked for.
    taken: Vec<Place>,
    /// Mistakes of reading.
    unread: Vec<Problem>,
    /// Mistakes in what was read; some may only follow from what was left out.
    refused: Vec<Problem>,
    left_out: Vec<LeftOut>,
}

impl<'t> ConfigFile<'t> {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first mistake of syntax, if it is not TOML.
    pub fn parse(text: &'t str) -> Result<Self, ConfigError> {
        let (tables, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut unread = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let key = text.get(span.clone()).unwrap_or_default();
            // The first value of the key is read.
            let is_twice = error.message() == "duplicate key";
            let problem =
                if is_twice { format!("duplicate key `{key}`") } else { error.message().to_owned() };
            let problem = Problem::spanned(Place::root(), span, text, problem);
            if !is_twice {
                return Err(problem.into());
            }
            unread.push(problem);
        }
        let tables = tables.into_inner();
        Ok(ConfigFile { text, tables, taken: Vec::new(), unread, refused: Vec::new(), left_out: Vec::new() })
    }

    /// Returns whether there is such a table that nobody has taken.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Takes a table; `None` if there is none, or if nothing can be made of it.
    pub fn take<T: DeserializeOwned>(&mut self, table: &'static str) -> Option<T> {
        let value = self.take_value(table)?;
        self.read(value, &Place::root().key(table))
    }

    /// Takes one key of a table that is taken later; `None` if it is not there, or not what belongs there.
    pub fn take_key<T: DeserializeOwned>(&mut self, table: &'static str, key: &'static str) -> Option<T> {
        let place = Place::root().key(table).key(key);
        self.taken.push(place.clone());
        let DeValue::Table(keys) = self.tables.get_mut(table)?.get_mut() else { return None };
        let value = keys.remove(key)?;
        self.read(value, &place)
    }

    /// The `name` of each element of an array of tables that has one, with its place in the array.
    #[must_use]
    pub fn names(&self, table: &str) -> Vec<(usize, String)> {
        let (tables, _) = DeTable::parse_recoverable(self.text);
        let elements = tables.get_ref().get(table).and_then(|value| value.get_ref().as_array());
        let named = |(index, element): (usize, &Spanned<DeValue<'_>>)| {
            Some((index, element.get_ref().get("name")?.get_ref().as_str()?.to_owned()))
        };
        elements.into_iter().flat_map(|elements| elements.iter().enumerate()).filter_map(named).collect()
    }

    /// Notes what else is wrong, at a path of keys.
    pub fn wrong(&mut self, path: &[&str], problem: impl fmt::Display) {
        self.note(Problem::at(place_of(path), problem));
    }

    /// Notes what is wrong with the `name` of an element of an array of tables.
    pub fn wrong_name(&mut self, table: &'static str, index: usize, problem: impl fmt::Display) {
        self.note(Problem::at(Place::root().key(table).index(index).key("name"), problem));
    }

    /// Notes that no element of an array of tables has the `name` that stands at a path of keys, if that is so.
    pub fn refers(&mut self, path: &[&str], table: &'static str, name: &str) {
        let problem = format!("there is no {table} named \"{name}\"");
        self.note(Problem::at(place_of(path), problem).looked_for(table, name));
    }

    /// Returns whether something is wrong at a path of keys, or may have been meant for it.
    #[must_use]
    pub fn is_wrong(&self, path: &[&str]) -> bool {
        let place = place_of(path);
        let noted = self.unread.iter().chain(&self.refused).any(|problem| *problem.path() == place);
        noted || self.is_left_out(&place)
    }

    /// Returns what was made of the file, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, its place and what it should be; of one value what is found first.
    pub fn finish<T>(mut self, made: Option<T>) -> Result<T, ConfigError> {
        let refused = std::mem::take(&mut self.refused);
        let own = refused.into_iter().filter(|problem| !self.is_consequence(problem)).collect::<Vec<_>>();
        let mut problems = std::mem::take(&mut self.unread);
        for problem in own {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        match (ConfigError::new(problems), made) {
            (None, Some(made)) => Ok(made),
            (Some(error), _) => Err(error),
            (None, None) => Err(Problem::at(Place::root(), "something is missing").into()),
        }
    }

    pub(crate) fn take_value(&mut self, table: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.taken.push(Place::root().key(table));
        self.tables.remove(table)
    }

    /// Takes the elements of an array of tables that can be read, with their places in the array.
    pub(crate) fn take_each<T: DeserializeOwned>(&mut self, table: &'static str) -> Vec<(usize, T)> {
        let Some(value) = self.take_value(table) else { return Vec::new() };
        let place = Place::root().key(table);
        let elements = self.elements(value, &place).into_iter().enumerate();
        elements.filter_map(|(index, value)| Some((index, self.read(value, &place.index(index))?))).collect()
    }

    /// Notes each table that nobody has taken.
    pub(crate) fn refuse_rest(&mut self) {
        let tables = self.taken.iter().filter(|place| place.key_in(&Place::root()).is_some());
        let expected = tables.map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
        for (key, _) in std::mem::take(&mut self.tables) {
            let problem = format!("unknown field `{}`, expected one of {expected}", key.get_ref());
            self.unread.push(Problem::spanned(Place::root(), key.span(), self.text, problem));
            self.left_out.push(LeftOut { place: Place::root().named(key.get_ref()), is_unknown: true });
        }
    }

    /// Notes what a part refused.
    pub(crate) fn note(&mut self, problem: Problem) {
        self.refused.push(problem.locate(self.text));
    }

    /// Reads a piece. What does not belong there is noted and left out, as often as it takes to read the rest.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        value: Spanned<DeValue<'t>>,
        place: &Place,
    ) -> Option<T> {
        let mut piece = Piece::new(value, place.clone());
        for _ in 0..FAULTS_MAX {
            let error = match T::deserialize(piece.value().into_deserializer()) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            match piece.exchange(&error) {
                Some(true) => continue,
                Some(false) => return None,
                None => {}
            }
            let fault = piece.leave_out(&error);
            let kind = fault.kind;
            self.tell(&fault, error.message());
            self.left_out.push(fault.left_out);
            if kind == FaultKind::Whole {
                return None;
            }
        }
        None
    }

    /// Notes what could not be read, unless the missing key is one that was left out.
    fn tell(&mut self, fault: &Fault, message: &str) {
        if fault.kind == FaultKind::Missing && self.is_left_out(&fault.left_out.place) {
            return;
        }
        let mut problem = message.trim_end().to_owned();
        if fault.kind == FaultKind::Unknown {
            let keys = self.taken.iter().filter_map(|key| key.key_in(&fault.place));
            keys.for_each(|key| problem.push_str(&format!(" or `{key}`")));
        }
        let problem = Problem::spanned(fault.place.clone(), fault.span.clone(), self.text, problem);
        self.unread.push(problem);
    }

    /// As [`read`](Self::read), but `None` if something was left out.
    pub(crate) fn read_whole<T: DeserializeOwned>(
        &mut self,
        value: Spanned<DeValue<'t>>,
        place: &Place,
    ) -> Option<T> {
        let before = self.left_out.len();
        let read = self.read(value, place);
        read.filter(|_| self.left_out.len() == before)
    }

    pub(crate) fn elements(
        &mut self,
        value: Spanned<DeValue<'t>>,
        place: &Place,
    ) -> Vec<Spanned<DeValue<'t>>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(elements) => elements.into_iter().collect(),
            other => {
                let problem = format!("invalid type: {}, expected an array", other.type_str());
                self.unread.push(Problem::spanned(place.clone(), span, self.text, problem));
                self.left_out.push(LeftOut { place: place.clone(), is_unknown: false });
                Vec::new()
            }
        }
    }

    fn is_left_out(&self, place: &Place) -> bool {
        self.left_out.iter().any(|left| left.explains(place, self.text))
    }

    /// Returns whether a problem may only follow from what was left out.
    fn is_consequence(&self, problem: &Problem) -> bool {
        self.is_left_out(problem.path())
            || problem.rests_on().iter().any(|place| self.is_left_out(place))
            || problem.unknown().is_some_and(|unknown| self.may_have(unknown))
    }

    /// Returns whether a part may have that name: a part without a name that can be read may have any.
    fn may_have(&self, unknown: &Reference) -> bool {
        let is_it = |name: &str| {
            name == unknown.name || Pattern::new(&unknown.name).is_ok_and(|pattern| pattern.matches(name))
        };
        let table = Place::root().key(unknown.table);
        if self.left_out.iter().any(|left| !left.is_unknown && left.explains(&table, self.text)) {
            return true;
        }
        let is_meant = |key: &str| {
            let place = Place::root().named(key);
            let is_refused = self.left_out.iter().any(|left| left.is_unknown && left.place == place);
            key == unknown.table || (is_refused && alike(key, unknown.table))
        };
        let (tables, _) = DeTable::parse_recoverable(self.text);
        let meant = tables.get_ref().iter().filter(|(key, _)| is_meant(key.get_ref()));
        let mut elements =
            meant.filter_map(|(_, value)| value.get_ref().as_array()).flat_map(|list| list.iter());
        elements.any(|element| {
            let keys = element.get_ref().as_table().into_iter().flat_map(|keys| keys.iter());
            let names = keys.filter(|(key, _)| alike(key.get_ref(), "name"));
            let mut names = names.filter_map(|(_, value)| value.get_ref().as_str()).peekable();
            names.peek().is_none() || names.any(is_it)
        })
    }
}

/// Mistakes of one piece after which nothing is made of it: each costs one more reading.
const FAULTS_MAX: usize = 256;

fn place_of(path: &[&str]) -> Place {
    path.iter().fold(Place::root(), |place, key| place.named(key))
}
