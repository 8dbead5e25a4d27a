//! Builder of a pipeline from code, without serde.

use super::alarms::Alarms;
use super::deadlines::Deadlines;
use super::rule_set::RuleSet;
use super::sensors::{OverLimit, Sensors};
use super::{Pattern, PatternError, Pipeline, Rule, Stats};
use crate::alarm::LimitAlarm;
use crate::check::Normalise;
use crate::time::TimeGuard;

/// Most rules of a pipeline, because a sensor's state stores the number of its rule in two bytes.
const RULES_MAX: usize = u16::MAX as usize;

/// Builds a [`Pipeline`] from stages.
///
/// ```
/// use edge_filter::alarm::{AlarmLevel, Limit, LimitAlarm};
/// use edge_filter::reduce::{Deadband, OnChange};
/// use edge_filter::{OverLimit, Pipeline, Rule};
///
/// let pipeline = Pipeline::builder()
///     .rule("line2/+/temp", Rule::new().reducer(Deadband::absolute(0.5)?))?
///     .rule("#", Rule::new().reducer(OnChange::new()))? // the first rule that matches wins
///     .alarm("line2/oven/temp", LimitAlarm::new().with(AlarmLevel::High, Limit::at(95.0)?)?)?
///     .max_keys(1_000)
///     .over_limit(OverLimit::EvictIdle)
///     .build();
/// assert_eq!(pipeline.next_deadline(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    rules: Vec<(Pattern, Rule)>,
    alarms: Vec<(Pattern, LimitAlarm)>,
    normalise: Normalise,
    time_guard: TimeGuard,
    max_keys: usize,
    over_limit: OverLimit,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            rules: Vec::new(),
            alarms: Vec::new(),
            normalise: Normalise::default(),
            time_guard: TimeGuard::default(),
            max_keys: 10_000,
            over_limit: OverLimit::Pass,
        }
    }
}

impl Builder {
    /// Adds a rule for the names that `pattern` matches; the first rule that matches a name wins.
    ///
    /// # Errors
    /// If the pattern is malformed, or there are 65535 rules already.
    pub fn rule(mut self, pattern: &str, rule: Rule) -> Result<Self, PatternError> {
        self.add_rule(pattern, rule)?;
        Ok(self)
    }

    pub(super) fn add_rule(&mut self, pattern: &str, rule: Rule) -> Result<(), PatternError> {
        if self.rules.len() >= RULES_MAX {
            return Err(PatternError("at most 65535 rules"));
        }
        self.rules.push((Pattern::new(pattern)?, rule));
        Ok(())
    }

    /// Adds an alarm for the names that `pattern` matches; the first alarm that matches a name wins.
    ///
    /// # Errors
    /// If the pattern is malformed.
    pub fn alarm(mut self, pattern: &str, alarm: LimitAlarm) -> Result<Self, PatternError> {
        self.add_alarm(pattern, alarm)?;
        Ok(self)
    }

    pub(super) fn add_alarm(&mut self, pattern: &str, alarm: LimitAlarm) -> Result<(), PatternError> {
        self.alarms.push((Pattern::new(pattern)?, alarm));
        Ok(())
    }

    /// Sets the stage that interprets quality codes of sensors without a rule. Default: OPC UA, NaN is bad.
    pub fn normalise(mut self, stage: Normalise) -> Self {
        self.normalise = stage;
        self
    }

    /// Sets the guard that keeps older readings from the alarms of sensors without a rule.
    #[cfg(feature = "config")]
    pub(super) fn time_guard(mut self, stage: TimeGuard) -> Self {
        self.time_guard = stage;
        self
    }

    /// Sets the number of names that get a number. Default 10 000. A sensor takes 128 bytes besides its name; 192 with a stage that holds
    /// readings, 500 with a window, and 250 more with an alarm. [`over_limit`](Self::over_limit) decides about further sensors.
    pub fn max_keys(mut self, max: usize) -> Self {
        self.max_keys = max;
        self
    }

    /// Sets the policy for sensors beyond `max_keys`. By default their readings pass unfiltered.
    pub fn over_limit(mut self, policy: OverLimit) -> Self {
        self.over_limit = policy;
        self
    }

    /// Returns the finished pipeline.
    #[must_use]
    pub fn build(self) -> Pipeline {
        Pipeline {
            rules: RuleSet::new(self.rules, self.normalise, self.time_guard),
            sensors: Sensors::new(self.max_keys, self.over_limit),
            alarms: Alarms::new(self.alarms),
            deadlines: Deadlines::default(),
            stats: Stats::default(),
            trusts_clock: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_bounded() -> Result<(), PatternError> {
        let mut builder = Pipeline::builder();
        for _ in 0..RULES_MAX {
            builder.add_rule("a", Rule::new())?;
        }
        assert_eq!(builder.add_rule("a", Rule::new()), Err(PatternError("at most 65535 rules")));
        Ok(())
    }
}
