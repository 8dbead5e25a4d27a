//! Readings, the input of every stage.

use crate::{Quality, Value};

/// Reading of one sensor: a value at an instant, with its quality.
///
/// ```
/// use edge_filter::{Outcome, Pipeline, Quality, Reading, Value};
///
/// let mut pipeline = Pipeline::builder().build();
/// let sensor = pipeline.intern("line2/temp");
/// let reading = Reading { sensor, time: 1_580_515_200_000, value: Value::F64(53.6), quality: Quality::GOOD };
/// let now_ms = reading.time;
/// assert!(matches!(pipeline.process(reading, now_ms, &mut |_| ()), Outcome::Emit(_)));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "callers build it with a literal; a new field is a new major version"
)]
pub struct Reading<'a> {
    /// Number of the sensor, from [`Pipeline::intern`](crate::Pipeline::intern).
    pub sensor: u32,
    /// Event time (the source's clock), Unix milliseconds.
    pub time: i64,
    /// Value that was measured.
    pub value: Value<'a>,
    /// Quality of the reading, in the scheme for which the pipeline is configured; OPC UA by default.
    pub quality: Quality,
}
