//! The pipeline: names, rules, and one reading at a time through the stages of its rule. This file owns the state and
//! routes between its owners: sensors, rules, alarms, deadlines, counters. Every decision is made in a stage.

mod alarms;
mod builder;
#[cfg(feature = "config")]
pub mod config;
mod deadlines;
mod heartbeat;
mod intern;
mod lookahead;
mod pattern;
mod quality_checks;
mod rule;
mod rule_set;
mod sensor_numbers;
mod sensors;
mod slot;
mod snapshot;
mod stage_walk;
mod stats;
mod transforms;
mod watched_sensors;

pub use alarms::AlarmEvent;
pub use builder::Builder;
#[cfg(feature = "config")]
pub use config::error::{ConfigError, Problem};
#[cfg(feature = "config")]
pub use config::file::ConfigFile;
pub use pattern::{Pattern, PatternError};
pub use rule::Rule;
pub use sensors::OverLimit;
pub use snapshot::{DamagedState, RestoreError, SNAPSHOT_VERSION, Snapshot};
pub use stats::Stats;

use crate::reduce::number::Settlement;
use crate::reduce::{ReleasedReading, Verdict};
use crate::time::Passage;
use crate::{Emit, EmitReason, Outcome, QualityScheme, Reading};
use alarms::Alarms;
use deadlines::{Deadlines, earlier};
use rule_set::RuleSet;
use sensors::Sensors;
use stage_walk::StageWalk;

/// Readings of many sensors through the rules that apply to them.
///
/// How to drive it; it has no clock, no thread and no I/O of its own:
///
/// 1. [`intern`](Pipeline::intern) a sensor's name once; keep the number.
/// 2. Give each reading to [`process`](Pipeline::process) with the wall clock in Unix milliseconds. The outcome says
///    what became of *this* reading; what the filter emits beside it, and before it in time, goes to the sink.
/// 3. Call [`tick`](Pipeline::tick) at [`next_deadline`](Pipeline::next_deadline), which may change with every call of
///    `process`, `tick`, `restore` and `acknowledge`.
/// 4. Take alarm events with [`poll_alarm`](Pipeline::poll_alarm) after `process` and `tick`.
///
/// `process` is the only way in which a reading changes a state. If there may be no room for the reading afterwards,
/// make sure of the room first: a reading that was processed and then refused would have moved the reference.
///
/// A new pipeline is cold: the first reading of every sensor passes. That is also what makes an unclean stop safe.
/// Steady state allocates nothing per reading, texts included once their buffers have grown.
///
/// ```
/// use edge_filter::reduce::Deadband;
/// use edge_filter::{DropReason, Outcome, Pipeline, Quality, Reading, Rule, Value};
///
/// let rule = Rule::new().reducer(Deadband::absolute(0.5)?);
/// let mut pipeline = Pipeline::builder().rule("line2/#", rule)?.build();
/// let sensor = pipeline.intern("line2/temp");
/// let at = |time, value| Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
/// assert!(matches!(pipeline.process(at(0, 20.0), 0, &mut |_| ()), Outcome::Emit(_)));
/// let second = pipeline.process(at(1_000, 20.4), 1_000, &mut |_| ());
/// assert_eq!(second, Outcome::Drop(DropReason::InDeadband));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pipeline {
    rules: RuleSet,
    sensors: Sensors,
    alarms: Alarms,
    deadlines: Deadlines,
    stats: Stats,
    trusts_clock: bool,
}

impl Pipeline {
    /// Number that [`intern`](Pipeline::intern) returns for every name beyond `max_keys`.
    pub const UNFILTERED: u32 = u32::MAX;

    /// Most bytes of a sensor's name. Readings under a longer one pass unfiltered and are counted.
    pub const NAME_BYTES_MAX: usize = 512;

    /// Begins to build a pipeline from code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the rule that applies to a sensor, from which its bounds can be read; `None` if it has no rule.
    #[must_use]
    pub fn rule(&self, sensor: u32) -> Option<&Rule> {
        self.rules.of(self.sensors.of(sensor)?)
    }

    /// Returns all rules in order, with the patterns of their names.
    pub fn rules(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.rules.iter()
    }

    /// Processes one reading. Emits to `sink` what is due before the reading, and returns the reading's own outcome.
    ///
    /// The clock `now_ms` only serves to recognise readings from the future and to notice silence; everything else goes by event time.
    pub fn process<'a>(
        &mut self,
        mut reading: Reading<'a>,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Outcome<'a> {
        self.sensors.emit_evicted(sink);
        let verdict = self.route(&mut reading, now_ms, sink);
        self.stats.count(verdict);
        let reason = match verdict {
            Verdict::Emit(reason) => reason,
            Verdict::Held => return Outcome::Held,
            Verdict::Drop(reason) => return Outcome::Drop(reason),
        };
        let Reading { sensor, time, value, quality } = reading;
        Outcome::Emit(Emit { sensor, time, value, quality, reason, synthetic: false })
    }

    /// Runs the reading through the stages, which may alter it in place. By value its fields would be stored one by one and loaded in pairs,
    /// and waiting for that takes as long as all stages together.
    fn route<'a>(
        &mut self,
        reading: &mut Reading<'_>,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Verdict {
        let Some(place) = self.sensors.place(reading.sensor) else {
            self.stats.over_limit += 1;
            return self.rules.pass(reading, &mut self.stats);
        };
        if self.deadlines.first().is_some_and(|(first, _)| first <= now_ms)
            && self.deadlines.of(place).is_some_and(|deadline| deadline <= now_ms)
        {
            self.expire(place, now_ms, sink);
        }
        let Some(slot) = self.sensors.slot_mut(place) else {
            return self.rules.pass(reading, &mut self.stats);
        };
        slot.seen = true;
        let Some(rule) = self.rules.of(slot) else {
            let alarm = slot.alarm();
            return self.pass_beside_alarm(reading, (place, alarm), now_ms);
        };
        let (before, sensor) = (slot.deadline(rule), reading.sensor);
        let (alarms, stats) = (&mut self.alarms, &mut self.stats);
        let mut walk = StageWalk { sensor, slot, rule, alarms, stats };
        let decided = walk.run(reading, (now_ms, self.trusts_clock), sink);
        // Nearly every reading only moves its sensor's deadline later: then nothing is known that is too late.
        let known = before.is_some() && earlier(before, walk.slot.deadline(rule)) == before;
        if !known || walk.slot.alarm().is_some() {
            self.arm(place);
        }
        decided.unwrap_or_else(Verdict::Drop)
    }

    /// Passes the reading of a sensor without a rule. Only its alarm checks it, if no newer one came before.
    fn pass_beside_alarm(
        &mut self,
        reading: &mut Reading<'_>,
        (place, alarm): (u32, Option<u32>),
        now_ms: i64,
    ) -> Verdict {
        let verdict = self.rules.pass(reading, &mut self.stats);
        if let (Some(alarm), Some(slot)) = (alarm, self.sensors.slot_mut(place))
            && let Some(passage) = self.rules.order(slot, reading)
        {
            self.alarms.check(alarm, reading, passage == Passage::ClockReset, now_ms);
            self.arm(place);
        }
        verdict
    }

    /// Does what is due at `now_ms`: completes windows, repeats values, reports silent sensors, ends alarm delays. Each of these happens once,
    /// however often and however late this is called; before [`next_deadline`](Pipeline::next_deadline) it does nothing. It costs nothing for
    /// sensors that are not due.
    pub fn tick(&mut self, now_ms: i64, sink: &mut impl FnMut(Emit<'static>)) {
        self.sensors.emit_evicted(sink);
        while let Some((deadline, place)) = self.deadlines.first()
            && deadline <= now_ms
        {
            self.expire(place, now_ms, sink);
        }
    }

    /// Returns the time, on the clock of `now_ms`, at which [`tick`](Pipeline::tick) may have something to do; `None` if there is none. It is
    /// never too late. It may be too early for a sensor that has sent readings since, because updating it with every reading would cost too
    /// much; `tick` then finds the true time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// Does what is due for one sensor. Afterwards its deadline is later than `now_ms`, or gone.
    fn expire<'a>(&mut self, place: u32, now_ms: i64, sink: &mut impl FnMut(Emit<'a>)) {
        let number = self.sensors.number_of(place);
        let Some(slot) = self.sensors.slot_mut(place) else { return };
        if let Some(alarm) = slot.alarm() {
            self.alarms.tick(alarm, number, now_ms);
        }
        if let Some(rule) = self.rules.of(slot) {
            let (sensor, alarms, stats) = (number, &mut self.alarms, &mut self.stats);
            if slot.is_silent(rule, now_ms) {
                StageWalk { sensor, slot: &mut *slot, rule, alarms, stats: &mut *stats }.release(sink);
            }
            let (stale, repeated) =
                slot.expire(rule, number, now_ms, &mut |event| settle(number, event, stats, sink));
            self.stats.stale += u64::from(stale);
            if let Some(emit) = repeated {
                self.stats.synthetic += 1;
                sink(emit);
            }
        }
        self.deadlines.set(place, self.deadline(place));
    }

    /// Updates a sensor's deadline if it is now earlier. A later one is found by the next `tick`, except for alarms, whose deadlines seldom
    /// move.
    fn arm(&mut self, place: u32) {
        let deadline = self.deadline(place);
        let alarm = self.sensors.slot(place).is_some_and(|slot| slot.alarm().is_some());
        match self.deadlines.of(place) {
            Some(known) if !alarm && deadline.is_none_or(|deadline| deadline >= known) => {}
            _ => self.deadlines.set(place, deadline),
        }
    }

    fn deadline(&self, place: u32) -> Option<i64> {
        let slot = self.sensors.slot(place)?;
        let stages = self.rules.of(slot).and_then(|rule| slot.deadline(rule));
        let alarm = slot.alarm().and_then(|place| self.alarms.deadline(place));
        earlier(stages, alarm)
    }

    /// Emits the readings and results that stages hold for all sensors. Call it before a stop without a [`snapshot`](Pipeline::snapshot), or
    /// before a new configuration.
    pub fn flush(&mut self, sink: &mut impl FnMut(Emit<'static>)) {
        self.sensors.emit_evicted(sink);
        for place in self.sensors.places() {
            self.flush_one(place, sink);
        }
    }

    /// Emits what the stages hold for one sensor, as [`flush`](Pipeline::flush) does for all; the sensor goes on as before. A window's later
    /// result for the same interval is another one, under a later time.
    pub fn flush_sensor(&mut self, sensor: u32, sink: &mut impl FnMut(Emit<'static>)) {
        self.sensors.emit_evicted(sink);
        if let Some(place) = self.sensors.place(sensor) {
            self.flush_one(place, sink);
        }
    }

    fn flush_one<'a>(&mut self, place: u32, sink: &mut impl FnMut(Emit<'a>)) {
        let number = self.sensors.number_of(place);
        let Some(slot) = self.sensors.slot_mut(place) else { return };
        if let Some(rule) = self.rules.of(slot) {
            let (sensor, alarms, stats) = (number, &mut self.alarms, &mut self.stats);
            StageWalk { sensor, slot: &mut *slot, rule, alarms, stats: &mut *stats }.release(sink);
            slot.flush(rule, &mut |event| settle(number, event, stats, sink));
        }
    }

    /// Handles a change of a sensor's unit. Emits what its stages hold, and lets its next reading pass. The readings from here on are another
    /// quantity: the tests compare none of them with those before, and a counter's total starts again.
    pub fn unit_changed(&mut self, sensor: u32, sink: &mut impl FnMut(Emit<'static>)) {
        let Some(place) = self.sensors.place(sensor) else { return };
        self.flush_one(place, sink);
        if let Some(slot) = self.sensors.slot_mut(place) {
            slot.forget_values();
            slot.force(Some(EmitReason::UnitChanged));
        }
    }

    /// Handles a reading of a sensor that its caller passed on without the stages. Emits what they hold, and lets the next reading pass, because
    /// consumers now take that value for the sensor's.
    pub fn passed_beside(&mut self, sensor: u32, sink: &mut impl FnMut(Emit<'static>)) {
        let Some(place) = self.sensors.place(sensor) else { return };
        self.flush_one(place, sink);
        if let Some(slot) = self.sensors.slot_mut(place) {
            slot.force(Some(EmitReason::Resumed));
        }
    }

    /// Returns the scheme of the qualities of a sensor, which the rule for its name says, or the default.
    #[must_use]
    pub fn quality_scheme(&self, name: &str) -> QualityScheme {
        self.rules.normalise(name).scheme()
    }

    /// Returns the same for a sensor that has a number; for [`UNFILTERED`](Pipeline::UNFILTERED) the default, by which [`process`](Pipeline::process)
    /// reads its quality.
    #[must_use]
    pub fn quality_scheme_of(&self, sensor: u32) -> QualityScheme {
        self.rule(sensor).map_or(self.rules.fallback(), |rule| &rule.normalise).scheme()
    }

    /// Sets whether `now_ms` is correct, which is the default. While it is not, no reading counts as one from the future, so none passes beside
    /// the stages or is dropped for that.
    pub fn trust_clock(&mut self, is_trusted: bool) {
        self.trusts_clock = is_trusted;
    }

    /// Returns the event time of a sensor's last reading that moved its state; `None` if there is none.
    #[must_use]
    pub fn last_time(&self, sensor: u32) -> Option<i64> {
        self.sensors.of(sensor)?.guard.watermark()
    }

    /// Makes the sensor's next reading be accepted however old it is, because the sensor's clock was set.
    pub fn clock_stepped(&mut self, sensor: u32) {
        let place = self.sensors.place(sensor);
        if let Some(slot) = place.and_then(|place| self.sensors.slot_mut(place)) {
            slot.guard.clock_stepped();
        }
    }

    /// Returns the counters of the pipeline.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { alarm_events_lost: self.alarms.lost, ..self.stats.clone() }
    }
}

/// Passes on what a stage emits besides the reading, and counts it.
fn settle<'a>(sensor: u32, event: Settlement, stats: &mut Stats, sink: &mut impl FnMut(Emit<'a>)) {
    stats.settle(&event);
    if let Settlement::Emit(ReleasedReading { time, value, quality, reason, synthetic }) = event {
        sink(Emit { sensor, time, value: value.into(), quality, reason, synthetic });
    }
}

#[cfg(test)]
mod tests;
