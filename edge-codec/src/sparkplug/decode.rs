//! Decodes Sparkplug payloads into readings.

#![deny(clippy::indexing_slicing)]

use super::birth::{Birth, number};
use super::metric::Metric;
use super::payload::Payload;
use super::quality;
use crate::batch::Rows;
use crate::protobuf::fields::malformed;
use crate::{Batch, DecodeError, Header, Limits, Reading, Sensor, SensorTable};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Decodes a payload; names, text and bytes borrow from `input`. Sensors have their alias as number; those without one
/// get the free numbers from 0 on in the order of first appearance.
///
/// # Errors
/// Everything in [`DecodeError`] that the [`limits`](Limits) and the schema refuse, also a metric without a time in a
/// payload without one. Protobuf has no end mark, so an input cut between two fields is a shorter payload.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    payload(input, None, limits)
}

/// As [`decode`]; metrics without a time, in a payload without one, take `arrival_ms` (ms since the Unix epoch).
///
/// # Errors
/// As [`decode`].
pub fn decode_at<'a>(input: &'a [u8], arrival_ms: i64, limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    payload(input, Some(arrival_ms), limits)
}

pub(crate) fn payload<'a>(
    input: &'a [u8],
    arrival_ms: Option<i64>,
    limits: &Limits,
) -> Result<Batch<'a>, DecodeError> {
    read(input, arrival_ms, None, limits)
}

pub(super) fn read<'a>(
    input: &'a [u8],
    arrival_ms: Option<i64>,
    birth: Option<&'a Birth>,
    limits: &Limits,
) -> Result<Batch<'a>, DecodeError> {
    let payload = Payload::read(input, limits)?;
    let mut numbers = Numbers::of(&payload, birth, limits.sensors)?;
    let mut readings = Vec::with_capacity(payload.metrics().len());
    let mut skipped = 0_usize;
    for metric in payload.metrics() {
        let metric = metric?;
        let alias = metric.alias.map(|alias| number(metric.offset, alias)).transpose()?;
        let datatype = alias.and_then(|alias| birth?.datatype(alias));
        // One metric that has no place in the model, or that could be read in two ways, does not take the others with it.
        let value = metric.value(datatype).ok().flatten();
        let (Some(value), Some(time)) = (value, time(&metric, payload.timestamp, arrival_ms)?) else {
            if let (None, Some(alias), Some(birth)) = (metric.name, alias, birth) {
                // Of a sensor that was not born, which a new birth would mend.
                born(metric.offset, birth, alias)?;
            }
            skipped = skipped.saturating_add(1);
            continue;
        };
        readings.push(Reading {
            sensor: numbers.sensor(&metric, alias)?,
            time,
            value,
            quality: metric.quality.map_or(0, quality::from_property),
        });
    }
    let (left, rows) = (readings.len(), Rows::Ready(readings.into_iter()));
    Ok(Batch { header: Header::default(), sensors: numbers.table()?.into(), left, seqs: None, skipped, rows })
}

/// The time of a metric; `None` if it is beyond what the model has.
fn time(
    metric: &Metric<'_>,
    payload: Option<u64>,
    arrival_ms: Option<i64>,
) -> Result<Option<i64>, DecodeError> {
    let offset = metric.offset;
    match metric.timestamp.or(payload) {
        Some(ms) => Ok(ms.try_into().ok()),
        None => arrival_ms.map(Some).ok_or(DecodeError::Missing { offset, field: "timestamp".into() }),
    }
}

/// Numbers of the metrics' sensors.
pub(super) struct Numbers<'a> {
    birth: Option<&'a Birth>,
    limit: usize,
    /// Aliases of the payload, sorted: not free for others.
    aliases: Vec<u32>,
    by_name: HashMap<&'a str, u32>,
    next: u32,
    sensors: HashMap<u32, Sensor<'a>>,
}

impl<'a> Numbers<'a> {
    pub(super) fn of(
        payload: &Payload<'a>,
        birth: Option<&'a Birth>,
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

    /// A number that is no alias.
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

fn born<'a>(offset: usize, birth: &'a Birth, alias: u32) -> Result<Sensor<'a>, DecodeError> {
    use crate::Sensors;
    birth.sensors().sensor(alias).ok_or(DecodeError::UnknownSensor { offset, sensor: alias })
}

/// A later metric of the same sensor may leave name and unit out, and may not change them.
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
