//! Building of stages from a configuration. Every stage checks its own parameters.

use crate::check::{Normalise, Range};
use crate::pipeline::builder::Builder;
use crate::pipeline::{Pipeline, Rule};
use crate::reduce::{Deadband, Dedup, OnChange, Reducer, Sample, SegmentHold, SwingingDoor, Trigger};
use crate::time::{Stale, TimeGuard};
use crate::window::{Aggregate, Window};
use crate::{ParamError, QualityScheme};

use super::error::{ConfigError, Problem};
use super::file::ConfigFile;
use super::path::Place;
use super::{
    AlarmConfig, Config, DeadbandConfig, Defaults, EmptyWindows, EngineeringRange, GrossRangeConfig,
    OnChangeConfig, RuleConfig, SegmentHoldConfig, StageConfig, StaleConfig, SwingingDoorConfig,
    TimeGuardConfig, UncertainAs, WindowConfig,
};

impl Pipeline {
    /// Builds a pipeline from a configuration that the caller has deserialized; [`from_toml`](Self::from_toml) reads text.
    ///
    /// # Errors
    /// All errors in the configuration, each with its rule, stage and key, and the values that are allowed; of each stage the first only.
    pub fn from_config(config: &Config) -> Result<Pipeline, ConfigError> {
        let mut assembly = Assembly::new(&config.defaults);
        for (index, rule) in config.rule.iter().enumerate() {
            let stages: Vec<_> = rule.stages.iter().enumerate().collect();
            assembly.rule(index, rule, &stages);
        }
        for (index, alarm) in config.alarm.iter().enumerate() {
            assembly.alarm(index, alarm);
        }
        ConfigError::new(assembly.problems).map_or(Ok(assembly.builder.build()), Err)
    }
}

/// Pipeline that is being built, with the problems found so far.
pub(in crate::pipeline) struct Assembly<'c> {
    defaults: &'c Defaults,
    guard: TimeGuard,
    builder: Builder,
    problems: Vec<Problem>,
}

impl<'c> Assembly<'c> {
    pub(in crate::pipeline) fn new(defaults: &'c Defaults) -> Self {
        let mut problems = Vec::new();
        let guard = guard(TimeGuard::default(), &TimeGuardConfig::from(defaults)).unwrap_or_else(|error| {
            problems.push(Problem::param(&Place::root().key("defaults"), &error));
            TimeGuard::default()
        });
        let builder = Pipeline::builder()
            .max_keys(defaults.max_keys)
            .over_limit(defaults.over_limit)
            .normalise(normalise(defaults.quality, defaults.nan_is_bad))
            .time_guard(guard);
        Assembly { defaults, guard, builder, problems }
    }

    /// Adds a rule. `stages`: its stages with their places in the list.
    pub(in crate::pipeline) fn rule(
        &mut self,
        index: usize,
        config: &RuleConfig,
        stages: &[(usize, &StageConfig)],
    ) {
        let place = Place::root().key("rule").index(index);
        let scheme = config.quality.unwrap_or(self.defaults.quality);
        let nan_is_bad = config.nan_is_bad.unwrap_or(self.defaults.nan_is_bad);
        if let Some(EngineeringRange { low, high }) = config.range
            && let Err(error) = crate::error::span("range", low, high)
        {
            self.problems.push(Problem::param(&place, &error));
        }
        let mut rule = Rule::new().normalise(normalise(scheme, nan_is_bad)).time_guard(self.guard);
        let mut last = None;
        for &(index, stage) in stages {
            let place = place.key("stages").index(index).key(stage.name());
            if last.is_some_and(|last| stage.order() <= last) {
                self.problems.push(Problem::at(place, ORDER));
                continue;
            }
            last = Some(stage.order());
            match add_stage(rule.clone(), stage, self.guard, config.range, &place) {
                Ok(with) => rule = with,
                Err(problem) => self.problems.push(problem),
            }
        }
        if let Err(error) = self.builder.add_rule(&config.pattern, rule) {
            self.problems.push(Problem::at(place.key("match"), error));
        }
    }

    pub(in crate::pipeline) fn alarm(&mut self, index: usize, config: &AlarmConfig) {
        let place = Place::root().key("alarm").index(index);
        let alarm = config.build(&place, &mut self.problems);
        if let Err(error) = self.builder.add_alarm(&config.pattern, alarm) {
            self.problems.push(Problem::at(place.key("match"), error));
        }
    }

    /// Returns the pipeline, or all errors. `file`: the problems of reading, and the lines of those found here.
    pub(in crate::pipeline) fn finish(self, mut file: ConfigFile<'_>) -> Result<Pipeline, ConfigError> {
        self.problems.into_iter().for_each(|problem| file.note(problem));
        file.finish(Some(self.builder.build()))
    }
}

const ORDER: &str = "stages run in the order time_guard, gross_range, rate_of_change, flat_line, attenuated_signal, \
                     hampel, jump_reject, spike, counter, scale, one of on_change, deadband, swinging_door, segment_hold, \
                     window, sample and dedup, stale: list each at most once, so";

impl From<&Defaults> for TimeGuardConfig {
    fn from(d: &Defaults) -> Self {
        TimeGuardConfig {
            max_future_ms: Some(d.max_future_ms),
            max_backward_ms: Some(d.max_backward_ms),
            n_confirm: Some(d.n_confirm),
            max_gap_ms: Some(d.max_gap_ms),
            out_of_order: Some(d.out_of_order),
            future: Some(d.future),
            same_time: Some(d.same_time),
        }
    }
}

fn normalise(scheme: QualityScheme, nan_is_bad: bool) -> Normalise {
    Normalise::new(scheme).nan_is_bad(nan_is_bad)
}

fn guard(mut guard: TimeGuard, config: &TimeGuardConfig) -> Result<TimeGuard, ParamError> {
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
    if let Some(policy) = config.out_of_order {
        guard = guard.out_of_order(policy);
    }
    if let Some(policy) = config.future {
        guard = guard.future(policy);
    }
    Ok(config.same_time.map_or(guard, |policy| guard.same_time(policy)))
}

fn add_stage(
    rule: Rule,
    stage: &StageConfig,
    base: TimeGuard,
    range: Option<EngineeringRange>,
    place: &Place,
) -> Result<Rule, Problem> {
    let stage = match stage {
        StageConfig::TimeGuard(c) => guard(base, c).map(|g| rule.time_guard(g)),
        StageConfig::GrossRange(c) => gross_range(c).map(|r| rule.range(r)),
        StageConfig::RateOfChange(c) => c.build().map(|stage| rule.rate_of_change(stage, c.action)),
        StageConfig::FlatLine(c) => c.build().map(|stage| rule.flat_line(stage, c.action)),
        StageConfig::AttenuatedSignal(c) => c.build().map(|stage| rule.attenuated_signal(stage, c.action)),
        StageConfig::Hampel(c) => c.build().map(|stage| rule.hampel(stage, c.action)),
        StageConfig::JumpReject(c) => c.build().map(|stage| rule.jump_reject(stage, c.action)),
        StageConfig::Spike(c) => c.build().map(|stage| rule.spike(stage, c.action)),
        StageConfig::Counter(c) => c.build().map(|stage| rule.counter(stage)),
        StageConfig::Scale(c) => c.build().map(|stage| rule.scale(stage)),
        StageConfig::OnChange(c) => on_change(c).map(|stage| rule.reducer(stage)),
        StageConfig::Deadband(c) => {
            let tolerance = match (c.trigger, c.absolute, c.percent) {
                (Trigger::Status, None, None) => 0.0,
                _ => tolerance(("absolute", c.absolute), c.percent, range, place)?,
            };
            deadband(c, tolerance).map(|stage| rule.reducer(stage))
        }
        StageConfig::SwingingDoor(c) => {
            let deviation = tolerance(("deviation", c.deviation), c.percent, range, place)?;
            swinging_door(c, deviation).map(|stage| rule.reducer(stage))
        }
        StageConfig::SegmentHold(c) => {
            let deviation = tolerance(("deviation", c.deviation), c.percent, range, place)?;
            segment_hold(c, deviation).map(|stage| rule.reducer(stage))
        }
        StageConfig::Window(c) => window(c).map(|stage| rule.reducer(Reducer::Window(stage, c.agg))),
        StageConfig::Sample(c) => match (c.every_n, c.min_interval_ms) {
            (Some(n), None) => Sample::every_n(n),
            (None, Some(ms)) => Sample::min_interval_ms(ms),
            _ => {
                return Err(Problem::at(
                    place.clone(),
                    "needs exactly one of `every_n` and `min_interval_ms`",
                ));
            }
        }
        .map(|stage| rule.reducer(stage.pick(c.pick))),
        StageConfig::Dedup(c) => Dedup::within_ms(c.within_ms).map(|stage| rule.reducer(stage)),
        StageConfig::Stale(c) => stale(c).map(|stage| rule.stale(stage)),
    };
    stage.map_err(|e| Problem::param(place, &e))
}

impl StageConfig {
    fn name(&self) -> &'static str {
        match self {
            StageConfig::TimeGuard(_) => "time_guard",
            StageConfig::GrossRange(_) => "gross_range",
            StageConfig::RateOfChange(_) => "rate_of_change",
            StageConfig::FlatLine(_) => "flat_line",
            StageConfig::AttenuatedSignal(_) => "attenuated_signal",
            StageConfig::Hampel(_) => "hampel",
            StageConfig::JumpReject(_) => "jump_reject",
            StageConfig::Spike(_) => "spike",
            StageConfig::Counter(_) => "counter",
            StageConfig::Scale(_) => "scale",
            StageConfig::OnChange(_) => "on_change",
            StageConfig::Deadband(_) => "deadband",
            StageConfig::SwingingDoor(_) => "swinging_door",
            StageConfig::SegmentHold(_) => "segment_hold",
            StageConfig::Window(_) => "window",
            StageConfig::Sample(_) => "sample",
            StageConfig::Dedup(_) => "dedup",
            StageConfig::Stale(_) => "stale",
        }
    }

    /// Returns the stage's place in the order. Reducers share one place, because a rule has one reducer.
    fn order(&self) -> u8 {
        match self {
            StageConfig::TimeGuard(_) => 0,
            StageConfig::GrossRange(_) => 10,
            StageConfig::RateOfChange(_) => 11,
            StageConfig::FlatLine(_) => 12,
            StageConfig::AttenuatedSignal(_) => 13,
            StageConfig::Hampel(_) => 14,
            StageConfig::JumpReject(_) => 15,
            StageConfig::Spike(_) => 16,
            StageConfig::Counter(_) => 20,
            StageConfig::Scale(_) => 21,
            StageConfig::OnChange(_)
            | StageConfig::Deadband(_)
            | StageConfig::SwingingDoor(_)
            | StageConfig::SegmentHold(_)
            | StageConfig::Window(_)
            | StageConfig::Sample(_)
            | StageConfig::Dedup(_) => 30,
            StageConfig::Stale(_) => 40,
        }
    }
}

fn gross_range(config: &GrossRangeConfig) -> Result<Range, ParamError> {
    let [low, high] = config.fail;
    let range = Range::new(low, high)?.action(config.action);
    config.suspect.map_or(Ok(range), |[low, high]| range.suspect(low, high))
}

/// Returns a tolerance in the unit of the sensor. If it is given in percent of the rule's range, it is converted here, once.
fn tolerance(
    (key, absolute): (&'static str, Option<f64>),
    percent: Option<f64>,
    range: Option<EngineeringRange>,
    place: &Place,
) -> Result<f64, Problem> {
    match (absolute, percent, range) {
        (Some(tolerance), None, _) => Ok(tolerance),
        (None, Some(percent), Some(EngineeringRange { low, high })) => {
            Deadband::percent_of_range(percent, low, high)
                .map(|stage| stage.tolerance())
                .map_err(|error| Problem::param(place, &error))
        }
        (None, Some(_), None) => {
            let problem = "a percentage needs the rule's engineering range: range = { low = …, high = … }";
            Err(Problem::at(place.key("percent"), problem))
        }
        _ => Err(Problem::at(place.clone(), format_args!("needs exactly one of `{key}` and `percent`"))),
    }
}

fn on_change(c: &OnChangeConfig) -> Result<OnChange, ParamError> {
    let stage = OnChange::new().min_interval_ms(c.min_interval_ms)?;
    c.max_interval_ms.map_or(Ok(stage), |ms| stage.max_interval_ms(ms))
}

fn deadband(c: &DeadbandConfig, tolerance: f64) -> Result<Deadband, ParamError> {
    let stage = Deadband::absolute(tolerance)?
        .uncertain_is_bad(c.uncertain_as == UncertainAs::Bad)
        .send_previous(c.send_previous)
        .trigger(c.trigger)
        .min_interval_ms(c.min_interval_ms)?;
    c.max_interval_ms.map_or(Ok(stage), |ms| stage.max_interval_ms(ms))
}

fn swinging_door(c: &SwingingDoorConfig, deviation: f64) -> Result<SwingingDoor, ParamError> {
    let stage = SwingingDoor::new(deviation)?.uncertain_is_bad(c.uncertain_as == UncertainAs::Bad);
    let stage = match c.best_effort {
        true => stage.best_effort_min_interval_ms(c.min_interval_ms)?,
        false => stage.min_interval_ms(c.min_interval_ms)?,
    };
    c.max_interval_ms.map_or(Ok(stage), |ms| stage.max_interval_ms(ms))
}

fn segment_hold(c: &SegmentHoldConfig, deviation: f64) -> Result<SegmentHold, ParamError> {
    let stage = SegmentHold::new(deviation)?.uncertain_is_bad(c.uncertain_as == UncertainAs::Bad);
    c.max_interval_ms.map_or(Ok(stage), |ms| stage.max_interval_ms(ms))
}

fn window(c: &WindowConfig) -> Result<Window, ParamError> {
    let stage = Window::tumbling_ms(c.width_ms)?.offset_ms(c.offset_ms)?;
    let stage = stage.allowed_lateness_ms(c.allowed_lateness_ms)?.min_good_pct(c.min_good_pct)?;
    let stage =
        stage.emit_empty(c.empty == EmptyWindows::Emit).uncertain_is_bad(c.uncertain_as == UncertainAs::Bad);
    Ok(stage.median(c.agg == Aggregate::Median))
}

fn stale(c: &StaleConfig) -> Result<Stale, ParamError> {
    let stage = Stale::after_ms(c.timeout_ms)?;
    c.heartbeat_ms.map_or(Ok(stage), |ms| stage.heartbeat_ms(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_stage_takes_uncertain_values_as_its_table_says() {
        for (word, is_bad) in [("bad", true), ("good", false)] {
            let uncertain = format!("uncertain_as = \"{word}\"");
            let found = deadband(&read(&uncertain), 1.0).unwrap();
            assert_eq!(found, Deadband::absolute(1.0).unwrap().uncertain_is_bad(is_bad), "{word}");
            let found = swinging_door(&read(&uncertain), 1.0).unwrap();
            assert_eq!(found, SwingingDoor::new(1.0).unwrap().uncertain_is_bad(is_bad), "{word}");
            let found = segment_hold(&read(&uncertain), 1.0).unwrap();
            assert_eq!(found, SegmentHold::new(1.0).unwrap().uncertain_is_bad(is_bad), "{word}");
            let found = window(&read(&format!("{uncertain}\nwidth_ms = 1000\nagg = \"mean\""))).unwrap();
            assert_eq!(found, Window::tumbling_ms(1_000).unwrap().uncertain_is_bad(is_bad), "{word}");
        }
    }

    #[test]
    fn each_key_of_the_time_guard_is_obeyed() {
        for (key, value) in
            [("max_future_ms", 7), ("max_backward_ms", 7), ("n_confirm", 7), ("max_gap_ms", 7)]
        {
            let config = toml::from_str(&format!("{key} = {value}")).unwrap();
            let strict = TimeGuard::strict;
            let expected = match key {
                "max_future_ms" => strict().max_future_ms(value),
                "max_backward_ms" => strict().max_backward_ms(value),
                "n_confirm" => strict().confirm(7),
                _ => strict().max_gap_ms(value),
            };
            let made = guard(strict(), &config).unwrap();
            assert_eq!(format!("{made:?}"), format!("{:?}", expected.unwrap()), "{key}");
        }
    }
}
