//! A reading on its way in: what a sensor sent, before the application has given it a number.

use crate::{Reading, Value};
use std::borrow::Cow;

/// A reading whose sensor is still a name. Text borrows from the payload unless it has escapes. Exhaustive.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// The sensor's name: the payload's, else [`Source::sensor`].
    pub sensor: Cow<'a, str>,
    /// Key of the value in a payload that has several: of JSON with [`FieldMap::each`](crate::json::FieldMap::each), or of a
    /// line with several fields; else empty.
    pub field: Cow<'a, str>,
    /// The unit as it was sent; empty = none.
    pub unit: Cow<'a, str>,
    /// Source time, or arrival time if the payload has none; ms since the Unix epoch.
    pub time: i64,
    /// True if [`time`](Self::time) is the arrival time.
    pub arrival_time: bool,
    /// Value of the reading.
    pub value: Value<'a>,
    /// Quality as an OPC UA StatusCode.
    pub quality: u32,
}

impl<'a> Record<'a> {
    /// The name that tells this sensor from all others: `sensor`, or `sensor/field`.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        if self.field.is_empty() {
            Cow::Borrowed(&self.sensor)
        } else {
            Cow::Owned(format!("{}/{}", self.sensor, self.field))
        }
    }

    /// The reading, under the number the application has given to the name.
    #[must_use]
    pub fn into_reading(self, sensor: u32) -> Reading<'a> {
        Reading { sensor, time: self.time, value: self.value, quality: self.quality }
    }
}

/// Knowledge about a payload from outside of it. Exhaustive.
///
/// ```
/// use edge_codec::Source;
///
/// let source = Source { sensor: Some("plant/oven3"), arrival_ms: 1_580_515_200_000 };
/// assert_eq!(source.sensor, Some("plant/oven3"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The sensor if the payload does not name one, usually the topic.
    pub sensor: Option<&'a str>,
    /// Arrival time of the payload, ms since the Unix epoch: the time of readings that have none.
    pub arrival_ms: i64,
}
