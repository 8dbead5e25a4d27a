//! From a sensor's payload to the readings that are kept: JSON in, the route's filter, names and units beside it.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_codec::json::{self, FieldMap, Record, Source};
use edge_codec::{DecodeError, Limits, Value};
use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, RestoreError, Snapshot, Stats};

use super::reading_row::ReadingRow;

/// The largest row of the queue: no message above it is taken in.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Readings in one message: each becomes a row.
const READINGS_MAX: usize = 10_000;
/// A name, a unit or a text value.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A reading that goes to the queue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// The [`ReadingRow`], encoded.
    pub(crate) row: Bytes,
    /// A change of an alarm's state: more urgent than what it was made of.
    pub(crate) alarm: bool,
}

/// Readings of one route.
#[derive(Debug)]
pub(crate) struct Readings {
    filter: Option<Filter>,
    map: FieldMap,
    limits: Limits,
}

#[derive(Debug)]
struct Filter {
    pipeline: Pipeline,
    /// Last unit by sensor number: what the filter emits by itself has one too.
    units: HashMap<u32, Box<str>>,
}

/// Units of forgotten sensors that are kept before they are looked through.
const UNITS_SPARE: usize = 1_000;

/// What the filter emitted by itself, free of it.
struct Made {
    sensor: u32,
    time: i64,
    value: Value<'static>,
    quality: u32,
}

impl Made {
    fn of(emit: &Emit<'_>) -> Self {
        let value = codec_value(&emit.value);
        Self { sensor: emit.sensor, time: emit.time, value, quality: emit.quality.0 }
    }
}

impl Readings {
    /// `filter`: the route's rules; without them every reading is kept. `map`: where the payload has what.
    pub(crate) fn new(filter: Option<Pipeline>, map: FieldMap) -> Self {
        Self {
            filter: filter.map(|pipeline| Filter { pipeline, units: HashMap::new() }),
            map,
            limits: Limits::default()
                .bytes(PAYLOAD_BYTES_MAX)
                .readings(READINGS_MAX)
                .text_bytes(TEXT_BYTES_MAX),
        }
    }

    /// What is kept of a message, in order. A payload that cannot be decoded moves no state.
    pub(crate) fn take_in(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
    ) -> Result<Vec<Kept>, DecodeError> {
        let source = Source { sensor: Some(topic), arrival_ms: now.wall_ms };
        let records = json::import(payload, &self.map, &source, &self.limits)?;
        let mut kept = Vec::with_capacity(records.len());
        for mut record in records {
            // Of an object with several values each is a sensor of its own.
            if !record.field.is_empty() {
                record.sensor = Cow::Owned(record.name().into_owned());
            }
            match &mut self.filter {
                Some(filter) => filter.take_in(now, record, &mut kept),
                None => {
                    let (time, quality) = (record.time, record.quality);
                    keep_record(record, time, quality, &mut kept);
                }
            }
        }
        Ok(kept)
    }

    /// What became due: silent sensors, ended alarm delays.
    pub(crate) fn tick(&mut self, now: Now) -> Vec<Kept> {
        let mut kept = Vec::new();
        if let Some(filter) = &mut self.filter {
            filter.tick(now, &mut kept);
        }
        kept
    }

    /// When [`tick`](Self::tick) has something to do, on the axis of `Now::wall_ms`.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        self.filter.as_ref().and_then(|filter| filter.pipeline.next_deadline())
    }

    pub(crate) fn stats(&self) -> Option<Stats> {
        self.filter.as_ref().map(|filter| filter.pipeline.stats())
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.filter.as_ref().map(|filter| filter.pipeline.snapshot())
    }

    pub(crate) fn restore(&mut self, snapshot: Snapshot) -> Result<(), RestoreError> {
        self.filter.as_mut().map_or(Ok(()), |filter| filter.pipeline.restore(snapshot))
    }
}

impl Filter {
    fn take_in(&mut self, now: Now, record: Record<'_>, kept: &mut Vec<Kept>) {
        // Bytes have no order and no distance: there is nothing to filter by.
        let Some(value) = filter_value(&record.value) else {
            let (time, quality) = (record.time, record.quality);
            keep_record(record, time, quality, kept);
            return;
        };
        let sensor = self.pipeline.intern(&record.sensor);
        self.note_unit(sensor, &record.unit);
        let reading = Reading { sensor, time: record.time, value, quality: Quality(record.quality) };
        let mut before = Vec::new();
        let outcome = self.pipeline.process(reading, now.wall_ms, &mut |emit| before.push(Made::of(&emit)));
        let own = match outcome {
            Outcome::Emit(emit) => Some((emit.time, emit.quality.0)),
            Outcome::Held | Outcome::Drop(_) => None,
        };
        before.into_iter().for_each(|made| self.keep_made(made, kept));
        if let Some((time, quality)) = own {
            keep_record(record, time, quality, kept);
        }
        self.keep_alarms(kept);
    }

    fn tick(&mut self, now: Now, kept: &mut Vec<Kept>) {
        let mut due = Vec::new();
        self.pipeline.tick(now.wall_ms, &mut |emit| due.push(Made::of(&emit)));
        due.into_iter().for_each(|made| self.keep_made(made, kept));
        self.keep_alarms(kept);
    }

    fn note_unit(&mut self, sensor: u32, unit: &str) {
        if sensor == Pipeline::UNFILTERED || self.units.get(&sensor).map_or("", |known| known) == unit {
            return;
        }
        // Sensors that the filter forgot have no unit either.
        if self.units.len() > 2 * self.pipeline.sensors() + UNITS_SPARE {
            let Filter { pipeline, units } = self;
            units.retain(|sensor, _| pipeline.name(*sensor).is_some());
        }
        self.units.insert(sensor, unit.into());
    }

    fn keep_made(&self, made: Made, kept: &mut Vec<Kept>) {
        let Some(name) = self.pipeline.name(made.sensor) else { return };
        let row = ReadingRow {
            sensor: name.into(),
            unit: self.units.get(&made.sensor).map_or("", |unit| unit).into(),
            time: made.time,
            value: made.value,
            quality: made.quality,
        };
        keep(&row, false, kept);
    }

    /// A change of an alarm is a reading of its own: sensor `NAME/alarm/HI`, the ISA-18.2 state as text.
    fn keep_alarms(&mut self, kept: &mut Vec<Kept>) {
        while let Some(event) = self.pipeline.poll_alarm() {
            let Some(name) = self.pipeline.name(event.sensor) else { continue };
            let transition = event.transition;
            let (level, from, to) =
                (transition.level.as_str(), transition.from.as_str(), transition.to.as_str());
            tracing::info!(sensor = name, level, from, to, value = transition.value, "alarm");
            let row = ReadingRow {
                sensor: format!("{name}/alarm/{level}").into(),
                unit: "".into(),
                time: transition.time,
                value: Value::Text(to.into()),
                quality: 0,
            };
            keep(&row, true, kept);
        }
    }
}

fn keep_record(record: Record<'_>, time: i64, quality: u32, kept: &mut Vec<Kept>) {
    let row = ReadingRow { sensor: record.sensor, unit: record.unit, time, value: record.value, quality };
    keep(&row, false, kept);
}

fn keep(row: &ReadingRow<'_>, alarm: bool, kept: &mut Vec<Kept>) {
    match row.encode() {
        Some(row) => kept.push(Kept { row, alarm }),
        // A topic has at most 65 535 bytes, everything else is below `TEXT_BYTES_MAX`; `/alarm/HIHI` may be too much.
        None => tracing::error!(bytes = row.sensor.len(), "a sensor's name is too long for a row"),
    }
}

/// Null, "I have no value", is what the filter calls NaN: bad, and the same as the null before.
fn filter_value<'a>(value: &Value<'a>) -> Option<edge_filter::Value<'a>> {
    Some(match value {
        Value::F64(v) => edge_filter::Value::F64(*v),
        Value::I64(v) => edge_filter::Value::I64(*v),
        Value::U64(v) => edge_filter::Value::U64(*v),
        Value::Bool(v) => edge_filter::Value::Bool(*v),
        Value::Text(v) => edge_filter::Value::Text(v.clone()),
        Value::Null => edge_filter::Value::F64(f64::NAN),
        Value::Bytes(_) => return None,
    })
}

/// JSON has no NaN, so a NaN that comes out is a null that went in.
fn codec_value(value: &edge_filter::Value<'_>) -> Value<'static> {
    match value.clone().into_owned() {
        edge_filter::Value::F64(v) if v.is_nan() => Value::Null,
        edge_filter::Value::F64(v) => Value::F64(v),
        edge_filter::Value::I64(v) => Value::I64(v),
        edge_filter::Value::U64(v) => Value::U64(v),
        edge_filter::Value::Bool(v) => Value::Bool(v),
        edge_filter::Value::Text(v) => Value::Text(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
[[rule]]
match = "line/#"
stages = [ { deadband = { absolute = 0.5 } }, { stale = { timeout_ms = 30000 } } ]

[[alarm]]
match = "line/t"
high = { limit = 90.0 }
"#;

    fn at(wall_ms: i64) -> Now {
        Now { up_ms: 0, wall_ms }
    }

    fn filtered() -> Readings {
        Readings::new(Some(Pipeline::from_toml(RULES).unwrap()), FieldMap::default())
    }

    fn shown(kept: &[Kept]) -> Vec<String> {
        kept.iter()
            .map(|kept| {
                let row = ReadingRow::decode(&kept.row).unwrap();
                let alarm = if kept.alarm { " !" } else { "" };
                format!("{} {:?} {} {} q{:x}{alarm}", row.sensor, row.value, row.unit, row.time, row.quality)
            })
            .collect()
    }

    #[test]
    fn without_a_filter_every_reading_is_kept_under_its_own_or_the_topics_name() {
        let mut readings = Readings::new(None, FieldMap::default());
        let payload = br#"[{"value":1,"ts":5,"unit":"Cel"},{"sensor":"b","value":null,"quality":"bad"}]"#;
        let kept = readings.take_in(at(1_000), "plant/a", payload).unwrap();
        assert_eq!(shown(&kept), ["plant/a I64(1) Cel 5 q0", "b Null  1000 q80000000"]);
    }

    #[test]
    fn readings_stand_where_the_map_says() {
        let map = FieldMap::default().value("/data/temp").time("at", edge_codec::json::TimeUnit::Seconds);
        let mut readings = Readings::new(None, map);
        let kept =
            readings.take_in(at(9), "plant/a", br#"{"at":7,"data":{"temp":97.4},"unit":"F"}"#).unwrap();
        assert_eq!(shown(&kept), ["plant/a F64(97.4) F 7000 q0"]);
        let mut readings = Readings::new(None, FieldMap::default().each("/data"));
        let kept = readings.take_in(at(9), "plant/a", br#"{"data":{"temp":97.4,"rpm":1200}}"#).unwrap();
        assert_eq!(shown(&kept), ["plant/a/temp F64(97.4)  9 q0", "plant/a/rpm I64(1200)  9 q0"]);
    }

    #[test]
    fn the_deadband_suppresses_and_stale_adds_with_the_units_of_the_sensor() {
        let mut readings = filtered();
        let mut take = |ms, value: &str| {
            let payload = format!(r#"{{"value":{value},"unit":"Cel"}}"#);
            shown(&readings.take_in(at(ms), "line/t", payload.as_bytes()).unwrap())
        };
        assert_eq!(take(0, "20.0"), ["line/t F64(20.0) Cel 0 q0"]);
        assert!(take(1_000, "20.25").is_empty());
        assert_eq!(take(2_000, "20.75"), ["line/t F64(20.75) Cel 2000 q0"]);
        assert_eq!(readings.next_deadline_ms(), Some(32_000));
        assert_eq!(shown(&readings.tick(at(32_000))), ["line/t F64(20.75) Cel 2001 q40900000"]);
        assert!(readings.tick(at(40_000)).is_empty(), "once per silence");
    }

    #[test]
    fn a_held_reading_is_kept_before_the_one_that_releases_it_and_survives_a_clean_stop() {
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
        let readings = || Readings::new(Some(Pipeline::from_toml(rules).unwrap()), FieldMap::default());
        let take = |readings: &mut Readings, ms: i64, value: f64| {
            let payload = format!(r#"{{"value":{value:?},"unit":"Cel"}}"#);
            shown(&readings.take_in(at(ms), "line/t", payload.as_bytes()).unwrap())
        };
        let mut first = readings();
        assert_eq!(take(&mut first, 0, 0.0).len(), 1);
        assert!(take(&mut first, 1, 1.0).is_empty(), "held: acknowledged as a suppressed one is");
        let mut second = readings();
        second.restore(first.snapshot().unwrap()).unwrap();
        assert_eq!(take(&mut second, 2, 0.0), ["line/t F64(1.0) Cel 1 q0"], "the corner; 2 is held now");
        assert_eq!(second.stats().unwrap().held, 1);
    }

    #[test]
    fn a_sensor_that_was_forgotten_leaves_what_it_held_under_its_name_and_unit() {
        let rules = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
        let mut readings = Readings::new(Some(Pipeline::from_toml(rules).unwrap()), FieldMap::default());
        let mut take = |ms: i64, topic: &str| {
            shown(&readings.take_in(at(ms), topic, br#"{"value":1.5,"unit":"Cel"}"#).unwrap())
        };
        take(0, "a");
        assert!(take(1, "a").is_empty());
        assert_eq!(take(2, "b"), ["a F64(1.5) Cel 1 q0", "b F64(1.5) Cel 2 q0"]);
    }

    #[test]
    fn a_null_passes_once_and_what_ends_it_passes() {
        let mut readings = filtered();
        let mut take = |ms, json: &str| shown(&readings.take_in(at(ms), "line/x", json.as_bytes()).unwrap());
        assert_eq!(take(0, r#"{"value":1.0}"#).len(), 1);
        assert_eq!(take(1, r#"{"value":null}"#), ["line/x Null  1 q80000000"]);
        assert!(take(2, r#"{"value":null}"#).is_empty());
        assert_eq!(take(3, r#"{"value":1.0}"#), ["line/x F64(1.0)  3 q0"]);
    }

    #[test]
    fn an_alarm_is_a_reading_of_its_own_also_when_the_value_is_suppressed() {
        let mut readings = filtered();
        let mut take = |ms, value: f64| {
            shown(
                &readings.take_in(at(ms), "line/t", format!(r#"{{"value":{value:?}}}"#).as_bytes()).unwrap(),
            )
        };
        take(0, 89.8);
        assert_eq!(take(1, 90.1), ["line/t/alarm/HI Text(\"UNACK_ALM\")  1 q0 !"]);
    }

    #[test]
    fn an_undecodable_payload_moves_no_state() {
        let mut readings = filtered();
        let half = br#"[{"value":1.0},{"value":"#;
        assert!(readings.take_in(at(0), "line/t", half).is_err());
        assert_eq!(readings.stats().unwrap().input, 0);
        assert_eq!(readings.take_in(at(1), "line/t", br#"{"value":1.0}"#).unwrap().len(), 1);
    }
}
