//! Numbers of a payload's sensors: the alias, or a free number for a sensor without one.

#![deny(clippy::indexing_slicing)]

use super::metric::Metric;
use super::payload::Payload;
use crate::protobuf::fields::malformed;
use crate::{DecodeError, Sensor, SensorTable, Sensors};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Assignment of numbers to the sensors of a payload's metrics.
pub(super) struct SensorNumbers<'a> {
    /// Names and units of the birth; `None` for a payload that is read alone.
    birth: Option<&'a SensorTable<'static>>,
    limit: usize,
    /// Aliases of the payload, sorted. Sensors without an alias must not get them.
    aliases: Vec<u32>,
    by_name: HashMap<&'a str, u32>,
    next: u32,
    sensors: HashMap<u32, Sensor<'a>>,
}

impl<'a> SensorNumbers<'a> {
    pub(super) fn new(
        payload: &Payload<'a>,
        birth: Option<&'a SensorTable<'static>>,
        limit: usize,
    ) -> Result<Self, DecodeError> {
        let mut aliases = Vec::with_capacity(payload.metrics().len());
        for metric in payload.metrics() {
            let metric = metric?;
            if let Some(alias) = metric.alias {
                aliases.push(number(metric.offset, alias)?);
            }
        }
        aliases.sort_unstable();
        aliases.dedup();
        let (by_name, sensors) = (HashMap::new(), HashMap::new());
        Ok(Self { birth, limit, aliases, by_name, next: 0, sensors })
    }

    pub(super) fn sensor(&mut self, metric: &Metric<'a>, alias: Option<u32>) -> Result<u32, DecodeError> {
        let name = metric.name.unwrap_or("");
        let known = alias.or_else(|| self.by_name.get(name).copied());
        let id = match known {
            Some(id) => id,
            None => self.free(metric.offset)?,
        };
        if alias.is_none() {
            self.by_name.insert(name, id);
        }
        let full = self.sensors.len() >= self.limit;
        match self.sensors.entry(id) {
            Entry::Occupied(mut known) => merge(known.get_mut(), metric)?,
            Entry::Vacant(_) if full => {
                let (limit, found) = (self.limit, self.limit as u64 + 1);
                return Err(DecodeError::Limit { what: "sensors", offset: metric.offset, limit, found });
            }
            Entry::Vacant(entry) => {
                let mut sensor = match (metric.name, alias, self.birth) {
                    (None, Some(alias), Some(birth)) => born(metric.offset, birth, alias)?,
                    _ => Sensor { id, name: Cow::Borrowed(name), unit: Cow::Borrowed("") },
                };
                if let Some(unit) = metric.unit {
                    sensor.unit = Cow::Borrowed(unit);
                }
                entry.insert(sensor);
            }
        }
        Ok(id)
    }

    /// Returns the next number that is no alias of the payload.
    fn free(&mut self, offset: usize) -> Result<u32, DecodeError> {
        while self.aliases.binary_search(&self.next).is_ok() {
            self.next = self.next.saturating_add(1);
        }
        let id = self.next;
        self.next = id.checked_add(1).ok_or_else(|| malformed(offset, "no number is free for a name"))?;
        Ok(id)
    }

    pub(super) fn table(self) -> Result<SensorTable<'a>, DecodeError> {
        SensorTable::from_unsorted(self.sensors.into_values().collect())
            .map_err(|twice| DecodeError::Duplicate { offset: 0, field: format!("sensor {twice}").into() })
    }
}

/// Returns the sensor that a birth gave this alias; an error if there is none.
pub(super) fn born<'a>(
    offset: usize,
    birth: &'a SensorTable<'static>,
    alias: u32,
) -> Result<Sensor<'a>, DecodeError> {
    birth.sensor(alias).ok_or(DecodeError::UnknownSensor { offset, sensor: alias })
}

/// Fills in name and unit of a known sensor from a later metric, which may leave them out but not change them.
fn merge<'a>(known: &mut Sensor<'a>, metric: &Metric<'a>) -> Result<(), DecodeError> {
    for (have, given) in [(&mut known.name, metric.name), (&mut known.unit, metric.unit)] {
        match given {
            Some(text) if have.is_empty() => *have = Cow::Borrowed(text),
            Some(text) if text != have => {
                let field = format!("alias {}", known.id).into();
                return Err(DecodeError::Duplicate { offset: metric.offset, field });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Converts an alias to a sensor's number; refuses one above 32 bits.
pub(super) fn number(offset: usize, alias: u64) -> Result<u32, DecodeError> {
    alias.try_into().map_err(|_| DecodeError::Unexpected {
        offset,
        field: "alias".into(),
        expected: "at most 4294967295",
        found: alias.to_string().into(),
    })
}
