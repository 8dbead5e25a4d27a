//! Restore of limits over a restart: finds the limit of the configuration to which each stored state belongs, by what the user wrote of it.
//! Tables may have been swapped, added, removed or changed since. Where several may be meant, nobody has acknowledged or hidden anything.

use super::level_state_machine::LevelState;
use super::{AlarmLevel, AlarmState, AlarmTransition, LimitAlarm, LimitAlarmState, transition};
use crate::snapshot_serde::as_array;

/// Identity of a limit: its value, and a hash of everything else that the user wrote of it and its table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LimitIdentity {
    limit: f64,
    rules: u64,
}

as_array!(LimitIdentity { limit, rules });

/// Identities of an alarm's limits, from the highest level to the lowest; `None` for a level without a limit.
pub(crate) type LimitIdentities = [Option<LimitIdentity>; 4];

/// State of an alarm in a snapshot. An older program has not written the identities.
#[derive(Clone, Copy)]
pub(crate) struct KeptAlarm<'a> {
    pub(crate) limits: Option<&'a LimitIdentities>,
    pub(crate) state: &'a LimitAlarmState,
}

/// Likeness by which a stored state is taken for that of a limit.
#[derive(Clone, Copy, PartialEq)]
enum Likeness {
    /// Everything is as it was.
    Whole,
    /// The value of the limit is as it was.
    Value,
    /// The level is as it was.
    Level,
}

impl Likeness {
    fn holds(self, one: Option<LimitIdentity>, other: Option<LimitIdentity>) -> bool {
        match self {
            Likeness::Whole => one.is_some() && one == other,
            Likeness::Value => one.zip(other).is_some_and(|(one, other)| one.limit == other.limit),
            Likeness::Level => true,
        }
    }
}

/// Stored or configured limit of one level, with its identity.
type Identified<T> = (Option<LimitIdentity>, T);

/// Restores the alarms of one input. Returns those limits, each with the number of its alarm, whose state was not clear and that wait for an
/// acknowledgement or are active.
pub(crate) fn restore_limits(
    alarms: &mut [(LimitAlarm, &mut LimitAlarmState)],
    kept: &[KeptAlarm<'_>],
    now_ms: i64,
) -> Vec<(usize, AlarmLevel)> {
    let kept: Vec<_> = kept.iter().map(|kept| (kept.limits, kept.state.clone().resumed(now_ms))).collect();
    if let Some((_, first)) = kept.first() {
        // All of them have seen the same values.
        alarms.iter_mut().for_each(|(_, state)| state.see(first.last_value()));
    }
    let mut unclear = Vec::new();
    for (place, level) in AlarmLevel::ALL.into_iter().enumerate() {
        let mut stored =
            kept.iter().filter_map(|(limits, state)| stored_limit(*limits, state, place)).collect();
        let limits = alarms.iter().enumerate();
        let mut wanted = limits
            .filter_map(|(n, (alarm, _))| Some((Some((*alarm.identities().get(place)?)?), n)))
            .collect();
        for likeness in [Likeness::Whole, Likeness::Value, Likeness::Level] {
            for (alarm, state, is_clear) in assign(likeness, &mut wanted, &mut stored, now_ms) {
                if let Some(slot) = alarms.get_mut(alarm).and_then(|(_, of)| of.levels.get_mut(place)) {
                    *slot = state;
                }
                if !is_clear && state.condition != AlarmState::Normal {
                    unclear.push((alarm, level));
                }
            }
        }
    }
    unclear
}

/// Returns the stored state of a level; `None` if its alarm had no limit there, or nothing has happened to it.
fn stored_limit(
    limits: Option<&LimitIdentities>,
    state: &LimitAlarmState,
    place: usize,
) -> Option<Identified<LevelState>> {
    let level = *state.levels.get(place)?;
    match limits {
        Some(limits) => Some((Some((*limits.get(place)?)?), level)),
        None => (level != LevelState::default()).then_some((None, level)),
    }
}

/// Assigns stored states to those limits that are like them, and takes both out. Returns the number of each alarm with its state, and whether
/// that one alone can be meant.
fn assign(
    likeness: Likeness,
    wanted: &mut Vec<Identified<usize>>,
    stored: &mut Vec<Identified<LevelState>>,
    now_ms: i64,
) -> Vec<(usize, LevelState, bool)> {
    let mut assigned = Vec::new();
    let (mut later, mut left) = (Vec::new(), std::mem::take(wanted));
    while let Some(&(identity, _)) = left.first() {
        let alike: Vec<_>;
        (alike, left) = left.into_iter().partition(|(other, _)| likeness.holds(identity, *other));
        let states: Vec<_> = stored.extract_if(.., |(other, _)| likeness.holds(identity, *other)).collect();
        if states.is_empty() {
            later.extend(alike);
            continue;
        }
        // Which of several alike is which makes no difference, if none was added or removed.
        let is_clear = states.len() == alike.len() && (alike.len() == 1 || likeness == Likeness::Whole);
        let any = LevelState::of_any(states.iter().map(|(_, state)| state), now_ms);
        let in_order = states.into_iter().map(|(_, state)| state).chain(std::iter::repeat(any));
        assigned.extend(
            alike
                .into_iter()
                .zip(in_order)
                .map(|((_, n), state)| (n, if is_clear { state } else { any }, is_clear)),
        );
    }
    *wanted = later;
    assigned
}

impl LimitAlarm {
    /// Returns what identifies each limit over a restart.
    pub(crate) fn identities(&self) -> LimitIdentities {
        let options = self.options;
        self.limits.map(|limit| {
            let limit = limit?;
            let rules = [
                limit.deadband.to_bits(),
                limit.on_delay_ms.cast_unsigned(),
                limit.off_delay_ms.cast_unsigned(),
                u64::from(limit.priority),
                u64::from(options.latch),
                options.re_alarm_ms.unwrap_or(0).cast_unsigned(),
                options.max_shelve_ms.unwrap_or(0).cast_unsigned(),
                options.bad_input as u64,
            ];
            Some(LimitIdentity { limit: limit.limit, rules: fnv1a(&rules) })
        })
    }

    /// Returns the report of a limit's state, as a change from normal.
    pub(crate) fn report(
        &self,
        state: &mut LimitAlarmState,
        level: AlarmLevel,
        time: i64,
    ) -> Option<AlarmTransition> {
        let value = state.last_value();
        let (rules, _, of) = self.level(&mut state.levels, level).ok()?;
        Some(transition(rules, level, of, (AlarmState::Normal, of.shown(), time), value))
    }
}

/// Returns the hash FNV-1a of the words. Snapshots hold it, so it must not change.
fn fnv1a(words: &[u64]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
