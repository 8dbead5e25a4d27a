//! Sensors that a filter watches for silence, kept over a kill: those that the last process watched are expected to send again.

use edge_bridge::ingest::Now;
use edge_codec::Value;
use edge_filter::{EmitReason, Quality};

use crate::run::tap::Judgement;

use super::super::reading_row::ReadingRow;
use super::super::readings::{Taken, keep};
use super::super::silence::Changed;
use super::Filter;

impl Filter {
    /// Expects the sensors that the last process watched for silence. Each is reported as silent when its rule's time is over, counted from now,
    /// unless it sends a reading or a restored state has it.
    pub(in crate::run) fn await_sensors(&mut self, now: Now, sensors: Vec<(Box<str>, Box<str>)>) {
        for (name, unit) in sensors {
            let sensor = self.pipeline.intern(&name);
            let is_known = self.pipeline.is_watched(sensor) || self.pipeline.last_time(sensor).is_some();
            let silence_ms = self.pipeline.silence_ms(sensor).and_then(|ms| u64::try_from(ms).ok());
            if let Some(ms) = silence_ms.filter(|_| !is_known) {
                self.units.insert(sensor, unit);
                self.silence.await_sensor(sensor, now.up_ms.saturating_add(ms));
            }
        }
    }

    /// Returns names and units of the watched sensors, sorted, to be kept for the next process.
    pub(in crate::run) fn watched(&self) -> Vec<(Box<str>, Box<str>)> {
        let named = |sensor| {
            let unit = self.units.get(&sensor).cloned().unwrap_or_default();
            Some((self.pipeline.name(sensor)?.into(), unit))
        };
        let mut all: Vec<_> =
            self.pipeline.watched().chain(self.silence.awaited()).filter_map(named).collect();
        all.sort_unstable();
        all
    }

    pub(in crate::run) fn take_watch_changes(&mut self) -> Changed {
        self.silence.take_changed()
    }

    /// Reports a sensor of the last process that does not come back, with a null, because its last value was lost with that process.
    pub(super) fn report_absent(&mut self, sensor: u32, now_ms: i64, taken: &mut Taken) {
        let Some(name) = self.pipeline.name(sensor) else { return };
        let row = ReadingRow {
            sensor: name.into(),
            unit: self.units.get(&sensor).map_or("", |unit| unit).into(),
            time: now_ms,
            value: Value::Null,
            quality: Quality::BAD_NO_COMMUNICATION.0,
        };
        taken.trail.add(Judgement::passed(EmitReason::Stale.as_str()), &row);
        keep(&row, false, false, &mut taken.kept);
    }
}
