//! Values of sensors: of each unit of each name, since a name with another unit is another sensor.

use edge_csv::Visible;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug)]
pub(super) struct BySensor<T>(BTreeMap<String, BTreeMap<String, T>>);

/// A sensor's name and unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sensor<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    /// True if the name has no other unit.
    pub(super) is_only: bool,
}

/// Shows the unit where the name alone does not say which sensor it is.
impl fmt::Display for Sensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Visible(self.name))?;
        if self.is_only { Ok(()) } else { write!(f, " [{}]", Visible(self.unit)) }
    }
}

impl<T> BySensor<T> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn insert(&mut self, name: &str, unit: &str, value: T) {
        self.0.entry(name.to_owned()).or_default().insert(unit.to_owned(), value);
    }

    pub(super) fn get(&self, sensor: Sensor<'_>) -> Option<&T> {
        self.0.get(sensor.name)?.get(sensor.unit)
    }

    pub(super) fn get_mut(&mut self, name: &str, unit: &str) -> Option<&mut T> {
        self.0.get_mut(name)?.get_mut(unit)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Sensor<'_>, &T)> {
        self.0.iter().flat_map(|(name, units)| {
            let is_only = units.len() == 1;
            units.iter().map(move |(unit, value)| (Sensor { name, unit, is_only }, value))
        })
    }

    /// Moves all values, each made into another, into `to`.
    pub(super) fn finish_into<U>(self, to: &mut BySensor<U>, finish: impl Fn(T) -> U) {
        for (name, units) in self.0 {
            let finished = units.into_iter().map(|(unit, value)| (unit, finish(value)));
            to.0.entry(name).or_default().extend(finished);
        }
    }
}
