//! Limit of sensors with long texts. A filter's stages keep the last text of every sensor, so only a few sensors may have long ones. Those of
//! further sensors pass unfiltered, so that a flood of long texts costs bandwidth but neither data nor memory.

use std::collections::HashSet;

use edge_codec::Value;
use edge_filter::Pipeline;

/// Longest text in bytes that any sensor may have.
const SHORT_BYTES_MAX: usize = 128;
/// Most sensors that may have longer texts.
const SENSORS_MAX: usize = 32;

/// Numbers of the sensors that may have long texts. See the [module](self).
#[derive(Debug, Default)]
pub(super) struct LongTexts(HashSet<u32>);

impl LongTexts {
    /// Returns whether the filter may process this value of the sensor.
    pub(super) fn admit(&mut self, pipeline: &Pipeline, sensor: u32, value: &Value<'_>) -> bool {
        let bytes = if let Value::Text(text) = value { text.len() } else { 0 };
        if bytes <= SHORT_BYTES_MAX || sensor == Pipeline::UNFILTERED || self.0.contains(&sensor) {
            return true;
        }
        if self.0.len() >= SENSORS_MAX {
            // Numbers of sensors that the filter forgot.
            self.0.retain(|sensor| pipeline.name(*sensor).is_some());
        }
        self.0.len() < SENSORS_MAX && self.0.insert(sensor)
    }
}
