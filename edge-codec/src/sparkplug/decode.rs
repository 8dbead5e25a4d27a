//! Decoding of Sparkplug payloads into readings.

#![deny(clippy::indexing_slicing)]

use super::birth::Birth;
use super::metric::Metric;
use super::payload::Payload;
use super::quality;
use super::sensor_numbers::{SensorNumbers, born};
use crate::batch::Rows;
use crate::{Batch, DecodeError, Header, Limits, Reading};

/// Decodes a payload; names, text and bytes borrow from `input`. A sensor's number is its alias. Sensors without an alias, or with one of more
/// than 32 bits, get the free numbers from 0 on, in the order of first appearance.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the schema do not allow, also for a metric without a time in a payload without
/// one. Protobuf has no end mark, so an input cut between two fields is a shorter payload.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    payload(input, None, limits)
}

/// Decodes a payload, as [`decode`] does; metrics without a time, in a payload without one, take `arrival_ms` (ms
/// since the Unix epoch).
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

impl Birth {
    /// Reads a message of the same session, as [`decode`](super::decode) does, with names, units and datatypes of the birth, which knows a metric
    /// by its alias, or by its name if it has none.
    ///
    /// # Errors
    /// As [`decode`](super::decode), and [`DecodeError::UnknownSensor`] for an alias that the birth does not have, because the message then
    /// belongs to another birth.
    pub fn decode<'a>(&'a self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        read(input, None, Some(self), limits)
    }

    /// Reads a message, as [`decode`](Self::decode) does; metrics without a time, in a payload without one, take `arrival_ms` (ms since the
    /// Unix epoch).
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_at<'a>(
        &'a self,
        input: &'a [u8],
        arrival_ms: i64,
        limits: &Limits,
    ) -> Result<Batch<'a>, DecodeError> {
        read(input, Some(arrival_ms), Some(self), limits)
    }
}

fn read<'a>(
    input: &'a [u8],
    arrival_ms: Option<i64>,
    birth: Option<&'a Birth>,
    limits: &Limits,
) -> Result<Batch<'a>, DecodeError> {
    let payload = Payload::read(input, limits)?;
    let mut numbers = SensorNumbers::new(&payload, birth, limits.sensors)?;
    let mut readings = Vec::with_capacity(payload.metrics().len());
    // As of a compressed payload, whose metrics are all in there.
    let mut skipped = usize::from(payload.body.is_some());
    for metric in payload.metrics() {
        let metric = metric?;
        let datatype = birth.and_then(|birth| birth.datatype(numbers.known(&metric)?));
        // One metric that has no place in the model, or that could be read in two ways, does not take the others with it.
        let value = metric.value(datatype).ok().flatten();
        let (Some(value), Some(time)) = (value, time(&metric, payload.timestamp, arrival_ms)?) else {
            birth.map_or(Ok(()), |birth| born(birth, &metric))?;
            skipped = skipped.saturating_add(1);
            continue;
        };
        readings.push(Reading {
            sensor: numbers.sensor(&metric)?,
            time,
            value,
            quality: metric.quality.map_or(0, quality::from_property),
        });
    }
    let (left, rows) = (readings.len(), Rows::Ready(readings.into_iter()));
    Ok(Batch { header: Header::default(), sensors: numbers.table()?.into(), left, seqs: None, skipped, rows })
}

/// Returns the time of a metric in milliseconds; `None` if it is beyond an `i64`.
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
