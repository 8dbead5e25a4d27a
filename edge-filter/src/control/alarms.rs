//! Alarms of a controller: a limit alarm per input that has one, judged when a value arrives or stops arriving.

use super::{CommandError, ControlEvent, Inputs};
use crate::alarm::{AlarmCommand, AlarmLevel, LimitAlarm, LimitAlarmState};
use crate::{Quality, Value};

#[derive(Clone, Debug, Default)]
pub(super) struct ControlAlarms {
    all: Vec<InputAlarm>,
}

#[derive(Clone, Debug)]
struct InputAlarm {
    input: usize,
    alarm: LimitAlarm,
    state: LimitAlarmState,
    /// Value (as bits) and quality that were judged last; `None` before the first scan.
    seen: Option<(u64, Quality)>,
}

impl ControlAlarms {
    pub(super) fn add(&mut self, input: usize, alarm: LimitAlarm) {
        self.all.push(InputAlarm { input, alarm, state: LimitAlarmState::default(), seen: None });
    }

    pub(super) fn inputs(&self) -> impl ExactSizeIterator<Item = usize> {
        self.all.iter().map(|watched| watched.input)
    }

    /// Returns the states of the alarms, by the name of the input.
    pub(super) fn states<'a>(
        &'a self,
        inputs: &'a Inputs,
    ) -> impl Iterator<Item = (&'a str, LimitAlarmState)> {
        let name = |watched: &InputAlarm| inputs.name(watched.input).unwrap_or_default();
        self.all.iter().map(move |watched| (name(watched), watched.state.clone()))
    }

    /// Restores the states of an earlier run; `kept` returns the state of the nth alarm of an input.
    pub(super) fn resume(
        &mut self,
        inputs: &Inputs,
        kept: impl Fn(&str, usize) -> Option<LimitAlarmState>,
        now_ms: i64,
    ) {
        for number in 0..self.all.len() {
            let (before, rest) = self.all.split_at_mut(number);
            let Some(watched) = rest.first_mut() else { return };
            let nth = before.iter().filter(|other| other.input == watched.input).count();
            if let Some(state) = inputs.name(watched.input).and_then(|name| kept(name, nth)) {
                watched.state = state.resumed(now_ms);
            }
        }
    }

    /// Judges the inputs whose value or quality changed. A stale input counts as one that cannot be used.
    pub(super) fn scan(&mut self, inputs: &Inputs, now_ms: i64, on: &mut impl FnMut(ControlEvent)) {
        for (number, watched) in (0..).zip(&mut self.all) {
            let InputAlarm { input, alarm, state, seen } = watched;
            let Some(value) = inputs.value(*input) else { continue };
            let mut tell = |transition| on(ControlEvent::Alarm { alarm: number, transition });
            alarm.tick(state, now_ms, &mut tell);
            let quality = inputs.quality(*input, now_ms);
            let quality = if quality == Quality::UNCERTAIN_LAST_USABLE { Quality::BAD } else { quality };
            if seen.replace((value.to_bits(), quality)) != Some((value.to_bits(), quality)) {
                alarm.judge(state, &Value::F64(value), quality, (now_ms, now_ms), &mut tell);
            }
        }
    }

    pub(super) fn command(
        &mut self,
        alarm: u16,
        level: AlarmLevel,
        command: AlarmCommand,
        now_ms: i64,
        on: &mut impl FnMut(ControlEvent),
    ) -> Result<(), CommandError> {
        let watched = self.all.get_mut(usize::from(alarm)).ok_or(CommandError::Unknown)?;
        let mut tell = |transition| on(ControlEvent::Alarm { alarm, transition });
        let done = watched.alarm.command(&mut watched.state, level, command, now_ms, &mut tell);
        done.map_err(CommandError::Alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamError;
    use crate::alarm::{AlarmState, BadInput, Limit};
    use crate::control::InputSpec;

    /// The value of a message that holds no number is NaN, with a bad quality.
    #[test]
    fn promise_14_an_input_that_is_no_number_is_an_alarm_where_bad_input_is_one() -> Result<(), ParamError> {
        let alarm = LimitAlarm::new().with(AlarmLevel::High, Limit::at(90.0)?)?.bad_input(BadInput::Alarm);
        for (value, quality) in [
            (f64::NAN, Quality::BAD),
            (f64::NAN, Quality::GOOD),
            (f64::INFINITY, Quality::GOOD),
            (20.0, Quality::BAD),
        ] {
            let (mut inputs, mut alarms) = (Inputs::default(), ControlAlarms::default());
            let input = inputs.add(InputSpec::new("t", 1_000)?)?;
            alarms.add(input, alarm);
            let mut told = Vec::new();
            for (at_ms, value, quality) in [(0, 20.0, Quality::GOOD), (10, value, quality)] {
                inputs.set(input, value, quality, at_ms);
                alarms.scan(&inputs, at_ms, &mut |event| {
                    if let ControlEvent::Alarm { transition, .. } = event {
                        told.push((at_ms, transition.to));
                    }
                });
            }
            assert_eq!(told, [(10, AlarmState::Unacknowledged)], "{value} {quality}");
        }
        Ok(())
    }
}
