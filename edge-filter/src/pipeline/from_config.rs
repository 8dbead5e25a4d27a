//! From a configuration to stages: every parameter is checked by the stage that it is for.

use super::config::{
    Config, DeadbandConfig, Defaults, EngineeringRange, GrossRangeConfig, RuleConfig, StageConfig,
    TimeGuardConfig, UncertainAs,
};
use super::config_error::{ConfigError, Place};
use super::{Pipeline, Rule};
use crate::{Deadband, Normalise, QualityScheme, Range, Stale, TimeGuard};

impl Pipeline {
    /// A pipeline from TOML; see [`config`](crate::config) for the keys.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line, its rule, stage and key, and what it should be.
    pub fn from_toml(text: &str) -> Result<Pipeline, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text))?;
        Self::from_config(&config).map_err(|error| error.locate(text))
    }

    /// A pipeline from a configuration that was read in another way.
    ///
    /// # Errors
    /// The first thing that is wrong, with its rule, stage and key, and what it should be.
    pub fn from_config(config: &Config) -> Result<Pipeline, ConfigError> {
        let d = &config.defaults;
        let defaults = Place::root().key("defaults");
        let guard = guard(TimeGuard::default(), &TimeGuardConfig::from(d))
            .map_err(|e| ConfigError::param(&defaults, &e))?;
        let mut builder =
            Pipeline::builder().max_keys(d.max_keys).normalise(normalise(d.quality, d.nan_is_bad));
        for (index, rule) in config.rule.iter().enumerate() {
            let place = Place::root().key("rule").index(index);
            let stages = build_rule(rule, d, guard, &place)?;
            builder =
                builder.rule(&rule.pattern, stages).map_err(|e| ConfigError::at(place.key("match"), e))?;
        }
        for (index, alarm) in config.alarm.iter().enumerate() {
            let place = Place::root().key("alarm").index(index);
            let limits = alarm.build(&place)?;
            builder =
                builder.alarm(&alarm.pattern, limits).map_err(|e| ConfigError::at(place.key("match"), e))?;
        }
        Ok(builder.build())
    }
}

impl From<&Defaults> for TimeGuardConfig {
    fn from(d: &Defaults) -> Self {
        TimeGuardConfig {
            max_future_ms: Some(d.max_future_ms),
            max_backward_ms: Some(d.max_backward_ms),
            n_confirm: Some(d.n_confirm),
            max_gap_ms: Some(d.max_gap_ms),
            out_of_order: Some(d.out_of_order),
        }
    }
}

fn normalise(scheme: QualityScheme, nan_is_bad: bool) -> Normalise {
    Normalise::new(scheme).nan_is_bad(nan_is_bad)
}

fn guard(mut guard: TimeGuard, config: &TimeGuardConfig) -> Result<TimeGuard, crate::ParamError> {
    if let Some(ms) = config.max_future_ms {
        guard = guard.max_future_ms(ms)?;
    }
    if let Some(ms) = config.max_backward_ms {
        guard = guard.max_backward_ms(ms)?;
    }
    if let Some(readings) = config.n_confirm {
        guard = guard.confirm(readings)?;
    }
    if let Some(ms) = config.max_gap_ms {
        guard = guard.max_gap_ms(ms)?;
    }
    Ok(config.out_of_order.map_or(guard, |policy| guard.out_of_order(policy)))
}

fn build_rule(
    config: &RuleConfig,
    d: &Defaults,
    base: TimeGuard,
    place: &Place,
) -> Result<Rule, ConfigError> {
    let scheme = config.quality.unwrap_or(d.quality);
    let nan_is_bad = config.nan_is_bad.unwrap_or(d.nan_is_bad);
    if let Some(EngineeringRange { low, high }) = config.range {
        crate::error::span("range", low, high).map_err(|e| ConfigError::param(place, &e))?;
    }
    let mut rule = Rule::new().normalise(normalise(scheme, nan_is_bad)).time_guard(base);
    let mut last = None;
    for (index, stage) in config.stages.iter().enumerate() {
        let place = place.key("stages").index(index).key(stage.name());
        if last.is_some_and(|last| stage.order() <= last) {
            let problem = "stages run in the order time_guard, gross_range, deadband, stale: list each at most once, so";
            return Err(ConfigError::at(place, problem));
        }
        last = Some(stage.order());
        rule = add_stage(rule, stage, base, config.range, &place)?;
    }
    Ok(rule)
}

fn add_stage(
    rule: Rule,
    stage: &StageConfig,
    base: TimeGuard,
    range: Option<EngineeringRange>,
    place: &Place,
) -> Result<Rule, ConfigError> {
    match stage {
        StageConfig::TimeGuard(c) => guard(base, c).map(|g| rule.time_guard(g)),
        StageConfig::GrossRange(c) => gross_range(c).map(|r| rule.range(r)),
        StageConfig::Deadband(c) => return deadband(c, range, place).map(|db| rule.deadband(db)),
        StageConfig::Stale(c) => Stale::after_ms(c.timeout_ms).map(|s| rule.stale(s)),
    }
    .map_err(|e| ConfigError::param(place, &e))
}

impl StageConfig {
    fn name(&self) -> &'static str {
        match self {
            StageConfig::TimeGuard(_) => "time_guard",
            StageConfig::GrossRange(_) => "gross_range",
            StageConfig::Deadband(_) => "deadband",
            StageConfig::Stale(_) => "stale",
        }
    }

    fn order(&self) -> u8 {
        match self {
            StageConfig::TimeGuard(_) => 0,
            StageConfig::GrossRange(_) => 1,
            StageConfig::Deadband(_) => 2,
            StageConfig::Stale(_) => 3,
        }
    }
}

fn gross_range(config: &GrossRangeConfig) -> Result<Range, crate::ParamError> {
    let [low, high] = config.fail;
    let range = Range::new(low, high)?.action(config.action);
    config.suspect.map_or(Ok(range), |[low, high]| range.suspect(low, high))
}

fn deadband(
    c: &DeadbandConfig,
    range: Option<EngineeringRange>,
    place: &Place,
) -> Result<Deadband, ConfigError> {
    let stage = match (c.absolute, c.percent, range) {
        (Some(tolerance), None, _) => Deadband::absolute(tolerance),
        (None, Some(percent), Some(EngineeringRange { low, high })) => {
            Deadband::percent_of_range(percent, low, high)
        }
        (None, Some(_), None) => {
            let problem = "a percentage needs the rule's engineering range: range = { low = …, high = … }";
            return Err(ConfigError::at(place.key("percent"), problem));
        }
        _ => {
            return Err(ConfigError::at(
                place.clone(),
                "a deadband needs exactly one of `absolute` and `percent`",
            ));
        }
    };
    let build = || {
        let stage =
            stage?.uncertain_is_bad(c.uncertain_as == UncertainAs::Bad).min_interval_ms(c.min_interval_ms)?;
        c.max_interval_ms.map_or(Ok(stage), |ms| stage.max_interval_ms(ms))
    };
    build().map_err(|e| ConfigError::param(place, &e))
}
