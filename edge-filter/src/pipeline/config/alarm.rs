//! Keys of `[[alarm]]`, and the alarm that they describe.

use crate::alarm::{AlarmLevel, BadInput, Limit, LimitAlarm};

use super::checks::Checks;
use super::error::Problem;
use super::path::Place;
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
    /// Builds the alarm. `place` is that of its table; errors are added to `problems`.
    pub(crate) fn build(&self, place: &Place, problems: &mut Vec<Problem>) -> LimitAlarm {
        let levels = [
            ("hihi", AlarmLevel::HighHigh, &self.hihi),
            ("high", AlarmLevel::High, &self.high),
            ("low", AlarmLevel::Low, &self.low),
            ("lolo", AlarmLevel::LowLow, &self.lolo),
        ];
        let keys = levels.map(|(key, ..)| key);
        let mut checks = Checks::new(place, problems);
        if levels.iter().all(|(_, _, limit)| limit.is_none()) {
            let problem = "an alarm needs at least one of `hihi`, `high`, `low`, `lolo`";
            checks.note(Problem::at(place.clone(), problem).about(place, &keys));
        }
        let mut alarm = LimitAlarm::new().latch(self.latch).bad_input(self.bad_input);
        alarm = checks.set(alarm, "re_alarm_ms", self.re_alarm_ms, LimitAlarm::re_alarm_ms);
        alarm = checks.set(alarm, "max_shelve_ms", self.max_shelve_ms, LimitAlarm::max_shelve_ms);
        for (key, level, limit) in levels {
            let Some(limit) = limit else { continue };
            let Some(limit) = limit.build(&place.key(key), problems) else { continue };
            match alarm.with(level, limit) {
                Ok(with) => alarm = with,
                Err(error) => {
                    let problem = Problem::param(&place.key(key), &error);
                    let others = keys.iter().map(|key| place.key(key));
                    problems.push(others.fold(problem, |problem, other| problem.about(&other, &["limit"])));
                }
            }
        }
        alarm
    }
}

impl LimitConfig {
    /// Builds the limit; `None` if its value itself is refused.
    fn build(&self, place: &Place, problems: &mut Vec<Problem>) -> Option<Limit> {
        let mut checks = Checks::new(place, problems);
        let at = checks.ok(Limit::at(self.limit));
        let mut limit = at.or(Limit::at(0.0).ok())?;
        limit = checks.set(limit, "deadband", Some(self.deadband), Limit::deadband);
        limit = checks.set(limit, "on_delay_ms", Some(self.on_delay_ms), Limit::on_delay_ms);
        limit = checks.set(limit, "off_delay_ms", Some(self.off_delay_ms), Limit::off_delay_ms);
        limit = checks.set(limit, "priority", self.priority, Limit::priority);
        at.map(|_| limit)
    }
}
