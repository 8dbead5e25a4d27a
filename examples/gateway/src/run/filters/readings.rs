//! Readings of a sensor's payload: decodes it, and passes the readings through the route's filter.

mod payload;
mod sparkplug;

use bytes::Bytes;
use edge_bridge::ingest::Now;
use edge_codec::{DecodeError, Record, Source, Value};
use edge_filter::{Pipeline, Quality, RestoreError, Stats};

use crate::config::Input;
use crate::run::sensors::bulkhead::Bulkhead;
use crate::run::sensors::held_receipts::{Extent, Link};
use crate::run::tap::{Judgement, Taps, Trail};

use super::filter::{Filter, FilterSnapshot};
use super::reading_row::ReadingRow;
use super::silence::Changed;
use payload::Decoder;
pub(crate) use sparkplug::BirthRequest;

/// Longest name of a sensor and longest unit, in bytes: clients choose them, and filters and session tables keep those of thousands of sensors.
pub(crate) const NAME_BYTES_MAX: usize = Pipeline::NAME_BYTES_MAX;
pub(crate) const UNIT_BYTES_MAX: usize = 128;

/// Reading that is stored in the queue.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// The [`ReadingRow`], encoded.
    pub(crate) row: Bytes,
    /// Set for a change of an alarm's state, which goes into a more urgent lane than the readings that caused it.
    pub(crate) alarm: bool,
    /// Set if a filter stage held the reading, and its message may have been received before.
    pub(crate) may_be_copy: bool,
}

/// Outcome of decoding and filtering one message, or of a tick: the readings to store, the receipts that depend on them, and the filter's judgements for
/// taps.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Readings for the queue, in order.
    pub(crate) kept: Vec<Kept>,
    /// Receipts that depend on the rows of these readings.
    pub(crate) link: Link,
    /// Set if a reading of the message was left out as a repetition. The original may not be safe yet.
    pub(crate) has_copy: bool,
    /// Set if the message holds no reading.
    pub(crate) is_of_none: bool,
    /// Metrics of the message that have no place among readings.
    pub(crate) skipped: usize,
    /// Judgements of the filter, for who taps them.
    pub(crate) trail: Trail,
}

/// Decoder and filter of one route.
#[derive(Debug)]
pub(crate) struct Readings {
    filter: Option<Filter>,
    decoder: Decoder,
    taps: Taps,
}

impl Readings {
    /// Creates decoder and filter of a route. `filter`: the route's rules; without them every reading is kept. `hold_max_ms`: longest time for
    /// which receipts of held readings wait; `None`: they do not wait. `input`: the format of the payloads.
    pub(crate) fn new(filter: Option<Pipeline>, hold_max_ms: Option<u64>, input: &Input) -> Self {
        let filter = filter.map(|pipeline| Filter::new(pipeline, hold_max_ms));
        Self { filter, decoder: Decoder::new(input), taps: Taps::default() }
    }

    /// Sets the taps that the judgements are shown to.
    pub(crate) fn set_taps(&mut self, taps: &Taps) {
        self.taps = taps.clone();
    }

    /// Replaces the filter. Readings that the stages of the new one hold are acknowledged at once.
    pub(crate) fn set_filter(&mut self, pipeline: Pipeline, part: Bulkhead) {
        self.filter = Some(Filter::new(pipeline, None).with_own_stages(part));
    }

    /// Decodes a message and filters its readings. Returns the readings that are to be stored. A payload that cannot be decoded changes no
    /// filter. `may_be_copy`: the message may have been received before, so rows that a filter emits later because of it are marked too.
    pub(crate) fn take_in(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
        may_be_copy: bool,
    ) -> Result<Taken, DecodeError> {
        let source = Source { sensor: Some(topic), arrival_ms: now.wall_ms };
        let records = self.decoder.decode(payload, &source)?;
        records.check(check_names)?;
        let kept = Vec::with_capacity(records.len());
        let (is_of_none, trail) = (records.len() == 0, self.taps.trail());
        let mut taken = Taken { kept, is_of_none, skipped: records.skipped(), trail, ..Taken::default() };
        records.for_each(|record| match &mut self.filter {
            Some(filter) => filter.take_in(now, record, may_be_copy, &mut taken),
            None => {
                let (time, quality) = (record.time, quality_of(&record));
                taken.trail.note(Judgement::passed("no_filter"), &record, || quality);
                keep_record(record, time, quality, &mut taken.kept);
            }
        });
        if taken.has_copy && !taken.kept.is_empty() {
            taken.link.withhold();
        }
        self.taps.judged(Some(topic), std::mem::take(&mut taken.trail));
        Ok(taken)
    }

    /// Takes over the births that a route with the same topics and input remembers.
    pub(crate) fn take_over_births(&mut self, old: &mut Self) {
        self.decoder.take_over(&mut old.decoder);
    }

    /// Takes the request of a birth that the last message has given rise to.
    pub(crate) fn take_birth_request(&mut self) -> Option<BirthRequest> {
        self.decoder.take_birth_request()
    }

    /// Returns rows whose deadline has passed: of silent sensors, ended alarm delays, and readings whose receipts waited long enough.
    /// `is_asked_for`: a publisher waits for receipts, so all held readings that can be emitted are.
    pub(crate) fn tick(&mut self, now: Now, is_asked_for: bool) -> Taken {
        let mut taken = Taken { trail: self.taps.trail(), ..Taken::default() };
        if let Some(filter) = &mut self.filter {
            filter.tick(now, is_asked_for, &mut taken);
        }
        self.taps.judged(None, std::mem::take(&mut taken.trail));
        taken
    }

    /// Ends the delays of alarms that are due, and returns their changes.
    pub(crate) fn tick_alarms(&mut self, now: Now) -> Taken {
        let mut taken = Taken::default();
        if let Some(filter) = &mut self.filter {
            filter.tick_alarms(now, &mut taken);
        }
        taken
    }

    /// Returns the milliseconds until [`tick_alarms`](Self::tick_alarms) has something to do. `None`: there is nothing.
    pub(crate) fn alarms_due_in_ms(&self, now: Now) -> Option<u64> {
        self.filter.as_ref()?.alarms_due_in_ms(now)
    }

    /// Returns the readings that the filter's stages hold.
    pub(crate) fn flush(&mut self) -> Taken {
        let mut taken = Taken::default();
        if let Some(filter) = &mut self.filter {
            filter.flush(&mut taken);
        }
        taken
    }

    /// Returns the milliseconds until the next deadline of [`tick`](Self::tick). `None`: there is none.
    pub(crate) fn due_in_ms(&self, now: Now) -> Option<u64> {
        self.filter.as_ref()?.due_in_ms(now)
    }

    /// From now on acknowledges readings without waiting for the stages that hold them, and makes all waiting receipts due.
    pub(crate) fn stop_holding(&mut self) {
        self.filter.iter_mut().for_each(Filter::stop_holding);
    }

    /// Returns number and age of the messages whose receipts wait.
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

    /// Makes the filter report the first state of each alarm, because the hub may know another state from before the restart: the first reading
    /// of a sensor without restored state reports that its alarm is over, or raises it again.
    pub(crate) fn tell_first_alarms(&mut self) {
        self.filter.iter_mut().for_each(Filter::tell_first_alarms);
    }

    /// Watches the sensors, given by name with unit, that the last process watched for silence.
    pub(crate) fn await_sensors(&mut self, now: Now, sensors: Vec<(Box<str>, Box<str>)>) {
        if let Some(filter) = &mut self.filter {
            filter.await_sensors(now, sensors);
        }
    }

    /// Returns names with units of the sensors whose silence has to be watched after the next start.
    pub(crate) fn watched(&self) -> Vec<(Box<str>, Box<str>)> {
        self.filter.as_ref().map(Filter::watched).unwrap_or_default()
    }

    /// Returns the changes of [`watched`](Self::watched) since the last call.
    pub(crate) fn take_watch_changes(&mut self) -> Changed {
        self.filter.as_mut().map(Filter::take_watch_changes).unwrap_or_default()
    }

    /// Returns the filter, for its alarms only.
    pub(crate) fn filter_mut(&mut self) -> Option<&mut Filter> {
        self.filter.as_mut()
    }

    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Sets whether the filter can rely on the wall clock. If it cannot, no timestamp counts as ahead of it.
    pub(crate) fn trust_clock(&mut self, is_trusted: bool) {
        self.filter.iter_mut().for_each(|filter| filter.trust_clock(is_trusted));
    }
}

/// Checks the lengths of a sensor's name and unit.
fn check_names(name_bytes: usize, unit: &str) -> Result<(), DecodeError> {
    if name_bytes == 0 {
        return Err(DecodeError::Malformed { offset: 0, what: "the name of a sensor is empty".into() });
    }
    let texts = [("sensor name", name_bytes, NAME_BYTES_MAX), ("unit", unit.len(), UNIT_BYTES_MAX)];
    match texts.into_iter().find(|(_, bytes, limit)| bytes > limit) {
        Some((text, bytes, limit)) => Err(DecodeError::Malformed {
            offset: 0,
            what: format!("a {text} of {bytes} bytes: the limit is {limit}").into(),
        }),
        None => Ok(()),
    }
}

/// Returns the reading's quality. A null, which stands for a missing value, has a bad quality, as after a filter.
fn quality_of(record: &Record<'_>) -> u32 {
    let quality = Quality(record.quality);
    let is_good_null = matches!(record.value, Value::Null) && !quality.is_bad();
    if is_good_null { Quality::BAD.0 } else { quality.0 }
}

pub(in crate::run) fn keep_record(record: Record<'_>, time: i64, quality: u32, kept: &mut Vec<Kept>) {
    let row = ReadingRow { sensor: record.sensor, unit: record.unit, time, value: record.value, quality };
    keep(&row, false, false, kept);
}

pub(in crate::run) fn keep(row: &ReadingRow<'_>, alarm: bool, may_be_copy: bool, kept: &mut Vec<Kept>) {
    match row.encode() {
        Some(row) => kept.push(Kept { row, alarm, may_be_copy }),
        // A topic has at most 65 535 bytes, everything else is below `TEXT_BYTES_MAX`; `/alarm/HIHI` may be too much.
        None => tracing::error!(bytes = row.sensor.len(), "a sensor's name is too long for a row"),
    }
}

#[cfg(test)]
mod tests;
