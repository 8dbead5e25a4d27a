//! Alarms of a route's filter: their changes become readings, and operators acknowledge or shelve them.

use edge_bridge::escape::Escaped;
use edge_bridge::ingest::Now;
use edge_codec::Value;
use edge_filter::alarm::{
    AlarmCommand, AlarmCommandError, AlarmLevel, AlarmState, AlarmTransition, LimitAlarmState,
};

use crate::run::filters::reading_row::ReadingRow;
use crate::run::filters::readings::{Taken, keep};
use crate::run::log::token_bucket::{LineBudget, MINUTE_MS};
use crate::run::tap::Judgement;

use super::{Filter, left_ms};

/// Changes of alarms that are logged without a pause, as when a plant trips; after them one a minute is logged.
const LINES_AT_ONCE: u64 = 60;

/// Changes of a filter's alarms since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct AlarmChanges {
    /// Changes, each with the name of its sensor.
    pub(crate) all: Vec<(Box<str>, AlarmTransition)>,
    /// Set if one of them changed a state that is kept on disk, such as an acknowledgement.
    pub(crate) is_kept: bool,
}

/// Rate limit of the log lines about a filter's alarms, so that a chattering alarm does not write a line for each change.
#[derive(Debug)]
pub(super) struct AlarmLog {
    budget: LineBudget,
    not_logged: u64,
}

impl Default for AlarmLog {
    fn default() -> Self {
        Self { budget: LineBudget::new(LINES_AT_ONCE, MINUTE_MS), not_logged: 0 }
    }
}

impl AlarmLog {
    /// Counts a change. Returns how many changes had no line since the last one, if this change gets one; otherwise `None`.
    fn note(&mut self, up_ms: u64) -> Option<u64> {
        let is_said = self.budget.take(up_ms);
        self.not_logged += u64::from(!is_said);
        is_said.then(|| std::mem::take(&mut self.not_logged))
    }
}

impl Filter {
    /// Collects changes of alarms from now on, for [`take_alarm_changes`](Self::take_alarm_changes).
    pub(crate) fn tell_alarms(&mut self) {
        self.alarm_changes = Some(AlarmChanges::default());
    }

    pub(crate) fn take_alarm_changes(&mut self) -> AlarmChanges {
        self.alarm_changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Ends the delays of alarms that are due, and emits no reading but their changes.
    pub(in crate::run) fn tick_alarms(&mut self, now: Now, taken: &mut Taken) {
        self.pipeline.tick_alarms(now.wall_ms);
        self.keep_alarms(now, taken);
    }

    /// Returns the milliseconds until [`tick_alarms`](Self::tick_alarms) has something to do. `None`: there is nothing.
    pub(in crate::run) fn alarms_due_in_ms(&self, now: Now) -> Option<u64> {
        self.pipeline.next_alarm_deadline().map(|at_ms| left_ms(at_ms, now))
    }

    /// Returns whether the sensor has sent readings and has an alarm.
    pub(crate) fn has_alarm(&self, sensor: &str) -> bool {
        self.pipeline.number(sensor).is_some_and(|sensor| self.pipeline.alarm(sensor).is_some())
    }

    /// Performs an operator's command on one limit of a sensor.
    ///
    /// # Errors
    /// The alarm refused.
    pub(crate) fn alarm_command(
        &mut self,
        now: Now,
        (sensor, level, command): (&str, AlarmLevel, AlarmCommand),
        taken: &mut Taken,
    ) -> Result<(), AlarmCommandError> {
        let sensor = self.pipeline.number(sensor).unwrap_or(edge_filter::Pipeline::UNFILTERED);
        let done = self.pipeline.alarm_command(sensor, level, command, now.wall_ms);
        self.keep_alarms(now, taken);
        done
    }

    /// Returns the alarm states that result from operators' commands, each with its sensor's name, sorted by name.
    pub(crate) fn alarms_by_command(&self) -> Vec<(Box<str>, LimitAlarmState)> {
        let kept = self.pipeline.alarm_states().filter(|(_, state)| state.is_by_command());
        let named =
            kept.filter_map(|(sensor, state)| Some((self.pipeline.name(sensor)?.into(), state.clone())));
        let mut all: Vec<(Box<str>, _)> = named.collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Restores such states, and reports every limit that is not normal: as a possible duplicate, with the present time.
    pub(crate) fn restore_alarms(
        &mut self,
        now: Now,
        alarms: Vec<(Box<str>, LimitAlarmState)>,
        taken: &mut Taken,
    ) {
        for (sensor, state) in alarms {
            if !self.pipeline.restore_alarm(&sensor, state, now.wall_ms) {
                continue;
            }
            let number = self.pipeline.number(&sensor);
            let Some(restored) = number.and_then(|number| self.pipeline.alarm(number)) else { continue };
            let limits = AlarmLevel::ALL.iter().map(|level| (level, restored.state(*level)));
            for (level, state) in limits.filter(|(_, state)| *state != AlarmState::Normal) {
                let row = alarm_row(&sensor, level.as_str(), now.wall_ms, state.as_str());
                keep(&row, true, true, &mut taken.kept);
            }
        }
    }

    /// Emits each change of an alarm as a reading of its own: sensor `NAME/alarm/HI`, the ISA-18.2 state as text.
    pub(super) fn keep_alarms(&mut self, now: Now, taken: &mut Taken) {
        while let Some(event) = self.pipeline.poll_alarm() {
            let Some(name) = self.pipeline.name(event.sensor) else { continue };
            let transition = event.transition;
            let (level, from, to) =
                (transition.level.as_str(), transition.from.as_str(), transition.to.as_str());
            if let Some(not_logged) = self.alarm_log.note(now.up_ms) {
                let sensor = format_args!("\"{}\"", Escaped(name));
                tracing::info!(sensor = %sensor, level, from, to, value = transition.value, not_logged, "alarm");
            }
            let row = alarm_row(name, level, transition.time, to);
            taken.trail.add(Judgement::passed("alarm"), &row);
            keep(&row, true, false, &mut taken.kept);
            if let Some(changes) = &mut self.alarm_changes {
                changes.is_kept |= transition.from.is_by_command() || transition.to.is_by_command();
                changes.all.push((name.into(), transition));
            }
        }
    }
}

/// Returns the state of a limit as a reading.
fn alarm_row(sensor: &str, level: &str, time: i64, state: &'static str) -> ReadingRow<'static> {
    ReadingRow {
        sensor: format!("{sensor}/alarm/{level}").into(),
        unit: "".into(),
        time,
        value: Value::Text(state.into()),
        quality: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chattering_alarm_has_a_line_a_minute_that_says_what_was_left_out() {
        let mut log = AlarmLog::default();
        let lines: Vec<u64> = (0..6_000).filter_map(|tenth| log.note(tenth * 100)).collect();
        assert_eq!(lines.len() as u64, LINES_AT_ONCE + 9, "{lines:?}");
        assert_eq!(
            (lines[0], lines.iter().skip(61).all(|left_out| *left_out == 599)),
            (0, true),
            "{lines:?}"
        );
    }
}
