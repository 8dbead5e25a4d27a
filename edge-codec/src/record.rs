//! Record: a decoded reading whose sensor is still a name, before the application assigns a number.

use crate::{Reading, Value};
use std::borrow::Cow;

/// Reading whose sensor is still a name. Text borrows from the payload unless it has escapes. Exhaustive, so that a literal can list all
/// fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Name of the sensor, from the payload or else from [`Source::sensor`].
    pub sensor: Cow<'a, str>,
    /// Key of the value in a payload that has several: JSON with [`FieldMap::each`], or a line of line protocol with several fields. Empty
    /// otherwise.
    ///
    #[cfg_attr(feature = "json", doc = "[`FieldMap::each`]: crate::json::FieldMap::each")]
    #[cfg_attr(not(feature = "json"), doc = "[`FieldMap::each`]: crate#features")]
    pub field: Cow<'a, str>,
    /// Unit as it was sent; empty if there is none.
    pub unit: Cow<'a, str>,
    /// Source time, or arrival time if the payload has none; milliseconds since the Unix epoch.
    pub time: i64,
    /// True if [`time`](Self::time) is the arrival time.
    pub arrival_time: bool,
    /// Value of the reading.
    pub value: Value<'a>,
    /// Quality as an OPC UA StatusCode, or in the scheme of its source if it has one of its own.
    pub quality: u32,
    /// True if the payload has the quality as a number, which may be one of another scheme. Otherwise the code is that of a word, or good where
    /// the payload has none.
    pub numeric_quality: bool,
}

impl<'a> Record<'a> {
    /// Returns the name that distinguishes this sensor from all others: `sensor`, or `sensor/field`.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        if self.field.is_empty() {
            Cow::Borrowed(&self.sensor)
        } else {
            Cow::Owned(format!("{}/{}", self.sensor, self.field))
        }
    }

    /// Returns the reading, under the number that the application has given to the name.
    #[must_use]
    pub fn into_reading(self, sensor: u32) -> Reading<'a> {
        Reading { sensor, time: self.time, value: self.value, quality: self.quality }
    }
}

/// Facts about a payload that the payload itself lacks. Exhaustive, so that a literal can list all fields.
///
/// ```
/// use edge_codec::Source;
///
/// let source = Source { sensor: Some("plant/oven3"), arrival_ms: 1_580_515_200_000 };
/// assert_eq!(source.sensor, Some("plant/oven3"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Name of the sensor if the payload has none, usually the topic.
    pub sensor: Option<&'a str>,
    /// Arrival time of the payload in milliseconds since the Unix epoch, which readings without a time get.
    pub arrival_ms: i64,
}
