//! Decoder of a route's payloads, in the format that its `input` names.

use std::borrow::Cow;

use edge_codec::influx::{self, Precision};
use edge_codec::json::{self, FieldMap};
use edge_codec::sparkplug::is_session_metric;
use edge_codec::{Batch, DecodeError, Limits, Record, Source, plain_value, senml};

use crate::config::Input;

use super::sparkplug::{BirthRequest, Births};

/// Largest payload in bytes, the same as the largest packet of the listener.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Most readings in one message; each becomes a row.
const READINGS_MAX: usize = 10_000;
/// Most fields of one object or line; a device with some hundred registers publishes them together. Each is compared with all before it.
const FIELDS_MAX: usize = 1_000;
/// Longest text value in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Format of the payloads, and its limits.
#[derive(Debug)]
pub(super) struct Decoder {
    form: Form,
    limits: Limits,
}

#[derive(Debug)]
enum Form {
    Json(Box<FieldMap>),
    Number,
    Lines(Precision),
    Senml,
    Sparkplug(Box<Births>),
}

impl Decoder {
    pub(super) fn new(input: &Input) -> Self {
        let form = match input {
            Input::Json(fields) => Form::Json(Box::new(fields.clone().into())),
            Input::Number => Form::Number,
            Input::Lines(precision) => Form::Lines(*precision),
            Input::Senml => Form::Senml,
            Input::Sparkplug(births_max) => Form::Sparkplug(Box::new(Births::new(*births_max))),
        };
        let limits = Limits::default().bytes(PAYLOAD_BYTES_MAX).readings(READINGS_MAX).fields(FIELDS_MAX);
        let limits = limits.text_bytes(TEXT_BYTES_MAX);
        Self { form, limits }
    }

    /// Takes the request of a birth that the last payload has given rise to.
    pub(super) fn take_birth_request(&mut self) -> Option<BirthRequest> {
        match &mut self.form {
            Form::Sparkplug(births) => births.take_request(),
            _ => None,
        }
    }

    /// Takes over what the decoder of a route with the same topics and input has learned.
    pub(super) fn take_over(&mut self, old: &mut Self) {
        if let (Form::Sparkplug(births), Form::Sparkplug(old)) = (&mut self.form, &mut old.form) {
            std::mem::swap(births, old);
        }
    }

    /// Decodes a payload as a whole.
    pub(super) fn decode<'a>(
        &'a mut self,
        payload: &'a [u8],
        source: &Source<'a>,
    ) -> Result<Records<'a>, DecodeError> {
        let limits = &self.limits;
        Ok(match &mut self.form {
            Form::Json(map) => Records::List(json::import(payload, map, source, limits)?),
            Form::Number => Records::List(vec![plain_value::import(payload, source, limits)?]),
            Form::Lines(precision) => Records::List(influx::import(payload, *precision, source, limits)?),
            Form::Senml => {
                let decode = if is_json(payload) { senml::json::decode_at } else { senml::cbor::decode_at };
                Records::Batch(Box::new(decode(payload, source.arrival_ms, limits)?))
            }
            Form::Sparkplug(births) => births.decode(payload, source, limits)?,
        })
    }
}

/// Returns whether the payload is JSON: it begins with a bracket or brace, with which no CBOR array begins.
fn is_json(payload: &[u8]) -> bool {
    matches!(payload.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'[' | b'{'))
}

/// Readings of a payload.
pub(super) enum Records<'a> {
    List(Vec<Record<'a>>),
    /// Readings of a SenML pack, which stores each name once however many readings it has.
    Batch(Box<Batch<'a>>),
    /// Readings of a node or device, whose name stands before those of its metrics.
    Named(String, Box<Batch<'a>>),
}

impl<'a> Records<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(records) => records.len(),
            Self::Batch(batch) | Self::Named(_, batch) => batch.len(),
        }
    }

    /// Returns the number of metrics that have no place among readings.
    pub(super) fn skipped(&self) -> usize {
        match self {
            Self::List(_) => 0,
            Self::Batch(batch) | Self::Named(_, batch) => batch.skipped(),
        }
    }

    /// Calls `is_right` with the length of each name, and with each unit.
    pub(super) fn check(
        &self,
        is_right: impl Fn(usize, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::List(records) => records.iter().try_for_each(|record| {
                let field_bytes = if record.field.is_empty() { 0 } else { 1 + record.field.len() };
                // A field alone is no name.
                let name_bytes = if record.sensor.is_empty() { 0 } else { record.sensor.len() + field_bytes };
                is_right(name_bytes, &record.unit)
            }),
            Self::Batch(batch) => {
                batch.sensors().iter().try_for_each(|sensor| is_right(sensor.name.len(), &sensor.unit))
            }
            Self::Named(sender, batch) => batch.sensors().iter().try_for_each(|sensor| {
                // A sender alone is no name.
                let name_bytes =
                    if sensor.name.is_empty() { 0 } else { sender.len() + 1 + sensor.name.len() };
                is_right(name_bytes, &sensor.unit)
            }),
        }
    }

    /// Passes the readings to `take`, each under its whole name.
    pub(super) fn for_each(self, mut take: impl FnMut(Record<'_>)) {
        match self {
            Self::List(records) => {
                for mut record in records {
                    // Of a message with several values each is a sensor of its own.
                    if !record.field.is_empty() {
                        record.sensor = Cow::Owned(record.name().into_owned());
                    }
                    take(record);
                }
            }
            Self::Batch(batch) => each_of(
                *batch,
                |name| Some(Cow::Borrowed(name)),
                // Of a pack nobody knows whether a 0 stands there.
                |quality| quality != 0,
                &mut take,
            ),
            Self::Named(sender, batch) => each_of(
                *batch,
                |name| (!is_session_metric(name)).then(|| Cow::Owned(format!("{sender}/{name}"))),
                // A quality of Sparkplug was read by its own scheme.
                |_| false,
                &mut take,
            ),
        }
    }
}

/// Passes the readings of a batch to `take`, under the names that `named` makes of the sensors'; `None` leaves a sensor out.
fn each_of(
    batch: Batch<'_>,
    named: impl Fn(&str) -> Option<Cow<'_, str>>,
    is_numeric: impl Fn(u32) -> bool,
    mut take: impl FnMut(Record<'_>),
) {
    let sensors = batch.sensors().clone();
    // A payload was read as a whole: no reading of it is wrong now.
    for reading in batch.filter_map(Result::ok) {
        let Some(sensor) = sensors.get(reading.sensor) else { continue };
        let Some(name) = named(&sensor.name) else { continue };
        take(Record {
            sensor: name,
            field: Cow::Borrowed(""),
            unit: Cow::Borrowed(&sensor.unit),
            time: reading.time,
            arrival_time: false,
            value: reading.value,
            quality: reading.quality,
            numeric_quality: is_numeric(reading.quality),
        });
    }
}
