//! Names and units of sensors, keyed by the caller's numbers.

use std::borrow::Cow;

/// Entry of a sensor in a table. Exhaustive, so that a literal can list all fields.
///
/// ```
/// use edge_codec::Sensor;
///
/// let sensor = Sensor { id: 7, name: "line2/temp".into(), unit: "Cel".into() };
/// assert_eq!((sensor.id, &*sensor.name, &*sensor.unit), (7, "line2/temp", "Cel"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor<'a> {
    /// Number to which [`Reading::sensor`](crate::Reading::sensor) refers.
    pub id: u32,
    /// Name of the sensor, for example the topic it came from.
    pub name: Cow<'a, str>,
    /// Unit as the sensor wrote it (`"Cel"`, `"°F"`), never converted; empty if there is none.
    pub unit: Cow<'a, str>,
}

/// Source of names and units for an encoder.
///
/// The numbers are the application's: it keeps one interner for filter and codec, and implements this trait for it. A sensor stays there until its
/// readings are encoded.
///
/// ```
/// use edge_codec::{Sensor, Sensors};
///
/// /// An application's own names.
/// struct Names(Vec<String>);
///
/// impl Sensors for Names {
///     fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
///         let name = self.0.get(id as usize)?;
///         Some(Sensor { id, name: name.into(), unit: "".into() })
///     }
/// }
///
/// let names = Names(vec!["line2/temp".to_owned()]);
/// assert_eq!(names.sensor(0).map(|s| s.name.into_owned()), Some("line2/temp".to_owned()));
/// ```
pub trait Sensors {
    /// Returns the sensor with this number; `None` if there is none.
    fn sensor(&self, id: u32) -> Option<Sensor<'_>>;
}

impl<T: Sensors + ?Sized> Sensors for &T {
    fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
        (**self).sensor(id)
    }
}

impl<T: Sensors + ?Sized> Sensors for std::sync::Arc<T> {
    fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
        (**self).sensor(id)
    }
}

/// Table of sensors, sorted by number. Look-ups cost O(log n), insertions O(n).
///
/// ```
/// use edge_codec::SensorTable;
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// sensors.insert(3, String::from("line2/state"), "");
/// assert_eq!(sensors.get(7).map(|s| s.unit.as_ref()), Some("Cel"));
/// assert_eq!(sensors.iter().map(|s| s.id).collect::<Vec<_>>(), [3, 7]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorTable<'a> {
    sorted: Vec<Sensor<'a>>,
}

impl<'a> SensorTable<'a> {
    /// Makes a table without sensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sensor. Returns the old entry if the number was taken.
    pub fn insert(
        &mut self,
        id: u32,
        name: impl Into<Cow<'a, str>>,
        unit: impl Into<Cow<'a, str>>,
    ) -> Option<Sensor<'a>> {
        let sensor = Sensor { id, name: name.into(), unit: unit.into() };
        match self.sorted.binary_search_by_key(&id, |s| s.id) {
            Ok(at) => self.sorted.get_mut(at).map(|old| std::mem::replace(old, sensor)),
            Err(at) => {
                self.sorted.insert(at, sensor);
                None
            }
        }
    }

    /// Returns the sensor with this number; `None` if there is none.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Sensor<'a>> {
        let at = self.sorted.binary_search_by_key(&id, |s| s.id).ok()?;
        self.sorted.get(at)
    }

    /// Iterates over all sensors by rising number.
    pub fn iter(&self) -> std::slice::Iter<'_, Sensor<'a>> {
        self.sorted.iter()
    }

    /// Returns the table with its own copy of all texts, independent of the input it was decoded from.
    #[must_use]
    pub fn into_owned(self) -> SensorTable<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let sensor = |s: Sensor<'a>| Sensor { id: s.id, name: owned(s.name), unit: owned(s.unit) };
        SensorTable { sorted: self.sorted.into_iter().map(sensor).collect() }
    }

    /// Returns the number of sensors in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Returns whether the table has no sensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Builds a table from a decoded list. `Err` is the number that occurs twice.
    #[cfg_attr(
        not(any(feature = "json", feature = "cbor", feature = "protobuf")),
        allow(dead_code, reason = "only decoders build tables from lists")
    )]
    pub(crate) fn from_unsorted(mut list: Vec<Sensor<'a>>) -> Result<Self, u32> {
        list.sort_unstable_by_key(|s| s.id);
        match list.windows(2).find_map(|w| match w {
            [a, b] if a.id == b.id => Some(a.id),
            _ => None,
        }) {
            Some(twice) => Err(twice),
            None => Ok(Self { sorted: list }),
        }
    }
}

impl Sensors for SensorTable<'_> {
    fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
        let s = self.get(id)?;
        Some(Sensor { id, name: Cow::Borrowed(&s.name), unit: Cow::Borrowed(&s.unit) })
    }
}

impl<'s, 'a> IntoIterator for &'s SensorTable<'a> {
    type Item = &'s Sensor<'a>;
    type IntoIter = std::slice::Iter<'s, Sensor<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_keeps_order_and_returns_what_it_replaced() {
        let mut t = SensorTable::new();
        assert_eq!(t.insert(7, "b", ""), None);
        assert_eq!(t.insert(1, "a", "Cel"), None);
        assert_eq!(t.insert(7, "c", "K").map(|s| s.name.into_owned()), Some("b".to_owned()));
        assert_eq!(t.iter().map(|s| s.id).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(t.get(7).map(|s| s.unit.as_ref()), Some("K"));
        assert!(t.get(2).is_none());
    }

    #[test]
    fn a_number_given_twice_is_refused() {
        let s = |id| Sensor { id, name: "x".into(), unit: "".into() };
        assert_eq!(SensorTable::from_unsorted(vec![s(3), s(1), s(3)]), Err(3));
        assert_eq!(SensorTable::from_unsorted(vec![s(3), s(1)]).map(|t| t.len()), Ok(2));
    }
}
