//! Alarms of a controller: a limit alarm per input that has one, judged when a value arrives or stops arriving.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{CommandError, ControlEvent, Inputs};
use crate::alarm::{
    AckError, AlarmCommand, AlarmCommandError, AlarmLevel, KeptAlarm, LimitAlarm, LimitAlarmState,
    LimitIdentities, restore_limits,
};
use crate::{Quality, Value};

#[derive(Clone, Debug, Default)]
pub(super) struct ControlAlarms {
    all: Vec<InputAlarm>,
    /// Time of the first scan; `None` before it.
    began_ms: Option<i64>,
    /// Alarms and levels that the first scan reports, because their restored state is not the one that was reported last.
    unreported: Vec<(usize, AlarmLevel)>,
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

    /// Returns each alarm with the number of its input.
    pub(super) fn alarms(&self) -> impl Iterator<Item = (usize, &LimitAlarm)> {
        self.all.iter().map(|watched| (watched.input, &watched.alarm))
    }

    /// Returns the states of the alarms, by the name of the input, with what identifies their limits.
    pub(super) fn states<'a>(
        &'a self,
        inputs: &'a Inputs,
    ) -> impl Iterator<Item = (&'a str, LimitIdentities, LimitAlarmState)> {
        let name = |watched: &InputAlarm| inputs.name(watched.input).unwrap_or_default();
        self.all.iter().map(move |watched| (name(watched), watched.alarm.identities(), watched.state.clone()))
    }

    /// Restores the states from a snapshot of an earlier process, which are given with the names of their inputs. Unless it `goes_on`, running
    /// off-delays begin anew: nobody knows whether the value stayed within the limit meanwhile.
    pub(super) fn resume<'a>(
        &mut self,
        inputs: &Inputs,
        kept: impl Iterator<Item = (&'a str, KeptAlarm<'a>)>,
        goes_on: bool,
        now_ms: i64,
    ) {
        let mut by_input: HashMap<&str, Vec<KeptAlarm<'_>>> = HashMap::new();
        kept.for_each(|(name, kept)| by_input.entry(name).or_default().push(kept));
        let mut numbers: HashMap<usize, Vec<usize>> = HashMap::new();
        let all = self.all.iter().enumerate();
        all.for_each(|(number, watched)| numbers.entry(watched.input).or_default().push(number));
        // In their order, so that what is reported is the same each time.
        let mut groups: BTreeMap<usize, Vec<(LimitAlarm, &mut LimitAlarmState)>> = BTreeMap::new();
        for watched in &mut self.all {
            groups.entry(watched.input).or_default().push((watched.alarm, &mut watched.state));
        }
        self.unreported.clear();
        for (input, mut alarms) in groups {
            let Some(kept) = inputs.name(input).and_then(|name| by_input.get(name)) else { continue };
            let unclear = restore_limits(&mut alarms, kept, now_ms);
            let number = |n: usize| numbers.get(&input).and_then(|numbers| numbers.get(n)).copied();
            self.unreported.extend(unclear.into_iter().filter_map(|(n, level)| Some((number(n)?, level))));
        }
        if !goes_on {
            self.stood_still();
        }
    }

    /// Lets off-delays begin anew: nobody saw whether the values stayed within their limits.
    pub(super) fn stood_still(&mut self) {
        self.all.iter_mut().for_each(|watched| watched.alarm.hold_active(&mut watched.state));
    }

    /// Updates the alarms of the inputs whose value or quality changed. A stale input counts as one that cannot be
    /// used, and so does one without any value when it would have become stale since the first scan: its sensor may be
    /// gone since before the start.
    pub(super) fn scan(&mut self, inputs: &Inputs, now_ms: i64, on: &mut impl FnMut(ControlEvent)) {
        let up_ms = now_ms.saturating_sub(*self.began_ms.get_or_insert(now_ms));
        for (number, level) in self.unreported.drain(..) {
            let watched = self.all.get_mut(number);
            let report = watched.and_then(|watched| watched.alarm.report(&mut watched.state, level, now_ms));
            if let (Some(transition), Ok(alarm)) = (report, u16::try_from(number)) {
                on(ControlEvent::Alarm { alarm, transition });
            }
        }
        for (number, watched) in (0..).zip(&mut self.all) {
            let InputAlarm { input, alarm, state, seen } = watched;
            let is_missing =
                inputs.stale_after_ms(*input).is_some_and(|stale_after_ms| up_ms >= stale_after_ms);
            let mut tell = |transition| on(ControlEvent::Alarm { alarm: number, transition });
            if seen.is_none() && inputs.value(*input).is_none() {
                // Restored, and no value yet: nobody knows whether it stayed within the limit meanwhile.
                alarm.hold_active(state);
            }
            // Shelving and delays end without a value too, and after a restart before the first one.
            alarm.tick(state, now_ms, &mut tell);
            let Some(value) = inputs.value(*input).or(is_missing.then_some(f64::NAN)) else { continue };
            let quality = inputs.quality(*input, now_ms);
            let quality = if quality == Quality::UNCERTAIN_LAST_USABLE { Quality::BAD } else { quality };
            if seen.replace((value.to_bits(), quality)) != Some((value.to_bits(), quality)) {
                alarm.judge(state, &Value::F64(value), quality, (now_ms, now_ms), &mut tell);
            }
        }
    }

    /// Applies a command to every alarm of the input that has this level: operators name alarms by input and level, see one of these, and would
    /// leave the others hidden, or waiting, without knowing of them. It is obeyed if any of them takes it. What the plant's logic commands, to
    /// suppress an alarm or to take it out of service, is for the one with this number, and for another only if that has no such level.
    pub(super) fn command(
        &mut self,
        alarm: u16,
        level: AlarmLevel,
        command: AlarmCommand,
        now_ms: i64,
        on: &mut impl FnMut(ControlEvent),
    ) -> Result<(), CommandError> {
        let input = self.all.get(usize::from(alarm)).ok_or(CommandError::Unknown)?.input;
        let others = (0..self.all.len()).filter_map(|number| u16::try_from(number).ok());
        let others = others.filter(|number| *number != alarm);
        let is_for_one = matches!(command, AlarmCommand::Suppress(_) | AlarmCommand::OutOfService(_));
        let (mut is_taken, mut refused) = (false, None);
        for alarm in std::iter::once(alarm).chain(others) {
            let watched = self.all.get_mut(usize::from(alarm)).filter(|watched| watched.input == input);
            let Some(watched) = watched else { continue };
            let mut tell = |transition| on(ControlEvent::Alarm { alarm, transition });
            let done = watched.alarm.command(&mut watched.state, level, command, now_ms, &mut tell);
            let Err(error) = done else {
                if is_for_one {
                    return Ok(());
                }
                is_taken = true;
                continue;
            };
            if refused.is_none_or(|refused| weight(error) > weight(refused)) {
                refused = Some(error);
            }
        }
        if is_taken {
            return Ok(());
        }
        Err(refused.map_or(CommandError::Unknown, CommandError::Alarm))
    }
}

/// Returns how much a refusal says of what the operator sees: an alarm that waits is told before one where there is nothing to do.
fn weight(refused: AlarmCommandError) -> u8 {
    match refused {
        AlarmCommandError::Ack(AckError::NoSuchAlarm) => 0,
        AlarmCommandError::Ack(AckError::NothingToAcknowledge)
        | AlarmCommandError::NothingToReset
        | AlarmCommandError::NotShelved => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamError;
    use crate::alarm::{AlarmState, BadInput, Limit};
    use crate::control::InputSpec;

    #[test]
    fn promise_14_an_input_without_any_value_is_an_alarm_when_it_would_be_stale() -> Result<(), ParamError> {
        let high = LimitAlarm::new().with(AlarmLevel::High, Limit::at(90.0)?)?;
        for (bad_input, raised_ms) in
            [(BadInput::Alarm, Some(6_000)), (BadInput::Hold, None), (BadInput::Normal, None)]
        {
            let (mut inputs, mut alarms) = (Inputs::default(), ControlAlarms::default());
            let input = inputs.add(InputSpec::new("t", 1_000)?)?;
            alarms.add(input, high.bad_input(bad_input));
            let mut told = Vec::new();
            let mut scan = |inputs: &Inputs, at_ms: i64| {
                alarms.scan(inputs, at_ms, &mut |event| {
                    if let ControlEvent::Alarm { transition, .. } = event {
                        told.push((at_ms, transition.to));
                    }
                });
            };
            (5_000..9_000).step_by(10).for_each(|at_ms| scan(&inputs, at_ms));
            inputs.set(input, 20.0, Quality::GOOD, 9_000);
            scan(&inputs, 9_000);
            let expected = raised_ms.map(|at_ms| {
                [(at_ms, AlarmState::Unacknowledged), (9_000, AlarmState::ReturnedUnacknowledged)]
            });
            assert_eq!(told, expected.into_iter().flatten().collect::<Vec<_>>(), "{bad_input:?}");
        }
        Ok(())
    }

    #[test]
    fn shelving_ends_without_a_value() -> Result<(), Box<dyn std::error::Error>> {
        let (mut inputs, mut alarms) = (Inputs::default(), ControlAlarms::default());
        let input = inputs.add(InputSpec::new("t", 1_000)?)?;
        alarms.add(input, LimitAlarm::new().with(AlarmLevel::High, Limit::at(90.0)?)?);
        alarms.scan(&inputs, 5_000, &mut drop);
        let shelve = AlarmCommand::Shelve { for_ms: 100 };
        alarms.command(0, AlarmLevel::High, shelve, 5_000, &mut drop)?;
        let mut told = Vec::new();
        for at_ms in (5_010..5_300).step_by(10) {
            alarms.scan(&inputs, at_ms, &mut |event| {
                if let ControlEvent::Alarm { transition, .. } = event {
                    told.push((at_ms, transition.from, transition.to));
                }
            });
        }
        assert_eq!(told, [(5_100, AlarmState::Shelved, AlarmState::Normal)]);
        Ok(())
    }

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
