//! From a sensor's payload to the readings that are kept: JSON in, through the route's filter.

use std::borrow::Cow;

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_codec::json::{self, FieldMap, Record, Source};
use edge_codec::{DecodeError, Limits, Value};
use edge_filter::{Pipeline, Quality, RestoreError, Stats};

use super::bulkhead::Bulkhead;
use super::filter::{Filter, FilterSnapshot};
use super::reading_row::ReadingRow;
use super::silence::Changed;
use super::withhold::{Extent, Link};

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
    /// It stands for a held reading whose message may have been received before.
    pub(crate) may_be_copy: bool,
}

/// Results of a message, or of time that passed.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// In order.
    pub(crate) kept: Vec<Kept>,
    /// Receipts that depend on it.
    pub(crate) link: Link,
    /// A reading of the message was left out, since it came before: that one may not be safe yet.
    pub(crate) has_copy: bool,
    /// The message holds no reading.
    pub(crate) is_of_none: bool,
}

/// Readings of one route.
#[derive(Debug)]
pub(crate) struct Readings {
    filter: Option<Filter>,
    map: FieldMap,
    limits: Limits,
}

impl Readings {
    /// `filter`: the route's rules; without them every reading is kept. `hold_max_ms`: how long receipts of what they hold
    /// wait, `None`: not at all. `map`: where the payload has what.
    pub(crate) fn new(filter: Option<Pipeline>, hold_max_ms: Option<u64>, map: FieldMap) -> Self {
        Self {
            filter: filter.map(|pipeline| Filter::new(pipeline, hold_max_ms)),
            map,
            limits: Limits::default()
                .bytes(PAYLOAD_BYTES_MAX)
                .readings(READINGS_MAX)
                .text_bytes(TEXT_BYTES_MAX),
        }
    }

    /// Puts a filter in the place of the present one. What its stages hold is acknowledged at once.
    pub(crate) fn set_filter(&mut self, pipeline: Pipeline, part: Bulkhead) {
        self.filter = Some(Filter::new(pipeline, None).with_own_stages(part));
    }

    /// Decodes a message and filters its readings; returns those that are to be stored. A payload that cannot be decoded changes no filter. `may_be_copy`: the message
    /// may have been received before, and rows that a filter makes of it later are marked so.
    pub(crate) fn take_in(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
        may_be_copy: bool,
    ) -> Result<Taken, DecodeError> {
        let source = Source { sensor: Some(topic), arrival_ms: now.wall_ms };
        let records = json::import(payload, &self.map, &source, &self.limits)?;
        if records.iter().any(|record| record.sensor.is_empty()) {
            return Err(DecodeError::Malformed { offset: 0, what: "the name of a sensor is empty".into() });
        }
        let is_of_none = records.is_empty();
        let kept = Vec::with_capacity(records.len());
        let mut taken = Taken { kept, is_of_none, ..Taken::default() };
        for mut record in records {
            // Of an object with several values each is a sensor of its own.
            if !record.field.is_empty() {
                record.sensor = Cow::Owned(record.name().into_owned());
            }
            match &mut self.filter {
                Some(filter) => filter.take_in(now, record, may_be_copy, &mut taken),
                None => {
                    let (time, quality) = (record.time, quality_of(&record));
                    keep_record(record, time, quality, &mut taken.kept);
                }
            }
        }
        if taken.has_copy && !taken.kept.is_empty() {
            taken.link.withhold();
        }
        Ok(taken)
    }

    /// Returns what became due: silent sensors, ended alarm delays, readings whose receipts waited long enough; or, if somebody
    /// stands still until receipts come, all that can go.
    pub(crate) fn tick(&mut self, now: Now, is_asked_for: bool) -> Taken {
        let mut taken = Taken::default();
        if let Some(filter) = &mut self.filter {
            filter.tick(now, is_asked_for, &mut taken);
        }
        taken
    }

    /// Returns what the filter's stages hold.
    pub(crate) fn flush(&mut self) -> Taken {
        let mut taken = Taken::default();
        if let Some(filter) = &mut self.filter {
            filter.flush(&mut taken);
        }
        taken
    }

    /// In how many ms [`tick`](Self::tick) has something to do.
    pub(crate) fn due_in_ms(&self, now: Now) -> Option<u64> {
        self.filter.as_ref()?.due_in_ms(now)
    }

    /// From now on no receipt waits for a stage; what waits is due.
    pub(crate) fn stop_holding(&mut self) {
        self.filter.iter_mut().for_each(Filter::stop_holding);
    }

    /// Returns how much waits for stages.
    pub(crate) fn withheld(&self) -> Extent {
        self.filter.as_ref().map(Filter::withheld).unwrap_or_default()
    }

    pub(crate) fn stats(&self) -> Option<Stats> {
        self.filter.as_ref().map(Filter::stats)
    }

    pub(crate) fn snapshot(&self) -> Option<FilterSnapshot> {
        self.filter.as_ref().and_then(Filter::snapshot)
    }

    pub(crate) fn restore(&mut self, now: Now, snapshot: FilterSnapshot) -> Result<(), RestoreError> {
        self.filter.as_mut().map_or(Ok(()), |filter| filter.restore(now, snapshot))
    }

    /// The hub may know alarms of an earlier run: the first reading of each that is not restored says that it is over, or
    /// raises it again.
    pub(crate) fn tell_first_alarms(&mut self) {
        self.filter.iter_mut().for_each(Filter::tell_first_alarms);
    }

    /// The last run watched these sensors, by name with unit, for silence.
    pub(crate) fn await_sensors(&mut self, now: Now, sensors: Vec<(Box<str>, Box<str>)>) {
        if let Some(filter) = &mut self.filter {
            filter.await_sensors(now, sensors);
        }
    }

    /// Names with units of the sensors whose silence the next run has to watch.
    pub(crate) fn watched(&self) -> Vec<(Box<str>, Box<str>)> {
        self.filter.as_ref().map(Filter::watched).unwrap_or_default()
    }

    /// Returns what changed of [`watched`](Self::watched) since this was last asked.
    pub(crate) fn take_watch_changes(&mut self) -> Changed {
        self.filter.as_mut().map(Filter::take_watch_changes).unwrap_or_default()
    }

    /// The filter, for what concerns its alarms alone.
    pub(crate) fn filter_mut(&mut self) -> Option<&mut Filter> {
        self.filter.as_mut()
    }

    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Whether the wall clock is known to be right: if not, no reading is judged to be ahead of it.
    pub(crate) fn trust_clock(&mut self, is_trusted: bool) {
        self.filter.iter_mut().for_each(|filter| filter.trust_clock(is_trusted));
    }
}

/// The sensor's quality; a null, which says "I have no value", is bad, as it is behind a filter.
fn quality_of(record: &Record<'_>) -> u32 {
    let quality = Quality(record.quality);
    let is_good_null = matches!(record.value, Value::Null) && !quality.is_bad();
    if is_good_null { Quality::BAD.0 } else { quality.0 }
}

pub(super) fn keep_record(record: Record<'_>, time: i64, quality: u32, kept: &mut Vec<Kept>) {
    let row = ReadingRow { sensor: record.sensor, unit: record.unit, time, value: record.value, quality };
    keep(&row, false, false, kept);
}

pub(super) fn keep(row: &ReadingRow<'_>, alarm: bool, may_be_copy: bool, kept: &mut Vec<Kept>) {
    match row.encode() {
        Some(row) => kept.push(Kept { row, alarm, may_be_copy }),
        // A topic has at most 65 535 bytes, everything else is below `TEXT_BYTES_MAX`; `/alarm/HIHI` may be too much.
        None => tracing::error!(bytes = row.sensor.len(), "a sensor's name is too long for a row"),
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
        Readings::new(Some(Pipeline::from_toml(RULES).unwrap()), None, FieldMap::default())
    }

    fn shown(taken: &Taken) -> Vec<String> {
        taken
            .kept
            .iter()
            .map(|kept| {
                let row = ReadingRow::decode(&kept.row).unwrap();
                let alarm = if kept.alarm { " !" } else { "" };
                format!("{} {:?} {} {} q{:x}{alarm}", row.sensor, row.value, row.unit, row.time, row.quality)
            })
            .collect()
    }

    #[test]
    fn without_a_filter_every_reading_is_kept_under_its_own_or_the_topics_name() {
        let mut readings = Readings::new(None, None, FieldMap::default());
        let payload = br#"[{"value":1,"ts":5,"unit":"Cel"},{"sensor":"b","value":null,"quality":"bad"}]"#;
        let kept = readings.take_in(at(1_000), "plant/a", payload, false).unwrap();
        assert_eq!(shown(&kept), ["plant/a I64(1) Cel 5 q0", "b Null  1000 q80000000"]);
    }

    #[test]
    fn a_null_is_bad_with_and_without_a_filter() {
        for mut readings in [Readings::new(None, None, FieldMap::default()), filtered()] {
            let mut take =
                |json: &str| shown(&readings.take_in(at(1), "line/x", json.as_bytes(), false).unwrap());
            assert_eq!(take(r#"{"value":null}"#), ["line/x Null  1 q80000000"]);
            assert_eq!(take(r#"{"value":null,"ts":2,"quality":2155085824}"#), ["line/x Null  2 q80740000"]);
        }
    }

    #[test]
    fn a_sensor_without_a_name_is_refused_with_its_message() {
        let mut readings = filtered();
        let payload = br#"[{"value":1.0},{"sensor":"","value":2.0}]"#;
        let refused = readings.take_in(at(0), "line/t", payload, false).unwrap_err();
        assert!(refused.to_string().contains("name of a sensor is empty"), "{refused}");
        assert_eq!(readings.stats().unwrap().input, 0);
    }

    #[test]
    fn readings_stand_where_the_map_says() {
        let map = FieldMap::default().value("/data/temp").time("at", edge_codec::json::TimeUnit::Seconds);
        let mut readings = Readings::new(None, None, map);
        let kept = readings
            .take_in(at(9), "plant/a", br#"{"at":7,"data":{"temp":97.4},"unit":"F"}"#, false)
            .unwrap();
        assert_eq!(shown(&kept), ["plant/a F64(97.4) F 7000 q0"]);
        let mut readings = Readings::new(None, None, FieldMap::default().each("/data"));
        let kept =
            readings.take_in(at(9), "plant/a", br#"{"data":{"temp":97.4,"rpm":1200}}"#, false).unwrap();
        assert_eq!(shown(&kept), ["plant/a/temp F64(97.4)  9 q0", "plant/a/rpm I64(1200)  9 q0"]);
    }

    #[test]
    fn the_deadband_suppresses_and_stale_adds_with_the_units_of_the_sensor() {
        let mut readings = filtered();
        let mut take = |ms, value: &str| {
            let payload = format!(r#"{{"value":{value},"unit":"Cel"}}"#);
            shown(&readings.take_in(at(ms), "line/t", payload.as_bytes(), false).unwrap())
        };
        assert_eq!(take(0, "20.0"), ["line/t F64(20.0) Cel 0 q0"]);
        assert!(take(1_000, "20.25").is_empty());
        assert_eq!(take(2_000, "20.75"), ["line/t F64(20.75) Cel 2000 q0"]);
        assert_eq!(readings.due_in_ms(at(2_000)), Some(30_000));
        assert_eq!(shown(&readings.tick(at(32_000), false)), ["line/t F64(20.75) Cel 2001 q40900000"]);
        assert!(readings.tick(at(40_000), false).kept.is_empty(), "once per silence");
    }

    #[test]
    fn a_held_reading_is_kept_before_the_one_that_releases_it_and_survives_a_clean_stop() {
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
        let readings = || Readings::new(Some(Pipeline::from_toml(rules).unwrap()), None, FieldMap::default());
        let take = |readings: &mut Readings, ms: i64, value: f64| {
            let payload = format!(r#"{{"value":{value:?},"unit":"Cel"}}"#);
            shown(&readings.take_in(at(ms), "line/t", payload.as_bytes(), false).unwrap())
        };
        let mut first = readings();
        assert_eq!(take(&mut first, 0, 0.0).len(), 1);
        assert!(take(&mut first, 1, 1.0).is_empty(), "held: acknowledged as a suppressed one is");
        let mut second = readings();
        second.restore(at(2), first.snapshot().unwrap()).unwrap();
        assert_eq!(take(&mut second, 2, 0.0), ["line/t F64(1.0) Cel 1 q0"], "the corner; 2 is held now");
        assert_eq!(second.stats().unwrap().held, 1);
    }

    #[test]
    fn a_sensor_that_was_forgotten_leaves_what_it_held_under_its_name_and_unit() {
        let rules = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]";
        let mut readings =
            Readings::new(Some(Pipeline::from_toml(rules).unwrap()), None, FieldMap::default());
        let mut take = |ms: i64, topic: &str| {
            shown(&readings.take_in(at(ms), topic, br#"{"value":1.5,"unit":"Cel"}"#, false).unwrap())
        };
        take(0, "a");
        assert!(take(1, "a").is_empty());
        assert_eq!(take(2, "b"), ["a F64(1.5) Cel 1 q0", "b F64(1.5) Cel 2 q0"]);
    }

    #[test]
    fn a_null_passes_once_and_what_ends_it_passes() {
        let mut readings = filtered();
        let mut take =
            |ms, json: &str| shown(&readings.take_in(at(ms), "line/x", json.as_bytes(), false).unwrap());
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
                &readings
                    .take_in(at(ms), "line/t", format!(r#"{{"value":{value:?}}}"#).as_bytes(), false)
                    .unwrap(),
            )
        };
        take(0, 89.8);
        assert_eq!(take(1, 90.1), ["line/t/alarm/HI Text(\"UNACK_ALM\")  1 q0 !"]);
    }

    /// The hub has an alarm of the killed run for raised.
    #[test]
    fn an_alarm_that_is_over_after_a_kill_is_told_once_and_not_before_it_is_known() {
        let rules =
            "[[alarm]]\nmatch = \"t\"\nhigh = { limit = 90.0, on_delay_ms = 100 }\nlow = { limit = 10.0 }\n";
        let cold = || {
            let pipeline = Pipeline::from_toml(rules).unwrap();
            let mut readings = Readings::new(Some(pipeline), None, FieldMap::default());
            readings.tell_first_alarms();
            readings
        };
        let take = |readings: &mut Readings, ms: i64, value: &str| {
            let payload = format!("{{\"value\":{value}}}");
            let mut all = shown(&readings.take_in(at(ms), "t", payload.as_bytes(), false).unwrap());
            all.remove(0);
            all
        };
        let mut after = cold();
        assert!(take(&mut after, 1, "null").is_empty(), "proves nothing");
        let told = ["t/alarm/HI Text(\"NORM\")  2 q0 !", "t/alarm/LO Text(\"NORM\")  2 q0 !"];
        assert_eq!(take(&mut after, 2, "50.0"), told);
        assert!(take(&mut after, 3, "50.0").is_empty(), "once");
        let mut restored = cold();
        restored.restore(at(4), after.snapshot().unwrap()).unwrap();
        assert!(take(&mut restored, 5, "50.0").is_empty(), "a clean stop keeps it");

        let mut raised = cold();
        assert!(take(&mut raised, 1, "95.0").is_empty(), "the delay decides");
        let told = ["t/alarm/HI Text(\"UNACK_ALM\")  101 q0 !", "t/alarm/LO Text(\"NORM\")  200 q0 !"];
        assert_eq!(take(&mut raised, 200, "95.0"), told);
    }

    #[test]
    fn an_undecodable_payload_moves_no_state() {
        let mut readings = filtered();
        let half = br#"[{"value":1.0},{"value":"#;
        assert!(readings.take_in(at(0), "line/t", half, false).is_err());
        assert_eq!(readings.stats().unwrap().input, 0);
        assert_eq!(readings.take_in(at(1), "line/t", br#"{"value":1.0}"#, false).unwrap().kept.len(), 1);
    }
}
