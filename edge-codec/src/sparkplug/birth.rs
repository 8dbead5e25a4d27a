//! Birth of a node or device: names, units and datatypes of its sensors, by alias and by name.

#![deny(clippy::indexing_slicing)]

use crate::SensorTable;
use std::collections::HashMap;

/// Bytes of memory of a sensor beside its name and unit, and of a birth beside its sensors.
const SENSOR_BYTES: usize = 192;
const BIRTH_BYTES: usize = 1024;

/// Names, units and datatypes of a birth's metrics, by alias and by name. The caller keeps one
/// per node and device, and forgets it at its death.
///
/// ```
/// use edge_codec::sparkplug::{self, Birth};
/// use edge_codec::{Limits, Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "temp", "Cel");
/// let reading = |value| Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(value), quality: 0 };
/// let mut births = sparkplug::Encoder::new(&sensors).birth();
/// births.push(&reading(53.6))?;
/// let mut data = sparkplug::Encoder::new(&sensors).aliases();
/// data.push(&reading(53.8))?;
///
/// let birth = Birth::read(&births.finish_under(1_000)?, &Limits::default())?;
/// let message = data.finish_under(1_000)?; // has no names
/// let batch = birth.decode(&message, &Limits::default())?;
/// assert_eq!(batch.sensors().get(7).map(|s| s.name.as_ref()), Some("temp"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Birth {
    sensors: SensorTable<'static>,
    datatypes: HashMap<u32, u32>,
    /// Numbers of the sensors that have an alias, sorted by it.
    by_alias: Vec<(u64, u32)>,
    /// Numbers of all sensors, sorted by name.
    by_name: Vec<u32>,
}

impl Birth {
    /// Makes a birth of its sensors, with the datatypes by number, and the number of each alias.
    pub(super) fn new(
        sensors: SensorTable<'static>,
        datatypes: HashMap<u32, u32>,
        mut by_alias: Vec<(u64, u32)>,
    ) -> Self {
        by_alias.sort_unstable();
        by_alias.dedup();
        // A payload may have many metrics of one alias, and the birth counts for its sensors alone.
        by_alias.shrink_to_fit();
        let mut by_name: Vec<u32> = sensors.iter().map(|sensor| sensor.id).collect();
        by_name.sort_unstable_by_key(|id| sensors.get(*id).map(|sensor| &sensor.name));
        Self { sensors, datatypes, by_alias, by_name }
    }

    /// Returns names and units of the sensors, with the aliases as numbers. Sensors without an alias, or with one of more than 32 bits, have
    /// numbers that are no alias.
    #[must_use]
    pub fn sensors(&self) -> &SensorTable<'static> {
        &self.sensors
    }

    /// Returns the bytes of memory that the birth takes, rounded up.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts: usize = self.sensors.iter().map(|sensor| sensor.name.len() + sensor.unit.len()).sum();
        texts.saturating_add(self.sensors.len().saturating_mul(SENSOR_BYTES)).saturating_add(BIRTH_BYTES)
    }

    pub(super) fn datatype(&self, sensor: u32) -> Option<u32> {
        self.datatypes.get(&sensor).copied()
    }

    /// Returns the number of the sensor with this alias; `None` if the birth has none.
    pub(super) fn by_alias(&self, alias: u64) -> Option<u32> {
        let at = self.by_alias.binary_search_by_key(&alias, |(known, _)| *known).ok()?;
        self.by_alias.get(at).map(|(_, id)| *id)
    }

    /// Returns the number of the sensor of this name; `None` if the birth has none, or several.
    pub(super) fn by_name(&self, name: &str) -> Option<u32> {
        let of = |id: &u32| self.sensors.get(*id).map_or("", |sensor| &sensor.name);
        let first = self.by_name.partition_point(|id| of(id) < name);
        let mut named = self.by_name.get(first..)?.iter().take_while(|id| of(id) == name);
        named.next().copied().filter(|_| named.next().is_none())
    }
}
