//! Sample of readings from which tables learn encoding plans: the first readings of the first sensors of a topic.

use std::borrow::Cow;
use std::collections::HashMap;

use edge_codec::{Reading, Value};

/// Readings per sensor in a sample. `Table::learn` asks for some hundred readings of each sensor.
const READINGS_PER_SENSOR: u16 = 256;
/// Most sensors in a sample, because a learned sensor costs tens of KiB of memory. Further sensors have only their names in tables.
const SENSORS_MAX: u32 = 128;
/// Longest text in a sample, in bytes; longer texts predict nothing about later ones.
const TEXT_BYTES_MAX: usize = 64;
/// Number of readings from which the first table with plans is made. Each later one is made from [`GROWTH`] times as many.
const FIRST: usize = 256;
const GROWTH: usize = 4;
/// Memory of a place in the map of counts.
const COUNT_BYTES: usize = 10;

/// Readings to learn from, at most 32 768 (2 MiB). Texts are without their bytes, from which nothing is learned.
#[derive(Debug, Default)]
pub(super) struct Sample {
    readings: Vec<Reading<'static>>,
    counts: HashMap<u32, u16>,
    /// Number of readings from which the newest table has its plans.
    learned_from: usize,
}

impl Sample {
    /// Takes up a table of an earlier process, with plans for so many sensors. It does not say from how many readings they are: all that a sample
    /// holds of these sensors are assumed, because one more version after each restart would take the place of an old one at the hub.
    pub(super) fn take_up(&mut self, plans: usize) {
        self.learned_from = plans.saturating_mul(READINGS_PER_SENSOR.into());
    }

    pub(super) fn take(&mut self, reading: &Reading<'_>) {
        let long = match &reading.value {
            Value::Text(text) => text.len() > TEXT_BYTES_MAX,
            Value::Bytes(bytes) => bytes.len() > TEXT_BYTES_MAX,
            _ => false,
        };
        if reading.sensor >= SENSORS_MAX || long {
            return;
        }
        let count = self.counts.entry(reading.sensor).or_default();
        if *count < READINGS_PER_SENSOR {
            *count += 1;
            let value = match &reading.value {
                Value::Text(_) => Value::Text(Cow::Borrowed("")),
                Value::Bytes(_) => Value::Bytes(Cow::Borrowed(&[])),
                other => other.clone().into_owned(),
            };
            let Reading { sensor, time, quality, .. } = *reading;
            self.readings.push(Reading { sensor, time, value, quality });
        }
    }

    /// Forgets all readings. Returns `false` if there were none.
    pub(super) fn clear(&mut self) -> bool {
        let had = self.memory_bytes() > 0;
        (self.readings, self.counts) = (Vec::new(), HashMap::new());
        had
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.readings.capacity() * size_of::<Reading<'_>>() + self.counts.capacity() * COUNT_BYTES
    }

    /// Renumbers the sensors, by their old numbers. `None`: the sensor was forgotten, and its readings are removed.
    pub(super) fn renumber(&mut self, numbers: &[Option<u32>]) {
        let renumbered = |old: u32| numbers.get(old as usize).copied().flatten();
        self.readings.retain_mut(|reading| match renumbered(reading.sensor) {
            Some(number) => {
                reading.sensor = number;
                true
            }
            None => false,
        });
        let counts = std::mem::take(&mut self.counts);
        self.counts = counts.into_iter().filter_map(|(old, count)| Some((renumbered(old)?, count))).collect();
        self.learned_from = self.learned_from.min(self.readings.len());
    }

    /// Returns whether a table made now would have learned from far more readings than the last one.
    pub(super) fn is_riper(&self) -> bool {
        self.readings.len() >= FIRST.max(self.learned_from.saturating_mul(GROWTH))
    }

    /// Returns the readings for the next table; none while they are so few that plans made of them would be worse than no plans.
    pub(super) fn learn(&mut self) -> &[Reading<'static>] {
        if self.readings.len() < FIRST {
            // The next table has no plans, whatever the one before had.
            self.learned_from = 0;
            return &[];
        }
        self.learned_from = self.readings.len();
        &self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(sample: &mut Sample, sensor: u32, n: i64) {
        (0..n).for_each(|time| sample.take(&Reading { sensor, time, value: Value::I64(time), quality: 0 }));
    }

    #[test]
    fn it_is_bounded_per_sensor_and_in_sensors_and_ripens_by_fours() {
        let mut sample = Sample::default();
        fill(&mut sample, 0, 255);
        assert!(!sample.is_riper() && sample.learn().is_empty());
        fill(&mut sample, 0, 100);
        fill(&mut sample, SENSORS_MAX, 100);
        assert!(sample.is_riper());
        assert_eq!(sample.learn().len(), 256, "a fast sensor does not take the place of others");
        fill(&mut sample, 1, 256);
        fill(&mut sample, 2, 256);
        assert!(!sample.is_riper(), "{} of 1024", sample.readings.len());
        fill(&mut sample, 3, 256);
        assert!(sample.is_riper());
        // Sensor 1 is forgotten, and the others move up.
        let mut fewer = Sample::default();
        (0..3).for_each(|sensor| fill(&mut fewer, sensor, 300));
        fewer.renumber(&[Some(0), None, Some(1)]);
        fill(&mut fewer, 1, 300);
        fill(&mut fewer, 2, 1);
        let of = |sensor| fewer.readings.iter().filter(|reading| reading.sensor == sensor).count();
        assert_eq!([of(0), of(1), of(2)], [256, 256, 1]);
        // A restart: the table before has plans for the one sensor, and then another one makes a table with few readings.
        let mut later = Sample::default();
        later.take_up(1);
        fill(&mut later, 0, 256);
        assert!(!later.is_riper());
        fill(&mut later, 1, 256);
        fill(&mut later, 2, 256);
        assert!(!later.is_riper());
        fill(&mut later, 3, 256);
        assert!(later.is_riper(), "four times as many");
        let mut early = Sample::default();
        early.take_up(100);
        fill(&mut early, 0, 255);
        assert!(early.learn().is_empty() && !early.is_riper());
        fill(&mut early, 0, 1);
        assert!(early.is_riper(), "the newest table has no plans");
        let long = Value::Text("x".repeat(TEXT_BYTES_MAX + 1).into());
        sample.take(&Reading { sensor: 9, time: 0, value: long, quality: 0 });
        assert_eq!(sample.learn().len(), 1_024);
    }
}
