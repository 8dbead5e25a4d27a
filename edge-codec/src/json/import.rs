//! Import of a sensor's JSON payload as records.

#![deny(clippy::indexing_slicing)]

use super::FieldMap;
use super::map::Role;
use super::visit::{Draft, Parts, object};
use super::visitor_state::Guard;
use crate::{DecodeError, Limits, Record, Source};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads a sensor's payload: an object, or an array of objects.
///
/// It costs one allocation for the list and one per text with escapes; lists of readings and arrays on a pointer's way cost more.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the `map` do not allow; nothing is guessed.
pub fn import<'a>(
    payload: &'a [u8],
    map: &FieldMap,
    source: &Source<'a>,
    limits: &Limits,
) -> Result<Vec<Record<'a>>, DecodeError> {
    let defaults = Defaults { sensor: source.sensor, arrival_ms: Some(source.arrival_ms) };
    read(payload, map, limits, |guard, deserializer| Payload { guard, defaults }.deserialize(deserializer))
}

/// Runs `run` over the whole input, and gives its error an offset.
pub(crate) fn read<'de, 'm, T>(
    input: &'de [u8],
    map: &'m FieldMap,
    limits: &'m Limits,
    run: impl FnOnce(
        &mut Guard<'de, 'm>,
        &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
    ) -> Result<T, serde_json::Error>,
) -> Result<T, DecodeError> {
    crate::check_input(input, limits)?;
    let text = crate::input_text(input)?;
    let mut guard = Guard::new(map, limits);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = match run(&mut guard, &mut deserializer) {
        Ok(result) => result,
        Err(error) => return Err(guard.explain(text, &error)),
    };
    match deserializer.end() {
        Ok(()) => Ok(result),
        Err(error) => match guard.explain(text, &error) {
            DecodeError::Malformed { offset, .. } => {
                Err(DecodeError::Trailing { offset, found: text.len().saturating_sub(offset) })
            }
            other => Err(other),
        },
    }
}

/// Values for fields that a record lacks. `None`: the lack is an error.
#[derive(Clone, Copy)]
pub(crate) struct Defaults<'a> {
    pub(crate) sensor: Option<&'a str>,
    pub(crate) arrival_ms: Option<i64>,
}

/// Seed that reads an object or an array of objects.
struct Payload<'g, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
    defaults: Defaults<'de>,
}

impl<'de> DeserializeSeed<'de> for Payload<'_, 'de, '_> {
    type Value = Vec<Record<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Payload<'_, 'de, '_> {
    type Value = Vec<Record<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        ReadingArray { guard: self.guard, level: 1, defaults: self.defaults }.visit_seq(access)
    }
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        let item =
            ReadingObject { guard: self.guard, level: 1, defaults: self.defaults, records: &mut records };
        item.visit_map(access)?;
        Ok(records)
    }
}

/// Seed that reads an array of reading objects. `level`: its depth in the input.
pub(crate) struct ReadingArray<'g, 'de, 'm> {
    pub(crate) guard: &'g mut Guard<'de, 'm>,
    pub(crate) level: usize,
    pub(crate) defaults: Defaults<'de>,
}

impl<'de> DeserializeSeed<'de> for ReadingArray<'_, 'de, '_> {
    type Value = Vec<Record<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ReadingArray<'_, 'de, '_> {
    type Value = Vec<Record<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        self.guard.check_depth(self.level)?;
        let mut records = Vec::new();
        let level = self.level.saturating_add(1);
        let defaults = self.defaults;
        loop {
            let item = ReadingObject { guard: self.guard, level, defaults, records: &mut records };
            if access.next_element_seed(item)?.is_none() {
                return Ok(records);
            }
        }
    }
}

/// Seed that reads a reading's object. `level`: its depth in the input.
struct ReadingObject<'g, 'r, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
    level: usize,
    defaults: Defaults<'de>,
    records: &'r mut Vec<Record<'de>>,
}

impl<'de> DeserializeSeed<'de> for ReadingObject<'_, '_, 'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadingObject<'_, '_, 'de, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading's object")
    }
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        if !self.guard.map.has_each() {
            self.guard.count_reading()?;
        }
        let mut draft = Draft::default();
        object(self.guard, self.level, Some(&mut draft), access)?;
        complete(self.guard, draft, self.defaults, self.records)
    }
}

/// Most bytes of a text with escapes in an object with several readings. Each of them gets a copy, and these must not take more memory than the
/// object did.
const COPIED_BYTES_MAX: usize = 64;

fn complete<'de, E: de::Error>(
    guard: &mut Guard<'de, '_>,
    draft: Draft<'de>,
    defaults: Defaults<'de>,
    records: &mut Vec<Record<'de>>,
) -> Result<(), E> {
    let Draft { parts: mut own, each, entries } = draft;
    if own.value.is_none() && each.is_empty() && entries.is_none() {
        return Err(guard.missing(guard.map.name(Role::Value)));
    }
    let entries = entries.unwrap_or_default();
    let several = each.len().saturating_add(entries.len());
    for text in [&own.sensor, &own.unit].into_iter().flatten() {
        let copied = matches!(text, Cow::Owned(_)) && several > 0;
        if copied && text.len() > COPIED_BYTES_MAX {
            return Err(guard.limit("text bytes", COPIED_BYTES_MAX, text.len()));
        }
    }
    records.reserve(several.saturating_add(1));
    let value = own.value.take();
    for (field, value) in each {
        let parts = Parts { value: Some(value), ..Parts::default() };
        records.push(record(guard, field, parts, &own, defaults)?);
    }
    for entry in entries {
        records.push(record(guard, Cow::Borrowed(""), entry, &own, defaults)?);
    }
    if value.is_some() {
        if guard.map.has_each() {
            guard.count_reading()?;
        }
        let parts = Parts { value, ..own };
        records.push(record(guard, Cow::Borrowed(""), parts, &Parts::default(), defaults)?);
    }
    Ok(())
}

/// Makes the record of a reading. What it lacks is that of the object `around` it, then a default.
fn record<'de, E: de::Error>(
    guard: &mut Guard<'de, '_>,
    field: Cow<'de, str>,
    parts: Parts<'de>,
    around: &Parts<'de>,
    defaults: Defaults<'de>,
) -> Result<Record<'de>, E> {
    let sensor = parts.sensor.or_else(|| around.sensor.clone()).or(defaults.sensor.map(Cow::Borrowed));
    let Some(sensor) = sensor else {
        return Err(guard.missing(guard.map.name(Role::Sensor)));
    };
    let own_time = parts.time.or(around.time);
    let Some(time) = own_time.or(defaults.arrival_ms) else {
        return Err(guard.missing(guard.map.name(Role::Time)));
    };
    let Some(value) = parts.value else {
        return Err(guard.missing(guard.map.name(Role::Value)));
    };
    let unit = parts.unit.or_else(|| around.unit.clone()).unwrap_or_default();
    let (quality, numeric_quality) = parts.quality.or(around.quality).unwrap_or_default();
    let arrival_time = own_time.is_none();
    Ok(Record { sensor, field, unit, time, arrival_time, value, quality, numeric_quality })
}
