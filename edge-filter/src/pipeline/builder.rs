//! A pipeline from code, without serde.

use super::alarms::Alarms;
use super::deadlines::Deadlines;
use super::intern::Names;
use super::{Pattern, PatternError, Pipeline, Rule, Stats};
use crate::{LimitAlarm, Normalise};

/// Builds a [`Pipeline`] from stages.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    rules: Vec<(Pattern, Rule)>,
    alarms: Vec<(Pattern, LimitAlarm)>,
    normalise: Normalise,
    max_keys: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Builder { rules: Vec::new(), alarms: Vec::new(), normalise: Normalise::default(), max_keys: 10_000 }
    }
}

impl Builder {
    /// Adds a rule for the names that `pattern` matches; the first rule that matches a name wins.
    ///
    /// # Errors
    /// If the pattern is malformed.
    pub fn rule(mut self, pattern: &str, rule: Rule) -> Result<Self, PatternError> {
        self.rules.push((Pattern::new(pattern)?, rule));
        Ok(self)
    }

    /// Adds an alarm for the names that `pattern` matches; the first alarm that matches a name wins.
    ///
    /// # Errors
    /// If the pattern is malformed.
    pub fn alarm(mut self, pattern: &str, alarm: LimitAlarm) -> Result<Self, PatternError> {
        self.alarms.push((Pattern::new(pattern)?, alarm));
        Ok(self)
    }

    /// How the qualities of sensors without a rule are read. Default: OPC UA, NaN is bad.
    pub fn normalise(mut self, stage: Normalise) -> Self {
        self.normalise = stage;
        self
    }

    /// How many names get a number, default 10 000. A sensor takes about 350 bytes beside its name, and 250 more with
    /// an alarm. Readings of further sensors pass unfiltered and are counted.
    pub fn max_keys(mut self, max: usize) -> Self {
        self.max_keys = max;
        self
    }

    /// The pipeline.
    #[must_use]
    pub fn build(self) -> Pipeline {
        Pipeline {
            rules: self.rules,
            normalise: self.normalise,
            names: Names::new(self.max_keys),
            sensors: Vec::new(),
            alarms: Alarms::new(self.alarms),
            deadlines: Deadlines::default(),
            stats: Stats::default(),
        }
    }
}
