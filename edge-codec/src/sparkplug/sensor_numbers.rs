//! Numbers of a payload's sensors: the alias, or a free number for a sensor without one or with one of more than 32 bits.

#![deny(clippy::indexing_slicing)]

use super::birth::Birth;
use super::metric::Metric;
use super::payload::Payload;
use crate::protobuf::fields::malformed;
use crate::{DecodeError, Sensor, SensorTable};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Assignment of numbers to the sensors of a payload's metrics.
pub(super) struct SensorNumbers<'a> {
    /// `None` for a payload that is read alone.
    birth: Option<&'a Birth>,
    limit: usize,
    /// Aliases of the payload that could be numbers, sorted. Other sensors must not get them.
    aliases: Vec<u32>,
    by_name: HashMap<&'a str, u32>,
    /// Numbers of the sensors whose alias is none.
    by_alias: HashMap<u64, u32>,
    next: u32,
    sensors: HashMap<u32, Sensor<'a>>,
    /// Metrics with an alias, and others with a name.
    aliased: usize,
    named: usize,
}

impl<'a> SensorNumbers<'a> {
    pub(super) fn new(
        payload: &Payload<'a>,
        birth: Option<&'a Birth>,
        limit: usize,
    ) -> Result<Self, DecodeError> {
        let (mut aliased, mut named) = (0_usize, 0_usize);
        let mut aliases = Vec::with_capacity(payload.metrics().len());
        for metric in payload.metrics() {
            let metric = metric?;
            aliases.extend(metric.alias.and_then(|alias| u32::try_from(alias).ok()));
            let count = if metric.alias.is_some() { &mut aliased } else { &mut named };
            *count = count.saturating_add((metric.alias.is_some() || metric.name.is_some()).into());
        }
        aliases.sort_unstable();
        aliases.dedup();
        let (by_name, by_alias, sensors) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Self { birth, limit, aliases, by_name, by_alias, next: 0, sensors, aliased, named })
    }

    /// Reserves room for a sensor per metric, as a birth has them.
    pub(super) fn reserve(&mut self) {
        self.by_name.reserve(self.named.min(self.limit));
        self.sensors.reserve(self.aliased.saturating_add(self.named).min(self.limit));
    }

    /// Returns the number that a metric's sensor has already: in this payload, by the birth, or as its alias.
    pub(super) fn known(&self, metric: &Metric<'a>) -> Option<u32> {
        let Some(alias) = metric.alias else {
            let name = metric.name.unwrap_or("");
            return self.by_name.get(name).copied().or_else(|| self.birth?.by_name(metric.name?));
        };
        let known = self.by_alias.get(&alias).copied().or_else(|| self.birth?.by_alias(alias));
        known.or_else(|| alias.try_into().ok().filter(|id| !self.is_born(*id)))
    }

    /// Returns the number of a metric's sensor, which gets one if it has none.
    pub(super) fn sensor(&mut self, metric: &Metric<'a>) -> Result<u32, DecodeError> {
        let id = match self.known(metric) {
            Some(id) => id,
            None => self.free(metric.offset)?,
        };
        match metric.alias {
            None => drop(self.by_name.insert(metric.name.unwrap_or(""), id)),
            Some(alias) if alias != u64::from(id) => drop(self.by_alias.insert(alias, id)),
            Some(_) => {}
        }
        let full = self.sensors.len() >= self.limit;
        match self.sensors.entry(id) {
            Entry::Occupied(mut known) => merge(known.get_mut(), metric)?,
            Entry::Vacant(_) if full => {
                let (limit, found) = (self.limit, self.limit as u64 + 1);
                return Err(DecodeError::Limit { what: "sensors", offset: metric.offset, limit, found });
            }
            Entry::Vacant(entry) => {
                entry.insert(first(self.birth, metric, id)?);
            }
        }
        Ok(id)
    }

    fn is_born(&self, id: u32) -> bool {
        self.birth.is_some_and(|birth| birth.sensors().get(id).is_some())
    }

    /// Returns the next number that is neither an alias of the payload nor a sensor's in the birth.
    fn free(&mut self, offset: usize) -> Result<u32, DecodeError> {
        while self.aliases.binary_search(&self.next).is_ok() || self.is_born(self.next) {
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

/// Returns a sensor by its first metric in a payload. The birth's name and unit hold unless the metric has its own.
fn first<'a>(birth: Option<&'a Birth>, metric: &Metric<'a>, id: u32) -> Result<Sensor<'a>, DecodeError> {
    let mut known = None;
    if let Some(birth) = birth {
        born(birth, metric)?;
        known = birth.sensors().get(id).filter(|known| metric.name.is_none_or(|name| name == known.name));
    }
    let (name, unit): (&str, &str) =
        known.map_or((metric.name.unwrap_or(""), ""), |known| (&known.name, &known.unit));
    Ok(Sensor { id, name: Cow::Borrowed(name), unit: Cow::Borrowed(metric.unit.unwrap_or(unit)) })
}

/// Refuses a metric without a name whose alias the birth does not have, since a new birth would mend that.
pub(super) fn born(birth: &Birth, metric: &Metric<'_>) -> Result<(), DecodeError> {
    match metric.alias.filter(|alias| metric.name.is_none() && birth.by_alias(*alias).is_none()) {
        None => Ok(()),
        Some(alias) => {
            let sensor = alias.try_into().unwrap_or(u32::MAX);
            Err(DecodeError::UnknownSensor { offset: metric.offset, sensor })
        }
    }
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
