//! Alarms of a pipeline, and the events that wait to be polled.

use super::slot::Slot;
use super::{Pattern, Pipeline};
use crate::Reading;
use crate::alarm::{
    AckError, AlarmCommand, AlarmCommandError, AlarmLevel, AlarmTransition, LimitAlarm, LimitAlarmState,
};
use std::collections::{BTreeSet, VecDeque};

/// Change of state of a sensor's alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlarmEvent {
    /// Sensor of the alarm.
    pub sensor: u32,
    /// The change of the alarm.
    pub transition: AlarmTransition,
}

/// Alarm definitions, the state of each sensor that has an alarm, and events that were not polled yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms {
    definitions: Vec<(Pattern, LimitAlarm)>,
    /// Definition and state of the alarm, one entry per sensor with an alarm.
    states: Vec<(usize, LimitAlarmState)>,
    /// True if the first usable reading of a new alarm reports its normal limits too.
    tells_first: bool,
    /// Indices of the alarms whose first report is still to come.
    untold: BTreeSet<u32>,
    events: VecDeque<AlarmEvent>,
    pub(super) lost: u64,
}

/// Most events that are kept for a caller that does not poll, where few sensors have alarms; they take 96 KiB at most.
const EVENTS_MAX: usize = 1024;
/// Most events that are kept for each sensor with an alarm: as many as one call of [`Pipeline::tick`] makes of its delays, two for each limit. So none
/// is lost of a tick that ends the delays of all sensors.
const EVENTS_PER_ALARM: usize = 8;

impl Alarms {
    pub(super) fn new(definitions: Vec<(Pattern, LimitAlarm)>) -> Self {
        Alarms { definitions, ..Alarms::default() }
    }

    /// Returns a place for the state of a new sensor; `None` if no alarm is defined for it.
    pub(super) fn add_sensor(&mut self, name: &str) -> Option<u32> {
        let definition = self.definitions.iter().position(|(pattern, _)| pattern.matches(name))?;
        self.states.push((definition, LimitAlarmState::default()));
        let place = u32::try_from(self.states.len() - 1).ok()?;
        if self.tells_first {
            self.untold.insert(place);
        }
        Some(place)
    }

    pub(super) fn tell_first(&mut self) {
        self.tells_first = true;
    }

    fn get(&mut self, place: u32) -> Option<(&LimitAlarm, &mut LimitAlarmState, Log<'_>)> {
        let most = EVENTS_MAX.max(self.states.len().saturating_mul(EVENTS_PER_ALARM));
        let (definition, state) = self.states.get_mut(place as usize)?;
        let (_, alarm) = self.definitions.get(*definition)?;
        Some((alarm, state, Log { events: &mut self.events, lost: &mut self.lost, most }))
    }

    pub(super) fn state(&self, place: u32) -> Option<&LimitAlarmState> {
        self.states.get(place as usize).map(|(_, state)| state)
    }

    pub(super) fn definitions(&self) -> impl Iterator<Item = (&Pattern, &LimitAlarm)> {
        self.definitions.iter().map(|(pattern, alarm)| (pattern, alarm))
    }

    pub(super) fn restore(&mut self, place: u32, restored: LimitAlarmState) {
        self.untold.remove(&place);
        self.put(place, restored);
    }

    fn put(&mut self, place: u32, restored: LimitAlarmState) {
        if let Some((alarm, state, _)) = self.get(place) {
            *state = alarm.own_levels(restored);
        }
    }

    pub(super) fn check(&mut self, place: u32, reading: &Reading<'_>, reset: bool, now_ms: i64) {
        let is_untold = !self.untold.is_empty() && self.untold.contains(&place);
        let Some((alarm, state, mut log)) = self.get(place) else { return };
        if reset {
            alarm.clock_reset(state, reading.time);
        }
        let mut on = |transition| log.add(reading.sensor, transition);
        alarm.judge(state, &reading.value, reading.quality, (reading.time, now_ms), &mut on);
        let is_usable = reading.value.as_f64().is_some_and(f64::is_finite) && !reading.quality.is_bad();
        if is_untold && is_usable && alarm.tell_normal(state, reading.time, &mut on) {
            self.untold.remove(&place);
        }
    }

    pub(super) fn tick(&mut self, place: u32, sensor: u32, now_ms: i64) {
        if let Some((alarm, state, mut log)) = self.get(place) {
            alarm.tick(state, now_ms, &mut |transition| log.add(sensor, transition));
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        place: u32,
        sensor: u32,
        (level, transition_id): (AlarmLevel, u64),
        time: i64,
    ) -> Result<AlarmTransition, AckError> {
        let (alarm, state, mut log) = self.get(place).ok_or(AckError::NoSuchAlarm)?;
        let transition = alarm.acknowledge(state, level, transition_id, time)?;
        log.add(sensor, transition);
        Ok(transition)
    }

    fn command(
        &mut self,
        place: u32,
        sensor: u32,
        (level, command): (AlarmLevel, AlarmCommand),
        now_ms: i64,
    ) -> Result<(), AlarmCommandError> {
        let (alarm, state, mut log) = self.get(place).ok_or(AckError::NoSuchAlarm)?;
        alarm.command(state, level, command, now_ms, &mut |transition| log.add(sensor, transition))
    }

    pub(super) fn deadline(&self, place: u32) -> Option<i64> {
        let (definition, state) = self.states.get(place as usize)?;
        self.definitions.get(*definition)?.1.deadline(state)
    }

    pub(super) fn poll(&mut self) -> Option<AlarmEvent> {
        self.events.pop_front()
    }
}

impl Pipeline {
    /// Returns the oldest alarm event that was not taken yet; `None` if there is none. At most 1024 wait, or 8 for each sensor with an alarm where
    /// that is more; then the oldest are dropped and counted.
    pub fn poll_alarm(&mut self) -> Option<AlarmEvent> {
        self.alarms.poll()
    }

    /// Ends the alarm delays that are due at `now_ms`, and does nothing else of what [`tick`](Pipeline::tick) does: for a caller that has no place for
    /// readings now. The time that it takes grows with the number of all sensors.
    pub fn tick_alarms(&mut self, now_ms: i64) {
        for place in self.sensors.places() {
            let number = self.sensors.number_of(place);
            if let Some(alarm) = self.sensors.slot(place).and_then(Slot::alarm)
                && self.alarms.deadline(alarm).is_some_and(|deadline| deadline <= now_ms)
            {
                self.alarms.tick(alarm, number, now_ms);
            }
        }
    }

    /// Returns the time at which [`tick_alarms`](Pipeline::tick_alarms) has something to do; `None` if there is none. It takes as long as that.
    #[must_use]
    pub fn next_alarm_deadline(&self) -> Option<i64> {
        let alarms = self.sensors.places().filter_map(|place| self.sensors.slot(place)?.alarm());
        alarms.filter_map(|alarm| self.alarms.deadline(alarm)).min()
    }

    /// Returns the state of a sensor's alarm; `None` if it has none.
    #[must_use]
    pub fn alarm(&self, sensor: u32) -> Option<&LimitAlarmState> {
        self.alarms.state(self.sensors.of(sensor)?.alarm()?)
    }

    /// Acknowledges an occurrence that an operator has seen; `transition` is the id from its event. Returns the change of state.
    ///
    /// # Errors
    /// If there is no such alarm, nothing waits for an acknowledgement, or another occurrence does.
    pub fn acknowledge(
        &mut self,
        sensor: u32,
        level: AlarmLevel,
        transition: u64,
        now_ms: i64,
    ) -> Result<AlarmTransition, AckError> {
        let (place, alarm) = self.alarm_place(sensor)?;
        let done = self.alarms.acknowledge(alarm, sensor, (level, transition), now_ms)?;
        self.arm(place);
        Ok(done)
    }

    /// Makes the first usable reading of every new alarm report its normal limits too, as events from normal to normal,
    /// once no delay runs. Without such a report, a receiver could still show as active an alarm that ended during a
    /// stop without a snapshot. A [restored](Pipeline::restore) alarm makes no such report. Off by default.
    pub fn tell_first_alarms(&mut self) {
        self.alarms.tell_first();
    }

    /// Applies a command of an operator, or of the plant's logic, to one limit of a sensor's alarm: acknowledge, reset, shelve, suppress or
    /// take out of service. A change of the shown state is an event for [`poll_alarm`](Pipeline::poll_alarm).
    ///
    /// # Errors
    /// If there is no such alarm, or the command does not fit its state.
    pub fn alarm_command(
        &mut self,
        sensor: u32,
        level: AlarmLevel,
        command: AlarmCommand,
        now_ms: i64,
    ) -> Result<(), AlarmCommandError> {
        let (place, alarm) = self.alarm_place(sensor)?;
        self.alarms.command(alarm, sensor, (level, command), now_ms)?;
        self.arm(place);
        Ok(())
    }

    /// Returns the places of a sensor's slot and of its alarm.
    fn alarm_place(&self, sensor: u32) -> Result<(u32, u32), AckError> {
        let place = self.sensors.place(sensor).ok_or(AckError::NoSuchAlarm)?;
        let alarm = self.sensors.slot(place).and_then(Slot::alarm).ok_or(AckError::NoSuchAlarm)?;
        Ok((place, alarm))
    }

    /// Returns all alarms in order, with the patterns of their names.
    pub fn alarms(&self) -> impl Iterator<Item = (&Pattern, &LimitAlarm)> {
        self.alarms.definitions()
    }

    /// Returns the state of every sensor's alarm, with the sensor's number.
    pub fn alarm_states(&self) -> impl Iterator<Item = (u32, &LimitAlarmState)> {
        self.sensors.iter().filter_map(|(number, slot)| Some((number, self.alarms.state(slot.alarm()?)?)))
    }

    /// Restores an alarm's state that was stored without a [`snapshot`](Pipeline::snapshot), at `now_ms`. Changes since then are unknown, so
    /// the first usable reading reports the normal limits, if [asked to](Pipeline::tell_first_alarms). Returns whether the sensor has an alarm.
    pub fn restore_alarm(&mut self, name: &str, state: LimitAlarmState, now_ms: i64) -> bool {
        let number = self.intern(name);
        let Ok((place, alarm)) = self.alarm_place(number) else { return false };
        self.alarms.put(alarm, state.resumed(now_ms));
        self.arm(place);
        true
    }
}

struct Log<'a> {
    events: &'a mut VecDeque<AlarmEvent>,
    lost: &'a mut u64,
    most: usize,
}

impl Log<'_> {
    /// Adds an event. If there is no room the oldest is dropped, because the newest shows more of the present state.
    fn add(&mut self, sensor: u32, transition: AlarmTransition) {
        if self.events.len() >= self.most {
            self.events.pop_front();
            *self.lost += 1;
        }
        self.events.push_back(AlarmEvent { sensor, transition });
    }
}
