//! Exclusive alarm, as an EPICS analog input has it: one state at a time, the worst first, one hysteresis.

use crate::Quality;
use crate::alarm::AlarmLevel;
use crate::error::{ParamError, width};

/// Four limits of which one is active at a time (OPC UA `ExclusiveLimitAlarm`), judged as an EPICS `ai` record does:
/// HIHI, LOLO, HIGH, LOW in this order; a limit is entered at `value >= limit` and kept while `value >= limit - hyst`
/// (mirrored for the low ones). The hysteresis is that of the limit that was active last, no other one's.
///
/// It has no delay and no acknowledgement, which [`LimitAlarm`](super::LimitAlarm) has.
///
/// ```
/// # use edge_filter::{*, alarm::*};
/// let alarm = ExclusiveAlarm::new(1.0)?.limit(AlarmLevel::High, 95.0)?;
/// let mut state = ExclusiveAlarmState::default();
/// assert_eq!(alarm.check(&mut state, 95.0, Quality::GOOD), ExclusiveState::High);
/// assert_eq!(alarm.check(&mut state, 94.0, Quality::GOOD), ExclusiveState::High);
/// assert_eq!(alarm.check(&mut state, 93.9, Quality::GOOD), ExclusiveState::Normal);
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExclusiveAlarm {
    limits: [Option<f64>; 4],
    hyst: f64,
}

/// State of an [`ExclusiveAlarm`] per sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct ExclusiveAlarmState {
    /// Limit that was active last, as its place in `ORDER`; it keeps its hysteresis over bad readings. `None`: no limit was active.
    kept: Option<u8>,
}

/// State of an [`ExclusiveAlarm`] after a reading, one of six.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the four limits of the standard, none, and no value to judge")]
pub enum ExclusiveState {
    /// The value is within the limits.
    #[default]
    Normal,
    /// HIGH: above the high limit.
    High,
    /// HIHI: above the high-high limit.
    HighHigh,
    /// LOW: below the low limit.
    Low,
    /// LOLO: below the low-low limit.
    LowLow,
    /// The reading is bad or not a number (EPICS: INVALID, UDF).
    Bad,
}

impl ExclusiveState {
    /// Returns the name: `normal`, `high`, `hihi`, `low`, `lolo` or `bad`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ExclusiveState::Normal => "normal",
            ExclusiveState::High => "high",
            ExclusiveState::HighHigh => "hihi",
            ExclusiveState::Low => "low",
            ExclusiveState::LowLow => "lolo",
            ExclusiveState::Bad => "bad",
        }
    }
}

/// Order in which the limits are judged, that of `checkAlarms` in EPICS.
const ORDER: [(AlarmLevel, ExclusiveState); 4] = [
    (AlarmLevel::HighHigh, ExclusiveState::HighHigh),
    (AlarmLevel::LowLow, ExclusiveState::LowLow),
    (AlarmLevel::High, ExclusiveState::High),
    (AlarmLevel::Low, ExclusiveState::Low),
];

impl ExclusiveAlarm {
    /// Creates an alarm without a limit. `hyst`: distance by which the value must be back to leave a limit.
    ///
    /// # Errors
    /// If `hyst` is NaN, infinite or negative.
    pub fn new(hyst: f64) -> Result<Self, ParamError> {
        Ok(ExclusiveAlarm { limits: [None; 4], hyst: width("hyst", hyst)? })
    }

    /// Adds or replaces a limit. The order of the limits is not checked: the first that applies wins, as in EPICS.
    ///
    /// # Errors
    /// If the limit is NaN or infinite.
    pub fn limit(mut self, level: AlarmLevel, at: f64) -> Result<Self, ParamError> {
        if !at.is_finite() {
            return Err(ParamError::new("limit", "a finite number", at));
        }
        for (slot, (of, _)) in self.limits.iter_mut().zip(ORDER) {
            if of == level {
                *slot = Some(at);
            }
        }
        Ok(self)
    }

    /// Compares a reading with all limits. Returns the new state.
    pub fn check(
        &self,
        state: &mut ExclusiveAlarmState,
        value: f64,
        quality: impl Into<Quality>,
    ) -> ExclusiveState {
        if value.is_nan() || quality.into().is_bad() {
            return ExclusiveState::Bad;
        }
        for (number, (limit, (level, shows))) in (0_u8..).zip(self.limits.iter().zip(ORDER)) {
            let Some(limit) = *limit else { continue };
            let hyst = if state.kept == Some(number) { self.hyst } else { 0.0 };
            let active = match level {
                AlarmLevel::HighHigh | AlarmLevel::High => value >= limit - hyst,
                AlarmLevel::Low | AlarmLevel::LowLow => value <= limit + hyst,
            };
            if active {
                state.kept = Some(number);
                return shows;
            }
        }
        state.kept = None;
        ExclusiveState::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_limit_wins_and_only_the_last_one_has_hysteresis() -> Result<(), ParamError> {
        let mut alarm = ExclusiveAlarm::new(2.0)?;
        for (level, at) in AlarmLevel::ALL.into_iter().zip([100.0, 90.0, 10.0, 0.0]) {
            alarm = alarm.limit(level, at)?;
        }
        let mut state = ExclusiveAlarmState::default();
        for (value, expected) in [
            (50.0, "normal"),
            (90.0, "high"),
            (88.0, "high"),
            (100.0, "hihi"),
            (98.0, "hihi"),
            (97.9, "high"),
            (f64::NAN, "bad"),
            (88.5, "high"),
            (87.9, "normal"),
            (100.5, "hihi"),
            (89.0, "normal"),
            (f64::INFINITY, "hihi"),
            (10.0, "low"),
            (12.0, "low"),
            (-1.0, "lolo"),
            (2.0, "lolo"),
            (2.1, "low"),
            (12.1, "normal"),
        ] {
            assert_eq!(alarm.check(&mut state, value, Quality::GOOD).as_str(), expected, "{value}");
        }
        assert_eq!(alarm.check(&mut state, 50.0, Quality::BAD), ExclusiveState::Bad);
        Ok(())
    }

    #[test]
    fn a_limit_that_is_no_number_is_refused() -> Result<(), ParamError> {
        for at in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(ExclusiveAlarm::new(0.0)?.limit(AlarmLevel::High, at).is_err(), "{at}");
        }
        Ok(())
    }
}
