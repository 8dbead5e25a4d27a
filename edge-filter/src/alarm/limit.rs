//! One limit with its hysteresis, its delays and its priority.

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
    /// The least and the highest priority: the range of OPC UA's `Severity`.
    pub const PRIORITY: std::ops::RangeInclusive<u16> = 1..=1000;

    /// Active as soon as the value reaches `limit`, normal as soon as it is back: see the setters.
    ///
    /// # Errors
    /// If the limit is NaN or infinite.
    pub fn at(limit: f64) -> Result<Self, ParamError> {
        if !limit.is_finite() {
            return Err(ParamError::new("limit", "a finite number", limit));
        }
        Ok(Limit { limit, deadband: 0.0, on_delay_ms: 0, off_delay_ms: 0, priority: 500 })
    }

    /// The value must come back by more than this to leave the alarm.
    ///
    /// # Errors
    /// If it is NaN, infinite or negative.
    pub fn deadband(mut self, deadband: f64) -> Result<Self, ParamError> {
        self.deadband = width("deadband", deadband)?;
        Ok(self)
    }

    /// The value must be at or beyond the limit for this long (OPC UA Part 9 `OnDelay`).
    ///
    /// # Errors
    /// If it is negative.
    pub fn on_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.on_delay_ms = delay("on_delay_ms", ms)?;
        Ok(self)
    }

    /// The value must be back for this long (`OffDelay`).
    ///
    /// # Errors
    /// If it is negative.
    pub fn off_delay_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.off_delay_ms = delay("off_delay_ms", ms)?;
        Ok(self)
    }

    /// Sets the urgency, 1 to 1000 (OPC UA `Severity`), default 500. Carried in every transition, never judged here.
    ///
    /// # Errors
    /// If it is outside [`Limit::PRIORITY`].
    pub fn priority(mut self, priority: u16) -> Result<Self, ParamError> {
        if !Self::PRIORITY.contains(&priority) {
            return Err(ParamError::new("priority", "within 1 to 1000", priority));
        }
        self.priority = priority;
        Ok(self)
    }
}
