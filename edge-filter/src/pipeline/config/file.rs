//! Configuration file, read piece by piece, so that an error in one piece does not hide those in the next.

use super::element_names::{ElementNames, elements, name_of};
use super::error::{ConfigError, Problem};
use super::omitted_values::{LeftOut, LeftOutValues};
use super::parsed_text::ParsedText;
use super::path::Place;
use super::piece::{Fault, FaultKind, Piece};
use hashbrown::{HashMap, HashSet};
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// Configuration file in TOML, read table by table, with all problems in it. It is for a program whose file has tables of its own besides those
/// of [`Controller`](crate::control::Controller).
///
/// A value that cannot be read is noted and left out, and the rest of its table is read and checked all the same. Problems that may only follow
/// from a value that was left out are not reported.
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
    text: ParsedText<'t>,
    /// Tables and keys that the program has asked for.
    taken: Vec<Place>,
    /// Problems of values that could not be read.
    unread: Vec<Problem>,
    /// Problems in values that were read; some may only follow from values that were left out.
    refused: Vec<Problem>,
    left_out: LeftOutValues,
    /// Names that their elements cannot have, each with its table.
    unusable: Vec<(&'static str, String)>,
}

impl<'t> ConfigFile<'t> {
    /// Parses a file's text.
    ///
    /// # Errors
    /// The first error of syntax, if the text is not TOML.
    pub fn parse(text: &'t str) -> Result<Self, ConfigError> {
        let (text, mut errors) = ParsedText::parse(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut unread = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let key = text.get(&span).unwrap_or_default();
            // The first value of the key is read.
            let is_twice = error.message() == "duplicate key";
            let problem =
                if is_twice { format!("duplicate key `{key}`") } else { error.message().to_owned() };
            let problem = Problem::spanned(Place::root(), &span, &text, problem);
            if !is_twice {
                return Err(problem.into());
            }
            unread.push(problem);
        }
        let left_out = LeftOutValues::default();
        let (taken, refused, unusable) = (Vec::new(), Vec::new(), Vec::new());
        Ok(ConfigFile { text, taken, unread, refused, left_out, unusable })
    }

    /// Returns whether the file has such a table that no earlier call has read.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        self.text.tables().contains_key(table) && !self.is_taken(&Place::root().named(table))
    }

    /// Takes a table; `None` if there is none, or if it cannot be read at all.
    pub fn take<T: DeserializeOwned>(&mut self, table: &'static str) -> Option<T> {
        let value = self.take_value(table)?;
        self.read(value, &Place::root().key(table))
    }

    /// Takes one key of a table that is taken later; `None` if it is not there or cannot be read.
    pub fn take_key<T: DeserializeOwned>(&mut self, table: &'static str, key: &'static str) -> Option<T> {
        let whole = Place::root().key(table);
        let place = whole.key(key);
        let is_taken = self.is_taken(&whole) || self.is_taken(&place);
        self.taken.push(place.clone());
        let keys = self.text.tables().get(table).filter(|_| !is_taken)?.get_ref().as_table()?;
        let value = keys.get(key)?.clone();
        self.read(value, &place)
    }

    /// Returns the `name` of each element of an array of tables that has one, with its place in the array.
    #[must_use]
    pub fn names(&self, table: &str) -> Vec<(usize, String)> {
        let elements = elements(&self.text, table).enumerate();
        elements.filter_map(|(index, element)| Some((index, name_of(element)?.to_owned()))).collect()
    }

    /// Returns the `name` of each element of an array of tables in which there is a problem.
    #[must_use]
    pub fn faulty_names(&self, table: &str) -> BTreeSet<String> {
        let problems = self.unread.iter().chain(&self.refused);
        let faulty: BTreeSet<usize> =
            problems.filter_map(|problem| problem.path().element_of(table)).collect();
        let names = self.names(table).into_iter();
        names.filter(|(index, _)| faulty.contains(index)).map(|(_, name)| name).collect()
    }

    /// Adds a problem of the application's own, at a path of keys.
    pub fn wrong(&mut self, path: &[&str], problem: impl fmt::Display) {
        self.note(Problem::at(place_of(path), problem));
    }

    /// Adds a problem with the `name` of an element of an array of tables. A reference to a name that may be the
    /// correct spelling of this name is then not reported as well.
    pub fn wrong_name(&mut self, table: &'static str, index: usize, problem: impl fmt::Display) {
        let name = elements(&self.text, table).nth(index).and_then(name_of).map(str::to_owned);
        self.unusable.extend(name.map(|name| (table, name)));
        self.note(Problem::at(Place::root().key(table).index(index).key("name"), problem));
    }

    /// Adds the problem that the name at a path of keys refers to an element of `table` that does not exist. References
    /// to elements that may only be misspelt are not reported.
    pub fn refers(&mut self, path: &[&str], table: &'static str, name: &str) {
        let problem = format!("there is no {table} named \"{name}\"");
        self.note(Problem::at(place_of(path), problem).looked_for(table, name));
    }

    /// Returns whether there is a problem at a path of keys, or a value left out that may have been meant for it.
    #[must_use]
    pub fn is_wrong(&self, path: &[&str]) -> bool {
        let place = place_of(path);
        let noted = self.unread.iter().chain(&self.refused).any(|problem| *problem.path() == place);
        noted || self.is_left_out(&place)
    }

    /// Returns `made`, if there is no problem in the file.
    ///
    /// # Errors
    /// All problems in the file, each with its line, its place and the values that are allowed, and none twice.
    pub fn finish<T>(mut self, made: Option<T>) -> Result<T, ConfigError> {
        let mut problems = std::mem::take(&mut self.unread);
        let mut told: HashSet<_> = problems.iter().map(Problem::finding).collect();
        let own = self.own_problems();
        problems.extend(own.into_iter().filter(|problem| told.insert(problem.finding())));
        match (ConfigError::new(problems), made) {
            (None, Some(made)) => Ok(made),
            (Some(error), _) => Err(error),
            (None, None) => Err(Problem::at(Place::root(), "something is missing").into()),
        }
    }

    pub(crate) fn take_value(&mut self, table: &'static str) -> Option<Spanned<DeValue<'t>>> {
        let place = Place::root().key(table);
        let is_taken = self.is_taken(&place);
        let keys: Vec<&str> = self.taken.iter().filter_map(|key| key.key_in(&place)).collect();
        let mut value = self.text.tables().get(table).filter(|_| !is_taken).cloned();
        if let Some(DeValue::Table(left)) = value.as_mut().map(Spanned::get_mut) {
            keys.into_iter().for_each(|key| drop(left.remove(key)));
        }
        self.taken.push(place);
        value
    }

    fn is_taken(&self, place: &Place) -> bool {
        self.taken.contains(place)
    }

    /// Takes the elements of an array of tables that can be read, with their places in the array.
    pub(crate) fn take_each<T: DeserializeOwned>(&mut self, table: &'static str) -> Vec<(usize, T)> {
        let Some(value) = self.take_value(table) else { return Vec::new() };
        let place = Place::root().key(table);
        let elements = self.elements(value, &place).into_iter().enumerate();
        elements.filter_map(|(index, value)| Some((index, self.read(value, &place.index(index))?))).collect()
    }

    /// Adds a problem for each table that no call has read: it is unknown.
    pub(crate) fn refuse_rest(&mut self) {
        let tables = self.taken.iter().filter(|place| place.key_in(&Place::root()).is_some());
        let expected = tables.map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
        for key in self.text.tables().keys() {
            let place = Place::root().named(key.get_ref());
            if self.is_taken(&place) {
                continue;
            }
            let problem = format!("unknown field `{}`, expected one of {expected}", key.get_ref());
            self.unread.push(Problem::spanned(Place::root(), &key.span(), &self.text, problem));
            self.left_out.add(LeftOut { place, is_unknown: true });
        }
    }

    /// Adds the problem of a setter that refused a value.
    pub(crate) fn note(&mut self, problem: Problem) {
        self.refused.push(problem.locate(&self.text));
    }

    /// Reads a piece. Values that do not belong there are noted and left out, one after the other, until the rest can be read. `None`: it
    /// cannot.
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
            self.left_out.add(fault.left_out);
            if kind == FaultKind::Whole {
                return None;
            }
        }
        None
    }

    /// Adds a problem for a value that could not be read, unless it is a missing key whose value was left out before.
    fn tell(&mut self, fault: &Fault, message: &str) {
        if fault.kind == FaultKind::Missing && self.is_left_out(&fault.left_out.place) {
            return;
        }
        let mut problem = message.trim_end().to_owned();
        if fault.kind == FaultKind::Unknown {
            let keys = self.taken.iter().filter_map(|key| key.key_in(&fault.place));
            keys.for_each(|key| problem.push_str(&format!(" or `{key}`")));
        }
        let problem = Problem::spanned(fault.place.clone(), &fault.span, &self.text, problem);
        self.unread.push(problem);
    }

    /// Reads a piece as [`read`](Self::read) does; `None` if a value was left out.
    pub(crate) fn read_whole<T: DeserializeOwned>(
        &mut self,
        value: Spanned<DeValue<'t>>,
        place: &Place,
    ) -> Option<T> {
        let before = self.left_out.count();
        let read = self.read(value, place);
        read.filter(|_| self.left_out.count() == before)
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
                self.refuse(place, &span, problem);
                Vec::new()
            }
        }
    }

    /// Adds a problem for a value that cannot be read, and is left out.
    pub(crate) fn refuse(&mut self, place: &Place, span: &Range<usize>, problem: String) {
        self.unread.push(Problem::spanned(place.clone(), span, &self.text, problem));
        self.left_out.add(LeftOut { place: place.clone(), is_unknown: false });
    }

    fn is_left_out(&self, place: &Place) -> bool {
        self.left_out.explain(place, &self.text)
    }

    /// Takes the problems in values that were read, without those that may only follow from values that were left out.
    fn own_problems(&mut self) -> Vec<Problem> {
        let mut refused = std::mem::take(&mut self.refused);
        let mut names: HashMap<&str, ElementNames<'_>> = HashMap::new();
        for unknown in refused.iter().filter_map(Problem::unknown) {
            let of = || {
                let unusable = self.unusable.iter().filter(|(table, _)| *table == unknown.table);
                let unusable = unusable.map(|(_, name)| name.as_str());
                ElementNames::new(unknown.table, &self.text, &self.left_out, unusable)
            };
            names.entry(unknown.table).or_insert_with(of);
        }
        refused.retain(|problem| {
            let may_be_there = problem.unknown().is_some_and(|unknown| {
                names.get(unknown.table).is_some_and(|names| names.may_have(unknown))
                    || self.left_out.touch(&Place::root().key(unknown.table))
            });
            let mut rests_on = problem.rests_on().iter();
            !(may_be_there
                || self.is_left_out(problem.path())
                || rests_on.any(|place| self.is_left_out(place)))
        });
        refused
    }
}

/// Most faults of one piece, because each costs one more reading. A piece with more is not used.
const FAULTS_MAX: usize = 256;

fn place_of(path: &[&str]) -> Place {
    path.iter().fold(Place::root(), |place, key| place.named(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_table_is_there_until_it_is_taken() {
        let mut file = ConfigFile::parse("[own]\nkey = 1\n").unwrap();
        assert!(file.has("own") && !file.has("other"));
        assert!(file.take::<BTreeMap<String, i64>>("own").is_some_and(|own| own["key"] == 1));
        assert!(!file.has("own"));
        assert_eq!(file.take_key::<i64>("own", "key"), None, "it went with its table");
        assert!(file.finish(Some(())).is_ok());
    }

    #[test]
    fn elements_in_which_something_is_wrong_are_known_by_name() {
        let mut file = ConfigFile::parse("[[own]]\nname = \"a\"\n[[own]]\nname = \"b\"\n").unwrap();
        let _ = file.take::<Vec<BTreeMap<String, String>>>("own");
        assert!(file.faulty_names("own").is_empty() && !file.is_wrong(&["own"]));
        file.wrong_name("own", 1, "not this one");
        assert_eq!(file.faulty_names("own").into_iter().collect::<Vec<_>>(), ["b"]);
        assert!(file.faulty_names("other").is_empty());
        file.wrong(&["other", "key"], "too large");
        assert!(file.is_wrong(&["other", "key"]) && !file.is_wrong(&["other", "key2"]));
    }

    #[test]
    fn a_name_that_is_nobodys_is_told() {
        let mut file = ConfigFile::parse("[own]\nof = \"b\"\n").unwrap();
        let _ = file.take::<BTreeMap<String, String>>("own");
        file.refers(&["own", "of"], "sensor", "b");
        let error = file.finish(Some(())).unwrap_err().to_string();
        assert_eq!(error, "line 2: own.of: there is no sensor named \"b\"");
    }

    /// Keys that were taken alone are no tables, and belong to no other one.
    #[test]
    fn an_unknown_table_is_told_with_those_that_there_are_and_explains_the_one_it_was_meant_for() {
        let text = "[own]\na = 1\n[othre]\na = 1\nb = 2\n[third]\nc = 1\n";
        let mut file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.take_key::<i64>("own", "a"), Some(1));
        let _ = file.take::<BTreeMap<String, i64>>("own");
        let _ = file.take::<BTreeMap<String, i64>>("other");
        assert_eq!(file.take::<BTreeMap<String, i64>>("third").map(|keys| keys.len()), Some(1));
        file.refuse_rest();
        file.wrong(&["other"], "is missing");
        let error = file.finish(Some(())).unwrap_err().to_string();
        assert_eq!(error, "line 3: unknown field `othre`, expected one of `own`, `other`, `third`");
    }

    /// It follows from the mistake in the element's own name, which is told.
    #[test]
    fn a_name_that_an_element_was_meant_to_have_is_not_told() {
        let of = |sensor: &str| {
            let text = format!("[own]\nof = \"b\"\n[[sensor]]\n{sensor}\n");
            let mut file = ConfigFile::parse(&text).unwrap();
            let _ = file.take::<BTreeMap<String, String>>("own");
            file.refers(&["own", "of"], "sensor", "b");
            file.finish(Some(())).map_or_else(|error| error.to_string(), |()| String::new())
        };
        let told = "own.of: there is no sensor named \"b\"";
        assert!(of("name = \"c\"").contains(told), "{}", of("name = \"c\""));
        for meant in ["nmae = \"b\"", "name = \"b\"", "unit = \"K\""] {
            assert!(!of(meant).contains(told), "{meant}: {}", of(meant));
        }
    }
}
