//! Payload with its metrics, as it was sent.

#![deny(clippy::indexing_slicing)]

use super::metric::Metric;
use super::tag;
use crate::protobuf::fields::{Fields, content, malformed};
use crate::{DecodeError, Limits};

/// Payload that borrows from the input. It costs no allocation.
///
/// ```
/// use edge_codec::sparkplug::{self, MetricValue, Payload};
/// use edge_codec::{Limits, Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut births = sparkplug::Encoder::new(&sensors).birth();
/// births.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
///
/// let bytes = births.finish_under(1_000)?;
/// let payload = Payload::read(&bytes, &Limits::default())?;
/// let metric = payload.metrics().next().transpose()?.ok_or("no metric")?;
/// assert_eq!((metric.name, metric.alias, metric.value), (Some("line2/temp"), Some(7), MetricValue::Double(53.6)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Payload<'a> {
    /// Time of sending in milliseconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Number of the payload within its node's session, 0 to 255. The caller has to look for holes.
    pub seq: Option<u64>,
    /// Name of the format of the body.
    pub uuid: Option<&'a str>,
    /// Bytes in a format that the sender chose.
    pub body: Option<&'a [u8]>,
    metrics: Metrics<'a>,
}

impl<'a> Payload<'a> {
    /// Reads a payload's outer level. Its metrics are read one by one when [`metrics`](Self::metrics) is iterated.
    ///
    /// # Errors
    /// Any [`DecodeError`] for input that the limits or the schema do not allow on the outer level.
    pub fn read(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        crate::check_input(input, limits)?;
        let mut metrics = Metrics { fields: Fields::new(input), limits: *limits, left: 0 };
        let mut payload =
            Self { timestamp: None, seq: None, uuid: None, body: None, metrics: metrics.clone() };
        let mut fields = Fields::new(input);
        while let Some(field) = fields.next()? {
            match field.number {
                tag::TIMESTAMP => payload.timestamp = Some(field.number()?),
                tag::SEQ => payload.seq = Some(field.number()?),
                tag::UUID => payload.uuid = Some(field.text(limits)?),
                tag::BODY => payload.body = Some(content(&field, "body")?),
                tag::METRICS => {
                    content(&field, "metrics")?;
                    metrics.left = metrics.left.saturating_add(1);
                    let (limit, offset) = (limits.readings, field.offset);
                    if metrics.left > limit {
                        let found = metrics.left as u64;
                        return Err(DecodeError::Limit { what: "readings", offset, limit, found });
                    }
                }
                _ => {}
            }
        }
        payload.metrics = metrics;
        Ok(payload)
    }

    /// Iterates over the metrics in the order of the payload.
    #[must_use]
    pub fn metrics(&self) -> Metrics<'a> {
        self.metrics.clone()
    }
}

/// Iterator that reads metrics one by one. An `Err` ends it.
#[derive(Clone, Debug)]
pub struct Metrics<'a> {
    fields: Fields<'a>,
    limits: Limits,
    left: usize,
}

impl<'a> Metrics<'a> {
    fn metric(&mut self) -> Result<Metric<'a>, DecodeError> {
        while let Some(field) = self.fields.next()? {
            if field.number == tag::METRICS {
                return Metric::read(field.offset, content(&field, "metrics")?, &self.limits);
            }
        }
        Err(malformed(0, "metrics are gone"))
    }
}

impl<'a> Iterator for Metrics<'a> {
    type Item = Result<Metric<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let metric = self.metric();
        if metric.is_err() {
            self.left = 0;
        }
        Some(metric)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Metrics<'_> {}
