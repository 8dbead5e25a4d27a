//! `[[alarm]]`: its keys, and the alarm that they describe.

use super::config_error::{ConfigError, Place};
use crate::ParamError;
use crate::alarm::{AlarmLevel, BadInput, Limit, LimitAlarm};
use serde::{Deserialize, Serialize};

/// Entry of `[[alarm]]`, see [`LimitAlarm`](crate::alarm::LimitAlarm).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `LimitAlarm`")]
pub struct AlarmConfig {
    #[serde(rename = "match")]
    pub pattern: String,
    #[serde(default)]
    pub hihi: Option<LimitConfig>,
    #[serde(default)]
    pub high: Option<LimitConfig>,
    #[serde(default)]
    pub low: Option<LimitConfig>,
    #[serde(default)]
    pub lolo: Option<LimitConfig>,
    #[serde(default)]
    pub latch: bool,
    #[serde(default)]
    pub re_alarm_ms: Option<i64>,
    #[serde(default)]
    pub max_shelve_ms: Option<i64>,
    #[serde(default)]
    pub bad_input: BadInput,
}

/// Parameters of a [`Limit`](crate::alarm::Limit).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Limit`")]
pub struct LimitConfig {
    pub limit: f64,
    #[serde(default)]
    pub deadband: f64,
    #[serde(default)]
    pub on_delay_ms: i64,
    #[serde(default)]
    pub off_delay_ms: i64,
    #[serde(default)]
    pub priority: Option<u16>,
}

impl AlarmConfig {
    /// The alarm; `place` is the table's.
    pub(crate) fn build(&self, place: &Place) -> Result<LimitAlarm, ConfigError> {
        let levels = [
            ("hihi", AlarmLevel::HighHigh, &self.hihi),
            ("high", AlarmLevel::High, &self.high),
            ("low", AlarmLevel::Low, &self.low),
            ("lolo", AlarmLevel::LowLow, &self.lolo),
        ];
        if levels.iter().all(|(_, _, limit)| limit.is_none()) {
            let problem = "an alarm needs at least one of `hihi`, `high`, `low`, `lolo`";
            return Err(ConfigError::at(place.clone(), problem));
        }
        let mut alarm = LimitAlarm::new().latch(self.latch).bad_input(self.bad_input);
        let refused = |error: ParamError| ConfigError::param(place, &error);
        if let Some(ms) = self.re_alarm_ms {
            alarm = alarm.re_alarm_ms(ms).map_err(refused)?;
        }
        if let Some(ms) = self.max_shelve_ms {
            alarm = alarm.max_shelve_ms(ms).map_err(refused)?;
        }
        for (key, level, limit) in levels {
            let Some(limit) = limit else { continue };
            let with = limit.build().and_then(|limit| alarm.with(level, limit));
            alarm = with.map_err(|error| ConfigError::param(&place.key(key), &error))?;
        }
        Ok(alarm)
    }
}

impl LimitConfig {
    fn build(&self) -> Result<Limit, ParamError> {
        let limit = Limit::at(self.limit)?.deadband(self.deadband)?;
        let limit = limit.on_delay_ms(self.on_delay_ms)?.off_delay_ms(self.off_delay_ms)?;
        self.priority.map_or(Ok(limit), |priority| limit.priority(priority))
    }
}
