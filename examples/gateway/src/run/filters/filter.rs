//! Filter of a route: takes a reading, and returns the readings that its stages emit, that one or earlier ones, with names and units.

use std::collections::HashMap;

use edge_bridge::ingest::Now;
use edge_codec::Record;
use edge_codec::Value;
use edge_filter::{
    DropReason, Emit, EmitReason, Outcome, Pipeline, Reading, RestoreError, Rule, Snapshot, Stats,
};

use serde::{Deserialize, Serialize};

use crate::config::window;
use crate::run::sensors::bulkhead::Bulkhead;
use crate::run::sensors::held_receipts::{Extent, Withheld};
use crate::run::sensors::time_drops::TimeDrops;
use crate::run::tap::Judgement;

use super::reading_row::ReadingRow;
use super::readings::{Taken, keep, keep_record};
use super::silence::Silence;
use alarms::AlarmChanges;
use long_texts::LongTexts;
use quality_scheme::{quality_beside_stages, quality_for_stages};

mod alarms;
mod long_texts;
mod quality_scheme;
mod silent_sensors;
mod unit_changes;

/// Entries of forgotten sensors at which a map is cleaned up.
const SENSORS_SPARE: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Filter {
    pipeline: Pipeline,
    /// Bulkhead around stages that an embedding program brought. `None`: the stages are those of the configuration's rules, and are called
    /// directly.
    own: Option<Bulkhead>,
    /// Last unit by sensor number, for readings that the stages emit later.
    units: HashMap<u32, Box<str>>,
    /// Receipts that wait until a stage emits the readings that it holds. `None`: held readings are acknowledged at once, as suppressed ones are,
    /// and a kill loses them.
    withheld: Option<Withheld>,
    /// Set after a restore if receipts wait for held readings: the restored stages hold readings that were acknowledged before the restart, so
    /// the next tick emits them.
    flushes_at_once: bool,
    time_drops: TimeDrops,
    silence: Silence,
    /// Number of next emitted readings, by sensor number, that are marked as possible duplicates, because the message of one of them may have
    /// been received before.
    copies: HashMap<u32, usize>,
    /// Changes of alarms since they were last taken. `None`: no part of the gateway needs them.
    alarm_changes: Option<AlarmChanges>,
    alarm_log: alarms::AlarmLog,
    long_texts: LongTexts,
}

/// State of a filter that is carried over a clean restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FilterSnapshot {
    pub(in crate::run) sensors: Snapshot,
    /// Pairs of a sensor's name and its last unit.
    pub(in crate::run) units: Vec<(Box<str>, Box<str>)>,
    /// Pairs of a sensor's name and the number of its next emitted readings that are marked as possible duplicates.
    #[serde(default)]
    pub(in crate::run) copies: Vec<(Box<str>, usize)>,
}

/// Reading that a stage emitted besides the incoming one, copied so that it does not borrow from the filter.
struct Made {
    sensor: u32,
    time: i64,
    value: Value<'static>,
    quality: u32,
    reason: EmitReason,
}

impl Made {
    fn of(emit: &Emit<'_>) -> Self {
        let value = emit.value.clone().into_owned().into();
        Self { sensor: emit.sensor, time: emit.time, value, quality: emit.quality.0, reason: emit.reason }
    }
}

impl Filter {
    /// Creates a filter. `hold_max_ms`: longest time for which receipts of held readings wait. `None`: they do not wait.
    ///
    /// The wall clock counts as wrong until [`trust_clock`](Self::trust_clock) says otherwise.
    pub(in crate::run) fn new(mut pipeline: Pipeline, hold_max_ms: Option<u64>) -> Self {
        pipeline.trust_clock(false);
        let withheld = hold_max_ms.map(Withheld::new);
        let time_drops = TimeDrops::default();
        Self {
            pipeline,
            own: None,
            units: HashMap::new(),
            withheld,
            flushes_at_once: false,
            time_drops,
            silence: Silence::default(),
            copies: HashMap::new(),
            alarm_changes: None,
            alarm_log: alarms::AlarmLog::default(),
            long_texts: LongTexts::default(),
        }
    }

    /// Marks the stages as those of an embedding program, which are called behind a bulkhead.
    pub(in crate::run) fn with_own_stages(self, part: Bulkhead) -> Self {
        Self { own: Some(part), ..self }
    }

    pub(in crate::run) fn take_in(
        &mut self,
        now: Now,
        record: Record<'_>,
        may_be_copy: bool,
        taken: &mut Taken,
    ) {
        self.pass(now, record, may_be_copy, taken);
        // Also of a reading that passed beside the stages: those that they let go for it may have raised an alarm.
        self.keep_alarms(now, taken);
    }

    fn pass(&mut self, now: Now, mut record: Record<'_>, may_be_copy: bool, taken: &mut Taken) {
        // Bytes have no order and no distance: there is nothing to filter by.
        let Ok(value) = record.value.clone().try_into() else {
            let sensor = self.pipeline.number(&record.sensor).unwrap_or(Pipeline::UNFILTERED);
            return self.keep_unfiltered(sensor, record, taken);
        };
        let sensor = match self.admit(&record, taken) {
            Ok(sensor) => sensor,
            Err(sensor) => return self.keep_unfiltered(sensor, record, taken),
        };
        let quality = quality_for_stages(&self.pipeline, sensor, &record);
        let reading = Reading { sensor, time: record.time, value, quality };
        let was_watched = self.pipeline.is_watched(sensor);
        let mut before = Vec::new();
        let outcome = behind(self.own.as_ref(), || {
            self.pipeline.process(reading, now.wall_ms, &mut |emit| before.push(Made::of(&emit)))
        });
        let Some(outcome) = outcome else {
            return self.keep_unfiltered(sensor, record, taken);
        };
        let judgement = Judgement::of(&outcome);
        let (own, is_held) = match outcome {
            Outcome::Emit(emit) => {
                // Not what was measured: a stage may have scaled it, or put another value in its place.
                record.value = emit.value.into();
                (Some((emit.time, emit.quality.0, emit.reason)), false)
            }
            Outcome::Held => (None, true),
            Outcome::Drop(reason) => {
                self.time_drops.note(now.up_ms, self.pipeline.name(sensor).unwrap_or_default(), reason);
                if reason == DropReason::Duplicate {
                    taken.has_copy = true;
                    self.withheld.iter_mut().for_each(|withheld| withheld.hold_copy(sensor, &mut taken.link));
                }
                (None, false)
            }
        };
        if !was_watched && self.pipeline.is_watched(sensor) {
            self.silence.is_watched_from_now(sensor);
        }
        before.into_iter().for_each(|made| self.keep_made(made, taken));
        let of_own = own.as_ref().map(|(_, quality, _)| *quality);
        let sent_as = || of_own.unwrap_or_else(|| quality_beside_stages(&self.pipeline, sensor, &record).0);
        taken.trail.note(judgement, &record, sent_as);
        if let Some((time, quality, reason)) = own {
            keep_record(record, time, quality, &mut taken.kept);
            // What passes beside the stages says nothing of what they hold.
            if let Some(withheld) = self.withheld.as_mut().filter(|_| !reason.is_beside()) {
                withheld.cover(sensor, 0, &mut taken.link);
            }
        }
        if is_held && may_be_copy {
            forget_unnamed(&self.pipeline, &mut self.copies);
            self.copies.insert(sensor, self.in_line(sensor) + 1);
        }
        if let Some(withheld) = self.withheld.as_mut().filter(|_| is_held) {
            let takes_no_more = withheld.takes_no_more();
            withheld.hold(now.up_ms, sensor, taken.link.part());
            if takes_no_more {
                self.let_go(sensor, taken);
            }
        }
    }

    /// Returns the number of a reading's sensor; as an error if the reading passes unfiltered, because a stage of an embedding program panicked, or
    /// too many sensors have long texts.
    fn admit(&mut self, record: &Record<'_>, taken: &mut Taken) -> Result<u32, u32> {
        // A new sensor may take the place of one whose stages then let go.
        let interned = behind(self.own.as_ref(), || self.pipeline.intern(&record.sensor));
        let sensor = interned.unwrap_or(Pipeline::UNFILTERED);
        if interned.is_none() || !self.note_unit(sensor, &record.unit, taken) {
            return Err(sensor);
        }
        if !self.long_texts.admit(&self.pipeline, sensor, &record.value) {
            self.let_next_pass(sensor, taken);
            return Err(sensor);
        }
        Ok(sensor)
    }

    /// Emits readings whose deadline has passed. `is_asked_for`: a publisher waits for receipts, so the stages also emit the readings that these
    /// receipts depend on, except in windows.
    pub(in crate::run) fn tick(&mut self, now: Now, is_asked_for: bool, taken: &mut Taken) {
        let mut made = Vec::new();
        let _ = behind(self.own.as_ref(), || {
            self.pipeline.tick(now.wall_ms, &mut |emit| made.push(Made::of(&emit)));
        });
        made.into_iter().for_each(|made| self.keep_made(made, taken));
        if std::mem::take(&mut self.flushes_at_once) {
            self.flush(taken);
        }
        while let Some(sensor) = self.silence.next_stale(now.up_ms) {
            self.report_absent(sensor, now.wall_ms, taken);
        }
        while let Some(sensor) = self.withheld.as_ref().and_then(|withheld| withheld.due(now.up_ms)) {
            self.let_go(sensor, taken);
        }
        if is_asked_for && let Some(withheld) = &self.withheld {
            // Half a window is another result than a window: that one is waited for.
            let can_go = |sensor: &u32| self.pipeline.rule(*sensor).and_then(window).is_none();
            let sensors: Vec<u32> = withheld.sensors().filter(can_go).collect();
            sensors.into_iter().for_each(|sensor| self.let_go(sensor, taken));
        }
        // Last: a reading that was let go may have raised one.
        self.keep_alarms(now, taken);
    }

    /// Emits all readings that the stages hold.
    pub(in crate::run) fn flush(&mut self, taken: &mut Taken) {
        let mut made = Vec::new();
        let _ = behind(self.own.as_ref(), || self.pipeline.flush(&mut |emit| made.push(Made::of(&emit))));
        made.into_iter().for_each(|made| self.keep_made(made, taken));
    }

    /// Emits the readings of one sensor that the stages hold, and releases their receipts.
    fn let_go(&mut self, sensor: u32, taken: &mut Taken) {
        let mut made = Vec::new();
        self.pipeline.flush_sensor(sensor, &mut |emit| made.push(Made::of(&emit)));
        made.into_iter().for_each(|made| self.keep_made(made, taken));
        if let Some(withheld) = &mut self.withheld {
            withheld.cover(sensor, 0, &mut taken.link);
        }
    }

    /// From now on acknowledges readings without waiting for the stages that hold them, and makes all waiting receipts due. Called at a stop.
    pub(in crate::run) fn stop_holding(&mut self) {
        self.withheld.iter_mut().for_each(Withheld::stop);
    }

    /// Returns number and age of the messages whose receipts wait.
    pub(in crate::run) fn withheld(&self) -> Extent {
        self.withheld.as_ref().map(Withheld::extent).unwrap_or_default()
    }

    /// Returns the milliseconds until the next deadline of [`tick`](Self::tick). `None`: there is none.
    pub(in crate::run) fn due_in_ms(&self, now: Now) -> Option<u64> {
        if self.flushes_at_once {
            return Some(0);
        }
        let stages = self.pipeline.next_deadline().map(|at_ms| left_ms(at_ms, now));
        let held = self.withheld.as_ref().and_then(Withheld::deadline_ms);
        let steady = held.into_iter().chain(self.silence.deadline_ms());
        stages.into_iter().chain(steady.map(|at_ms| at_ms.saturating_sub(now.up_ms))).min()
    }

    pub(in crate::run) fn stats(&self) -> Stats {
        self.pipeline.stats()
    }

    /// Returns the state of the stages. `None`: a stage of an embedding program has panicked.
    pub(in crate::run) fn snapshot(&self) -> Option<FilterSnapshot> {
        let sensors = behind(self.own.as_ref(), || self.pipeline.snapshot())?;
        let named = self
            .units
            .iter()
            .filter_map(|(sensor, unit)| Some((self.pipeline.name(*sensor)?.into(), unit.clone())));
        let copies =
            self.copies.iter().filter_map(|(sensor, n)| Some((self.pipeline.name(*sensor)?.into(), *n)));
        Some(FilterSnapshot { sensors, units: named.collect(), copies: copies.collect() })
    }

    /// Restores a state. If the wall clock is behind a sensor's last reading, it may have been set back meanwhile, so the sensor's history starts
    /// anew with its next reading.
    pub(in crate::run) fn restore(&mut self, now: Now, snapshot: FilterSnapshot) -> Result<(), RestoreError> {
        self.flushes_at_once = self.withheld.is_some();
        let restored = behind(self.own.as_ref(), || self.pipeline.restore(snapshot.sensors));
        // Where a stage of a program's own has panicked, its sensors start cold.
        let damaged = restored.transpose()?.unwrap_or_default();
        if let Some(first) = damaged.first() {
            tracing::warn!(sensors = damaged.len(), %first, "states that cannot be are left out: their sensors start cold");
        }
        for sensor in 0..u32::try_from(self.pipeline.sensors()).unwrap_or(u32::MAX) {
            if self.pipeline.last_time(sensor).is_some_and(|last_ms| last_ms > now.wall_ms) {
                self.pipeline.clock_stepped(sensor);
            }
        }
        for (name, left) in snapshot.copies.into_iter().filter(|(_, left)| *left > 0) {
            let sensor = self.pipeline.intern(&name);
            if sensor != Pipeline::UNFILTERED {
                self.copies.insert(sensor, left);
            }
        }
        for (name, unit) in snapshot.units {
            let sensor = self.pipeline.intern(&name);
            if sensor != Pipeline::UNFILTERED {
                self.units.insert(sensor, unit);
            }
        }
        self.silence.is_other();
        Ok(())
    }

    /// Makes the stages report the first state of each alarm, because the hub may know other states from before the restart.
    pub(in crate::run) fn tell_first_alarms(&mut self) {
        self.pipeline.tell_first_alarms();
    }

    /// Sets whether the stages can rely on the wall clock.
    pub(in crate::run) fn trust_clock(&mut self, is_trusted: bool) {
        self.pipeline.trust_clock(is_trusted);
    }

    /// Keeps a reading without the filter: only its quality is read by the rule's scheme. `sensor`: its number, or `UNFILTERED` where none is known.
    fn keep_unfiltered(&self, sensor: u32, record: Record<'_>, taken: &mut Taken) {
        let (time, quality) = (record.time, quality_beside_stages(&self.pipeline, sensor, &record));
        taken.trail.note(Judgement::passed("unfiltered"), &record, || quality.0);
        keep_record(record, time, quality.0, &mut taken.kept);
    }

    fn keep_made(&mut self, made: Made, taken: &mut Taken) {
        // A heartbeat repeats what was said; a stage may hold on beside it.
        let is_repeat = made.reason == EmitReason::Heartbeat;
        if made.reason == EmitReason::Stale {
            self.silence.is_reported();
        }
        let in_line = self.in_line(made.sensor);
        if let Some(withheld) = self.withheld.as_mut().filter(|_| !is_repeat) {
            withheld.cover(made.sensor, in_line, &mut taken.link);
        }
        let may_be_copy = !is_repeat && self.may_be_copy(made.sensor);
        let Some(name) = self.pipeline.name(made.sensor) else { return };
        let row = ReadingRow {
            sensor: name.into(),
            unit: self.units.get(&made.sensor).map_or("", |unit| unit).into(),
            time: made.time,
            value: made.value,
            quality: made.quality,
        };
        taken.trail.add(Judgement::passed(made.reason.as_str()), &row);
        keep(&row, false, may_be_copy, &mut taken.kept);
    }

    /// Returns how many readings of the sensor a stage holds until it can judge them by later ones.
    fn in_line(&self, sensor: u32) -> usize {
        self.pipeline.rule(sensor).map_or(0, Rule::delay)
    }

    /// Returns whether the next emitted reading of the sensor is marked as a possible duplicate, and counts it. Call it once per emitted reading,
    /// except heartbeats.
    fn may_be_copy(&mut self, sensor: u32) -> bool {
        let Some(left) = self.copies.get_mut(&sensor) else { return false };
        *left -= 1;
        if *left == 0 {
            self.copies.remove(&sensor);
        }
        true
    }
}

/// Returns the milliseconds until a time on the wall clock, 0 if it has passed.
fn left_ms(at_ms: i64, now: Now) -> u64 {
    u64::try_from(at_ms.saturating_sub(now.wall_ms)).unwrap_or(0)
}

/// Calls the stages. `None`: they belong to an embedding program, and one panicked in this call.
fn behind<T>(own: Option<&Bulkhead>, call: impl FnOnce() -> T) -> Option<T> {
    match own {
        Some(part) => part.call(call),
        None => Some(call()),
    }
}

/// Drops entries of sensors that the filter forgot, once there are many.
fn forget_unnamed<T>(pipeline: &Pipeline, by_sensor: &mut HashMap<u32, T>) {
    if by_sensor.len() > 2 * pipeline.sensors() + SENSORS_SPARE {
        by_sensor.retain(|sensor, _| pipeline.name(*sensor).is_some());
    }
}

#[cfg(test)]
mod tests;
