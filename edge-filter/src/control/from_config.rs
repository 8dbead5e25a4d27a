//! Building of a controller from its configuration. Every part checks its own parameters.

use crate::config::AlarmConfig;
use crate::interlock::{Condition, Interlock, Reset, Test};
use crate::pipeline::config::checks::Checks;
use crate::pipeline::config::error::{ConfigError, Problem};
use crate::pipeline::config::path::Place;
use crate::{ConfigFile, ParamError, Pattern};

use super::config::{ControlConfig, InputConfig, InterlockConfig, OutputConfig, ResetConfig, TimesConfig};
use super::part_names::PartNames;
use super::{ControlBuilder, Controller, InputSpec, Inputs, Law, OutputSpec};

impl Controller {
    /// Builds the loops from TOML; see [`config`](super::config) for the keys.
    ///
    /// # Errors
    /// All errors in the file, each with its line, its place and key, and the values that are allowed. If the file is not TOML, the first error
    /// only.
    pub fn from_toml(text: &str) -> Result<Controller, ConfigError> {
        let mut file = ConfigFile::parse(text)?;
        let controller = file.controller();
        file.finish(Some(controller))
    }

    /// Builds the loops from a configuration that the caller has read.
    ///
    /// # Errors
    /// All errors in the configuration, each with its place and key, and the values that are allowed.
    pub fn from_config(config: &ControlConfig) -> Result<Controller, ConfigError> {
        let mut assembly = Assembly::new(&config.control);
        config.input.iter().enumerate().for_each(|(index, input)| assembly.input(index, input));
        config.output.iter().enumerate().for_each(|(index, output)| assembly.output(index, output));
        config.interlock.iter().enumerate().for_each(|(index, lock)| assembly.interlock(index, lock));
        config.alarm.iter().enumerate().for_each(|(index, alarm)| assembly.alarm(index, alarm));
        ConfigError::new(assembly.problems).map_or(Ok(assembly.builder.build()), Err)
    }
}

impl ConfigFile<'_> {
    /// Builds the controller from the tables of control loops. Call it last: tables of the file that no earlier call
    /// has read are errors. Wrong entries are collected as problems and left out of the controller.
    pub fn controller(&mut self) -> Controller {
        let mut assembly = Assembly::new(&self.take("control").unwrap_or_default());
        for (index, input) in self.take_each::<InputConfig>("input") {
            assembly.input(index, &input);
        }
        for (index, output) in self.take_each::<OutputConfig>("output") {
            assembly.output(index, &output);
        }
        for (index, interlock) in self.take_each::<InterlockConfig>("interlock") {
            assembly.interlock(index, &interlock);
        }
        for (index, alarm) in self.take_each::<AlarmConfig>("alarm") {
            assembly.alarm(index, &alarm);
        }
        self.refuse_rest();
        assembly.problems.into_iter().for_each(|problem| self.note(problem));
        assembly.builder.build()
    }
}

/// Controller that is being built, with the problems found so far.
struct Assembly {
    builder: ControlBuilder,
    /// Names of interlocks, including those whose configuration is wrong.
    interlocks: PartNames,
    problems: Vec<Problem>,
}

impl Assembly {
    fn new(times: &TimesConfig) -> Self {
        let mut problems = Vec::new();
        let place = Place::root().key("control");
        let mut checks = Checks::new(&place, &mut problems);
        let mut builder = Controller::builder();
        builder = checks.set(builder, "period_ms", Some(times.period_ms), ControlBuilder::period_ms);
        builder = checks.set(builder, "watchdog_ms", times.watchdog_ms, ControlBuilder::watchdog_ms);
        if let Some(ms) = times.watchdog_ms.filter(|ms| (1..times.period_ms).contains(ms)) {
            let error = ParamError::new("watchdog_ms", "at least period_ms", ms);
            checks.note(Problem::param(&place, &error).about(&place, &["period_ms"]));
        }
        Assembly { builder, interlocks: PartNames::default(), problems }
    }

    fn input(&mut self, index: usize, config: &InputConfig) {
        let place = Place::root().key("input").index(index);
        let mut checks = Checks::new(&place, &mut self.problems);
        // What is wrong is known by its name all the same: what refers to it is not wrong for that.
        let spec = checks.ok(InputSpec::new(&config.name, config.stale_after_ms));
        let Some(mut spec) = spec.or_else(|| InputSpec::new(&config.name, 1).ok()) else { return };
        spec = checks.set(spec, "range", config.range, |spec, [low, high]| spec.range(low, high));
        checks.ok(self.builder.input(spec));
    }

    fn output(&mut self, index: usize, config: &OutputConfig) {
        let place = Place::root().key("output").index(index);
        let before = self.problems.len();
        let law = config.law(&self.builder.inputs, &place, &mut self.problems);
        let spec = OutputSpec::new(&config.name, law.unwrap_or(Law::Fixed(0.0))).safe(config.safe);
        let spec = spec.map_err(|error| {
            let problem = Problem::param(&place, &error);
            self.problems.push(problem.about(&place.key("pid"), &["limits"]));
        });
        // What is wrong is known by its name all the same, and may have another one's.
        let known = || OutputSpec::new(&config.name, Law::Fixed(0.0));
        let spec = spec.ok().filter(|_| self.problems.len() == before).unwrap_or_else(known);
        Checks::new(&place, &mut self.problems).ok(self.builder.output(spec));
    }

    fn interlock(&mut self, index: usize, config: &InterlockConfig) {
        let place = Place::root().key("interlock").index(index);
        let before = self.problems.len();
        Checks::new(&place, &mut self.problems).ok(self.interlocks.check(&config.name));
        self.interlocks.add(&config.name);
        let interlock = config.interlock(&self.builder.inputs, &place, &mut self.problems);
        let outputs = config.held(&self.builder, &place, &mut self.problems);
        if let Some(interlock) = interlock.filter(|_| self.problems.len() == before) {
            let added = self.builder.interlock(&config.name, interlock, outputs);
            Checks::new(&place, &mut self.problems).ok(added);
        }
    }

    fn alarm(&mut self, index: usize, config: &AlarmConfig) {
        let place = Place::root().key("alarm").index(index);
        let limits = config.build(&place, &mut self.problems);
        let pattern = match Pattern::new(&config.pattern) {
            Ok(pattern) => pattern,
            Err(error) => return self.problems.push(Problem::at(place.key("match"), error)),
        };
        let inputs = &self.builder.inputs;
        let matching = |input: &usize| inputs.name(*input).is_some_and(|name| pattern.matches(name));
        let inputs: Vec<usize> = match pattern.name() {
            Some(name) => inputs.number(name).into_iter().collect(),
            None => (0..inputs.len()).filter(matching).collect(),
        };
        if inputs.is_empty() {
            let problem = Problem::at(place.key("match"), "no input has such a name");
            self.problems.push(problem.looked_for("input", &config.pattern));
        }
        for input in inputs {
            Checks::new(&place, &mut self.problems).ok(self.builder.alarm(input, limits));
        }
    }
}

/// Returns the number of an input by its name. `None`: there is none, which is noted as a problem.
pub(super) fn input(
    inputs: &Inputs,
    name: &str,
    place: &Place,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<usize> {
    let number = inputs.number(name);
    if number.is_none() {
        let problem = Problem::at(place.key(key), format_args!("there is no input named \"{name}\""));
        problems.push(problem.looked_for("input", name));
    }
    number
}

impl OutputConfig {
    /// Returns the law of the output, which must have one; every law that is given is checked. `None`: a problem was noted.
    fn law(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Option<Law> {
        let pid = self.pid.as_ref().map(|pid| pid.law(inputs, &place.key("pid"), problems));
        let switch = self.switch.as_ref().map(|switch| switch.law(inputs, &place.key("switch"), problems));
        let ramp = self.ramp.as_ref().map(|ramp| ramp.law(inputs, &place.key("ramp"), problems));
        let fixed = self.value.map(|value| {
            if !value.is_finite() {
                problems.push(Problem::param(place, &ParamError::new("value", "a finite number", value)));
            }
            value.is_finite().then_some(Law::Fixed(value))
        });
        let mut laws: Vec<Option<Law>> = [pid, switch, ramp, fixed].into_iter().flatten().collect();
        if laws.len() != 1 {
            let problem = "an output needs exactly one of `pid`, `switch`, `ramp`, `value`";
            let problem = Problem::at(place.clone(), problem);
            problems.push(problem.about(place, &["pid", "switch", "ramp", "value"]));
        }
        laws.pop().flatten()
    }
}

impl InterlockConfig {
    fn interlock(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Option<Interlock> {
        let before = problems.len();
        let condition = self.trip_when.build(inputs, &place.key("trip_when"), problems);
        let is_fine = problems.len() == before;
        let mut checks = Checks::new(place, problems);
        // Another condition where this one is wrong: the rest is checked all the same.
        let plain = || Interlock::new(Condition::Input { input: 0, test: Test::IsTrue }).ok();
        let made = if is_fine { checks.ok(Interlock::new(condition)) } else { None };
        let mut interlock = made.or_else(plain)?;
        let reset = match (self.reset, self.after_ms) {
            (ResetConfig::Auto, after_ms) => Reset::Auto { after_ms: after_ms.unwrap_or(0) },
            (ResetConfig::Manual, None) => Reset::Manual,
            (ResetConfig::Manual, Some(after_ms)) => {
                let problem = Problem::at(place.key("after_ms"), "only an automatic reset has a time");
                checks.note(problem.about(place, &["reset"]));
                // A `reset` that cannot be read may be meant for an automatic one.
                Reset::Auto { after_ms }
            }
        };
        interlock = checks.set(interlock, "after_ms", Some(reset), Interlock::reset_by);
        Some(checks.set(interlock, "max_bypass_ms", self.max_bypass_ms, Interlock::max_bypass_ms))
    }

    /// Returns the outputs that the interlock holds in their safe states.
    fn held(&self, builder: &ControlBuilder, place: &Place, problems: &mut Vec<Problem>) -> Vec<usize> {
        let place = place.key("outputs");
        if self.outputs.is_empty() {
            problems.push(Problem::at(place.clone(), "an interlock holds at least one output"));
        }
        let mut held = Vec::new();
        for (index, name) in self.outputs.iter().enumerate() {
            match builder.output_names.number(name) {
                Some(output) => held.push(output),
                None => {
                    let problem = format_args!("there is no output named \"{name}\"").to_string();
                    problems.push(Problem::at(place.index(index), problem).looked_for("output", name));
                }
            }
        }
        held
    }
}
