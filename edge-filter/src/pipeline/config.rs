//! Pipelines from TOML or any serde format.
//!
//! ```toml
//! [defaults]                      # each is optional; these are the values that hold without it
//! max_keys = 10000
//! over_limit = "pass"
//! quality = "opcua"               # or "sparkplug"
//! nan_is_bad = true
//! max_future_ms = 60000
//! max_backward_ms = 60000
//! n_confirm = 3
//! max_gap_ms = 3600000
//! out_of_order = "drop"           # or "pass"
//!
//! [[rule]]                        # the first rule whose pattern matches a name applies
//! match = "site/+/temp/#"
//! range = { low = -40.0, high = 150.0 }          # engineering range, for percent
//! stages = [                      # at most one of each, in this order
//!   { time_guard = { max_gap_ms = 600000 } },    # what differs from the defaults
//!   { gross_range = { fail = [-40.0, 150.0], suspect = [-10.0, 120.0], action = "mark" } },
//!   { deadband = { percent = 0.5, max_interval_ms = 600000 } },
//!   { stale = { timeout_ms = 30000 } },
//! ]
//!
//! [[alarm]]                       # the first alarm whose pattern matches a name applies
//! match = "site/a/temp/out"
//! hihi = { limit = 110.0 }
//! high = { limit = 95.0, deadband = 1.5, on_delay_ms = 15000, off_delay_ms = 5000 }
//! ```

use super::config_error::{ConfigError, Place};
use super::{Pipeline, Rule};
use crate::{
    AlarmLevel, Deadband, Limit, LimitAlarm, Normalise, OutOfOrder, QualityScheme, Range, RangeAction, Stale,
    TimeGuard,
};
use serde::{Deserialize, Serialize};

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, written as a literal or in a file")]
pub struct Config {
    /// What holds where a rule does not say otherwise.
    pub defaults: Defaults,
    /// The rules, in order.
    pub rule: Vec<RuleConfig>,
    /// The alarms, in order.
    pub alarm: Vec<AlarmConfig>,
}

/// `[defaults]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; the keys are those of the stages")]
pub struct Defaults {
    pub max_keys: usize,
    pub over_limit: OverLimit,
    pub quality: QualityScheme,
    pub nan_is_bad: bool,
    pub max_future_ms: i64,
    pub max_backward_ms: i64,
    pub n_confirm: u32,
    pub max_gap_ms: i64,
    pub out_of_order: OutOfOrder,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            max_keys: 10_000,
            over_limit: OverLimit::Pass,
            quality: QualityScheme::OpcUa,
            nan_is_bad: true,
            max_future_ms: 60_000,
            max_backward_ms: 60_000,
            n_confirm: 3,
            max_gap_ms: 3_600_000,
            out_of_order: OutOfOrder::Drop,
        }
    }
}

/// What happens to sensors beyond `max_keys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OverLimit {
    /// Their readings pass unfiltered and are counted.
    #[default]
    Pass,
}

/// `[[rule]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; the keys are those of the stages")]
pub struct RuleConfig {
    #[serde(rename = "match")]
    pub pattern: String,
    #[serde(default)]
    pub range: Option<EngineeringRange>,
    #[serde(default)]
    pub quality: Option<QualityScheme>,
    #[serde(default)]
    pub nan_is_bad: Option<bool>,
    #[serde(default)]
    pub stages: Vec<StageConfig>,
}

/// The range that percentages are of (OPC UA `EURange`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct EngineeringRange {
    pub low: f64,
    pub high: f64,
}

/// One element of `stages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageConfig {
    /// See [`TimeGuard`].
    TimeGuard(TimeGuardConfig),
    /// See [`Range`].
    GrossRange(GrossRangeConfig),
    /// See [`Deadband`].
    Deadband(DeadbandConfig),
    /// See [`Stale`].
    Stale(StaleConfig),
}

/// What differs from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `TimeGuard`")]
pub struct TimeGuardConfig {
    pub max_future_ms: Option<i64>,
    pub max_backward_ms: Option<i64>,
    pub n_confirm: Option<u32>,
    pub max_gap_ms: Option<i64>,
    pub out_of_order: Option<OutOfOrder>,
}

/// See [`Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Range`")]
pub struct GrossRangeConfig {
    pub fail: [f64; 2],
    #[serde(default)]
    pub suspect: Option<[f64; 2]>,
    #[serde(default)]
    pub action: RangeAction,
}

/// See [`Deadband`]; exactly one of `absolute` and `percent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data; see the setters of `Deadband`")]
pub struct DeadbandConfig {
    pub absolute: Option<f64>,
    pub percent: Option<f64>,
    pub min_interval_ms: i64,
    pub max_interval_ms: Option<i64>,
    pub uncertain_as: UncertainAs,
}

/// Whether uncertain values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum UncertainAs {
    /// They are.
    #[default]
    Good,
    /// They are not.
    Bad,
}

/// See [`Stale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
pub struct StaleConfig {
    pub timeout_ms: i64,
}

/// `[[alarm]]`, see [`LimitAlarm`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "plain data")]
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
}

/// See [`Limit`].
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
}

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
            let limits = build_alarm(alarm, &place)?;
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

fn build_alarm(config: &AlarmConfig, place: &Place) -> Result<LimitAlarm, ConfigError> {
    let levels = [
        ("hihi", AlarmLevel::HighHigh, &config.hihi),
        ("high", AlarmLevel::High, &config.high),
        ("low", AlarmLevel::Low, &config.low),
        ("lolo", AlarmLevel::LowLow, &config.lolo),
    ];
    let mut alarm = LimitAlarm::new();
    for (key, level, limit) in levels {
        let Some(c) = limit else { continue };
        let build = || {
            let limit = Limit::at(c.limit)?.deadband(c.deadband)?;
            alarm.with(level, limit.on_delay_ms(c.on_delay_ms)?.off_delay_ms(c.off_delay_ms)?)
        };
        alarm = build().map_err(|e| ConfigError::param(&place.key(key), &e))?;
    }
    if alarm == LimitAlarm::new() {
        return Err(ConfigError::at(
            place.clone(),
            "an alarm needs at least one of `hihi`, `high`, `low`, `lolo`",
        ));
    }
    Ok(alarm)
}
