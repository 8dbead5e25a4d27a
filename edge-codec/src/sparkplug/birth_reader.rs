//! Birth certificates: names and types for later messages. The caller keeps them, as the [module](super) says.

#![deny(clippy::indexing_slicing)]

use super::payload::Payload;
use super::sensor_numbers::{SensorNumbers, number};
use crate::{DecodeError, Limits, SensorTable};
use std::collections::HashMap;

/// Names, units and datatypes of a birth's metrics, by alias. The caller keeps one
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
}

impl Birth {
    /// Reads an NBIRTH or DBIRTH. Its current values are readings too, which [`decode`](super::decode) returns.
    ///
    /// # Errors
    /// As [`decode`](super::decode). Metrics without an alias are skipped, because nothing could look them up.
    pub fn read(input: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let payload = Payload::read(input, limits)?;
        let mut numbers = SensorNumbers::new(&payload, None, limits.sensors)?;
        let mut datatypes = HashMap::new();
        for metric in payload.metrics() {
            let metric = metric?;
            let Some(alias) = metric.alias.map(|alias| number(metric.offset, alias)).transpose()? else {
                continue;
            };
            let id = numbers.sensor(&metric, Some(alias))?;
            if let Some(datatype) = metric.datatype {
                datatypes.entry(id).or_insert(datatype);
            }
        }
        Ok(Self { sensors: numbers.table()?.into_owned(), datatypes })
    }

    /// Returns names and units of the sensors, with the aliases as numbers.
    #[must_use]
    pub fn sensors(&self) -> &SensorTable<'static> {
        &self.sensors
    }

    pub(super) fn datatype(&self, alias: u32) -> Option<u32> {
        self.datatypes.get(&alias).copied()
    }
}
