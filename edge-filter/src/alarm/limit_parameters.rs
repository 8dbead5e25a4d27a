//! Parameters of one limit: its hysteresis, delays and priority, and the rule for bad readings. The judgement is elsewhere.

use crate::error::{ParamError, delay, width};

/// One limit of a [`LimitAlarm`](super::LimitAlarm), with its hysteresis and delays.
///
/// ```
/// use edge_filter::alarm::Limit;
///
/// let limit = Limit::at(95.0)?.deadband(1.5)?.on_delay_ms(5_000)?.off_delay_ms(10_000)?.priority(700)?;
/// assert!(Limit::at(f64::NAN).is_err() && limit.priority(0).is_err());
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub(super) limit: f64,
    pub(super) deadband: f64,
    pub(super) on_delay_ms: i64,
    pub(super) off_delay_ms: i64,
    pub(super) priority: u16,
}

impl Limit {
    /// Range of priorities, that of OPC UA's `Severity`.
    pub const PRIORITY: std::ops::RangeInclusive<u16> = 1..=1000;

    /// Creates a limit that is active as soon as the value reaches it and normal as soon as the value is back. The setters add hysteresis and
    /// delays.
    ///
    /// # Errors
    /// If the limit is NaN or infinite.
    pub fn at(limit: f64) -> Result<Self, ParamError> {
        if !limit.is_finite() {
            return Err(ParamError::new("limit", "a finite number", limit));
        }
        Ok(Limit { limit, deadband: 0.0, on_delay_ms: 0, off_delay_ms: 0, priority: 500 })
    }

    /// Sets the distance by which the value must come back to leave the alarm.
    ///
    /// # Errors
    /// If the distance is NaN, infinite or negative.
    pub fn deadband(mut self, deadband: f64) -> Result<Self, ParamError> {
        self.deadband = width("deadband", deadband)?;
        Ok(self)
    }

    /// Sets the time in milliseconds for which the value must be at or beyond the limit (OPC UA Part 9 `OnDelay`).
    ///
    /// # Errors
    /// If the time is negative.
    pub fn on_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.on_delay_ms = delay("on_delay_ms", ms)?;
        Ok(self)
    }

    /// Sets the time in milliseconds for which the value must be back (`OffDelay`).
    ///
    /// # Errors
    /// If the time is negative.
    pub fn off_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.off_delay_ms = delay("off_delay_ms", ms)?;
        Ok(self)
    }

    /// Sets the urgency, 1 to 1000 (OPC UA `Severity`). Default 500. Every transition carries it; nothing here depends on it.
    ///
    /// # Errors
    /// If the priority is outside [`Limit::PRIORITY`].
    pub fn priority(mut self, priority: u16) -> Result<Self, ParamError> {
        if !Self::PRIORITY.contains(&priority) {
            return Err(ParamError::new("priority", "within 1 to 1000", priority));
        }
        self.priority = priority;
        Ok(self)
    }
}

/// Effect of a bad reading, a NaN, an infinity or a text on an alarm.
///
/// ```
/// # use edge_filter::{ParamError, Quality, alarm::{AlarmLevel, BadInput, Limit, LimitAlarm, LimitAlarmState}};
/// let alarm = LimitAlarm::new().with(AlarmLevel::High, Limit::at(95.0)?)?.bad_input(BadInput::Alarm);
/// let mut told = Vec::new();
/// alarm.check(&mut LimitAlarmState::default(), 20.0, Quality::BAD, 0, 0, &mut |t| told.push(t.level));
/// assert_eq!(told, [AlarmLevel::High]);
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[allow(clippy::exhaustive_enums, reason = "nothing, the worst or the best: there is no fourth way")]
pub enum BadInput {
    /// A bad reading neither raises nor clears an alarm: an active alarm stays, a running `off_delay` starts again, a
    /// running `on_delay` continues.
    #[default]
    Hold,
    /// A bad reading counts as beyond every limit of the alarm, so a sensor that fails raises it.
    Alarm,
    /// A bad reading counts as back to normal, for a sensor that is switched off with its machine.
    Normal,
}
