//! The pipeline: names, rules, and one reading at a time through the stages of its rule. This file owns the state and
//! routes; every decision is made in a stage.

#[cfg(feature = "config")]
mod alarm_config;
mod alarms;
mod builder;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "config")]
pub(crate) mod config_error;
mod deadlines;
#[cfg(feature = "config")]
mod from_config;
mod intern;
mod pattern;
mod rule;
mod slot;
mod snapshot;
mod stats;

pub use alarms::AlarmEvent;
pub use builder::Builder;
#[cfg(feature = "config")]
pub use config_error::ConfigError;
pub use pattern::{Pattern, PatternError};
pub use rule::Rule;
pub use snapshot::{RestoreError, SNAPSHOT_VERSION, Snapshot};
pub use stats::Stats;

use crate::{
    AckError, AlarmLevel, AlarmTransition, Emit, EmitReason, LimitAlarmState, Normalise, Outcome, Passage,
    Quality, Reading,
};
use alarms::Alarms;
use deadlines::Deadlines;
use intern::Names;
use slot::Slot;

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
#[derive(Clone, Debug)]
pub struct Pipeline {
    rules: Vec<(Pattern, Rule)>,
    normalise: Normalise,
    names: Names,
    sensors: Vec<Sensor>,
    alarms: Alarms,
    deadlines: Deadlines,
    stats: Stats,
}

#[derive(Clone, Debug)]
struct Sensor {
    /// Place in `Pipeline::rules`.
    rule: Option<u32>,
    /// Place in `Alarms`.
    alarm: Option<u32>,
    slot: Slot,
}

impl Pipeline {
    /// The number that [`intern`](Pipeline::intern) gives to every name beyond `max_keys`.
    pub const UNFILTERED: u32 = u32::MAX;

    /// A pipeline from code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The number of a sensor. For a new name the rules are searched, once; the first that matches applies.
    ///
    /// Beyond `max_keys` names the answer is [`Pipeline::UNFILTERED`]: readings with that number pass unfiltered and
    /// are counted, so that a flood of names costs savings and never data.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.number(name) {
            return number;
        }
        let Some(number) = self.names.add(name) else {
            self.stats.names_refused += 1;
            return Self::UNFILTERED;
        };
        let rule = self.rules.iter().position(|(pattern, _)| pattern.matches(name));
        let rule = rule.and_then(|place| u32::try_from(place).ok());
        let alarm = self.alarms.add_sensor(name);
        self.sensors.push(Sensor { rule, alarm, slot: Slot::default() });
        self.deadlines.add_sensor();
        number
    }

    /// The name of a sensor; `None` for [`Pipeline::UNFILTERED`].
    #[must_use]
    pub fn name(&self, sensor: u32) -> Option<&str> {
        self.names.name(sensor)
    }

    /// The rule that applies to a sensor, for its bounds.
    #[must_use]
    pub fn rule(&self, sensor: u32) -> Option<&Rule> {
        let place = self.sensors.get(sensor as usize)?.rule?;
        self.rules.get(place as usize).map(|(_, rule)| rule)
    }

    /// One reading. Emits to `sink` what became due before it, then answers what became of the reading itself.
    ///
    /// `now_ms` is used to refuse readings from the future and to notice silence; everything else goes by event time.
    pub fn process<'a>(
        &mut self,
        reading: Reading<'a>,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Outcome<'a> {
        let outcome = self.route(reading, now_ms, sink);
        self.stats.count(&outcome);
        outcome
    }

    fn route<'a>(
        &mut self,
        reading: Reading<'a>,
        now_ms: i64,
        sink: &mut impl FnMut(Emit<'a>),
    ) -> Outcome<'a> {
        let number = reading.sensor;
        if self.deadlines.of(number).is_some_and(|deadline| deadline <= now_ms) {
            self.expire(number, now_ms, sink);
        }
        let Some(sensor) = self.sensors.get_mut(number as usize) else {
            self.stats.over_limit += 1;
            return self.pass(reading);
        };
        let Some((_, rule)) = sensor.rule.and_then(|place| self.rules.get(place as usize)) else {
            let alarm = sensor.alarm;
            return self.pass_beside_alarm(reading, alarm, now_ms);
        };
        self.stats.unknown_quality += u64::from(!rule.normalise.knows(reading.quality));
        let quality = rule.normalise.check(&reading.value, reading.quality);
        let admitted = match sensor.slot.admit(rule, &reading, quality, now_ms) {
            Ok(admitted) => admitted,
            Err(reason) => return Outcome::Drop(reason),
        };
        let quality = admitted.quality;
        if admitted.passage == Passage::Late {
            return emit(reading, quality, EmitReason::Late);
        }
        if let Some(alarm) = sensor.alarm {
            let reset = admitted.passage == Passage::ClockReset;
            self.alarms.check(alarm, &reading, quality, reset, now_ms);
        }
        let verdict = sensor.slot.reduce(rule, &reading, quality, now_ms);
        self.rearm(number);
        match verdict {
            Ok(reason) => emit(reading, quality, reason),
            Err(reason) => Outcome::Drop(reason),
        }
    }

    /// A sensor without a rule: only its alarm looks at the reading.
    fn pass_beside_alarm<'a>(
        &mut self,
        reading: Reading<'a>,
        alarm: Option<u32>,
        now_ms: i64,
    ) -> Outcome<'a> {
        if let Some(alarm) = alarm {
            let quality = self.normalise.check(&reading.value, reading.quality);
            self.alarms.check(alarm, &reading, quality, false, now_ms);
            self.rearm(reading.sensor);
        }
        self.pass(reading)
    }

    /// Unfiltered, but for the quality: no number that is none leaves as good.
    fn pass<'a>(&mut self, reading: Reading<'a>) -> Outcome<'a> {
        self.stats.unknown_quality += u64::from(!self.normalise.knows(reading.quality));
        let quality = self.normalise.check(&reading.value, reading.quality);
        emit(reading, quality, EmitReason::Passthrough)
    }

    /// Lets time pass to `now_ms`: reports silent sensors, ends alarm delays. Each is done once, however often and
    /// however late this is called; before [`next_deadline`](Pipeline::next_deadline) it does nothing.
    pub fn tick(&mut self, now_ms: i64, sink: &mut impl FnMut(Emit<'static>)) {
        while let Some((deadline, number)) = self.deadlines.first()
            && deadline <= now_ms
        {
            self.expire(number, now_ms, sink);
        }
    }

    /// When [`tick`](Pipeline::tick) has something to do, on the axis of `now_ms`.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// Does what is due for one sensor. Afterwards its deadline is later than `now_ms`, or gone.
    fn expire<'a>(&mut self, number: u32, now_ms: i64, sink: &mut impl FnMut(Emit<'a>)) {
        let Some(sensor) = self.sensors.get_mut(number as usize) else { return };
        if let Some(alarm) = sensor.alarm {
            self.alarms.tick(alarm, number, now_ms);
        }
        if let Some((_, rule)) = sensor.rule.and_then(|place| self.rules.get(place as usize))
            && let Some(silence) = sensor.slot.expire(rule, number, now_ms)
        {
            self.stats.stale += 1;
            if let Some(emit) = silence {
                self.stats.synthetic += 1;
                sink(emit);
            }
        }
        self.rearm(number);
    }

    fn rearm(&mut self, number: u32) {
        let Some(sensor) = self.sensors.get(number as usize) else { return };
        let rule = sensor.rule.and_then(|place| self.rules.get(place as usize));
        let stale = rule.and_then(|(_, rule)| sensor.slot.deadline(rule));
        let alarm = sensor.alarm.and_then(|place| self.alarms.deadline(place));
        self.deadlines.set(number, [stale, alarm].into_iter().flatten().min());
    }

    /// Emits what stages hold, before a stop or a change of configuration. The stages of this version decide at once
    /// and hold nothing, so nothing is emitted; callers that flush today are ready for those that will.
    pub fn flush(&mut self, _sink: &mut impl FnMut(Emit<'static>)) {}

    /// The sensor's clock was set: its next reading is accepted, however old.
    pub fn clock_stepped(&mut self, sensor: u32) {
        if let Some(sensor) = self.sensors.get_mut(sensor as usize) {
            sensor.slot.guard.clock_stepped();
        }
    }

    /// The oldest alarm event not yet taken. At most 1024 wait; then the oldest make room, which is counted.
    pub fn poll_alarm(&mut self) -> Option<AlarmEvent> {
        self.alarms.poll()
    }

    /// The alarm of a sensor, if it has one.
    #[must_use]
    pub fn alarm(&self, sensor: u32) -> Option<&LimitAlarmState> {
        self.alarms.state(self.sensors.get(sensor as usize)?.alarm?)
    }

    /// An operator has seen an occurrence of an alarm; `transition` is the id from its event.
    ///
    /// # Errors
    /// If there is no such alarm, nothing waits to be acknowledged, or what waits is another occurrence.
    pub fn acknowledge(
        &mut self,
        sensor: u32,
        level: AlarmLevel,
        transition: u64,
        now_ms: i64,
    ) -> Result<AlarmTransition, AckError> {
        let place = self.sensors.get(sensor as usize).and_then(|s| s.alarm).ok_or(AckError::NoSuchAlarm)?;
        let done = self.alarms.acknowledge(place, sensor, (level, transition), now_ms)?;
        self.rearm(sensor);
        Ok(done)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { alarm_events_lost: self.alarms.lost, ..self.stats.clone() }
    }

    /// How many sensors have a number.
    #[must_use]
    pub fn sensors(&self) -> usize {
        self.names.len()
    }
}

fn emit(reading: Reading<'_>, quality: Quality, reason: EmitReason) -> Outcome<'_> {
    let Reading { sensor, time, value, quality: _ } = reading;
    Outcome::Emit(Emit { sensor, time, value, quality, reason, synthetic: false })
}
