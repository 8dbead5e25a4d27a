//! Building of a controller from its configuration: every parameter is checked by the part that it is for.

use super::config::{
    ConditionConfig, ControlConfig, InputConfig, InterlockConfig, OutputConfig, PidConfig, PidForm,
    RampConfig, ResetConfig, SwitchConfig, TimesConfig, WindupConfig,
};
use super::{ControlBuilder, Controller, InputSpec, Inputs, Law, OutputSpec, Setpoint};
use crate::config::AlarmConfig;
use crate::interlock::{Condition, Interlock, Reset, Test};
use crate::pid::{AntiWindup, DerivativeForm, Pid, Ramp};
use crate::pipeline::config_error::{ConfigError, Place};
use crate::switch::HysteresisSwitch;
use crate::{ParamError, Pattern};

impl Controller {
    /// Loops from TOML; see [`config`](super::config) for the keys.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, its place and key, and what it should be; a key or a type that does not belong there
    /// alone.
    pub fn from_toml(text: &str) -> Result<Controller, ConfigError> {
        let config = toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text))?;
        Self::from_config(&config).map_err(|error| error.locate(text))
    }

    /// Loops from a configuration that was read in another way.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place and key, and what it should be.
    pub fn from_config(config: &ControlConfig) -> Result<Controller, ConfigError> {
        let mut problems = Vec::new();
        let mut note = |done: Result<(), ConfigError>| {
            problems.extend(done.err().into_iter().flat_map(ConfigError::into_problems));
        };
        let place = |table: &'static str, index: usize| Place::root().key(table).index(index);
        let mut builder = config.control.builder().unwrap_or_else(|error| {
            note(Err(error));
            ControlBuilder::default()
        });
        // What is wrong is known by its name all the same: what refers to it is not wrong for that.
        for (index, input) in config.input.iter().enumerate() {
            let refused = |error: ParamError| ConfigError::param(&place("input", index), &error);
            if let Err(error) = input.spec().and_then(|spec| builder.input(spec)) {
                note(Err(refused(error)));
                let _ = InputSpec::new(&input.name, 1).and_then(|spec| builder.input(spec));
            }
        }
        for (index, output) in config.output.iter().enumerate() {
            if let Err(error) = output.add_to(&mut builder, &place("output", index)) {
                note(Err(error));
                let known = OutputSpec::new(&output.name, Law::Fixed(0.0)).safe(0.0);
                let _ = known.and_then(|spec| builder.output(spec));
            }
        }
        for (index, interlock) in config.interlock.iter().enumerate() {
            note(interlock.add_to(&mut builder, &place("interlock", index)));
        }
        for (index, alarm) in config.alarm.iter().enumerate() {
            note(add_alarm(alarm, &mut builder, &place("alarm", index)));
        }
        ConfigError::new(problems).map_or(Ok(builder.build()), Err)
    }
}

impl TimesConfig {
    fn builder(&self) -> Result<ControlBuilder, ConfigError> {
        let place = Place::root().key("control");
        let refused = |error: ParamError| ConfigError::param(&place, &error);
        let builder = Controller::builder().period_ms(self.period_ms).map_err(refused)?;
        match self.watchdog_ms {
            Some(ms) if ms < self.period_ms => {
                Err(refused(ParamError::new("watchdog_ms", "at least period_ms", ms)))
            }
            Some(ms) => builder.watchdog_ms(ms).map_err(refused),
            None => Ok(builder),
        }
    }
}

fn add_alarm(alarm: &AlarmConfig, builder: &mut ControlBuilder, place: &Place) -> Result<(), ConfigError> {
    let limits = alarm.build(place)?;
    let pattern = Pattern::new(&alarm.pattern).map_err(|error| ConfigError::at(place.key("match"), error))?;
    let matching = |input: &usize| builder.inputs.name(*input).is_some_and(|name| pattern.matches(name));
    let inputs: Vec<usize> = (0..builder.inputs.len()).filter(matching).collect();
    if inputs.is_empty() {
        return Err(ConfigError::at(place.key("match"), "no input has such a name"));
    }
    let refused = |error: ParamError| ConfigError::param(place, &error);
    inputs.into_iter().try_for_each(|input| builder.alarm(input, limits).map_err(refused))
}

/// The number of an input that somebody names.
fn input(inputs: &Inputs, name: &str, place: &Place, key: &'static str) -> Result<usize, ConfigError> {
    let unknown = || ConfigError::at(place.key(key), format_args!("there is no input named \"{name}\""));
    inputs.number(name).ok_or_else(unknown)
}

fn setpoint(
    value: Option<f64>,
    name: Option<&String>,
    inputs: &Inputs,
    place: &Place,
) -> Result<Setpoint, ConfigError> {
    match (value, name) {
        (Some(value), None) if value.is_finite() => Ok(Setpoint::Value(value)),
        (Some(value), None) => {
            let error = ParamError::new("setpoint", "a finite number", value);
            Err(ConfigError::param(place, &error))
        }
        (None, Some(name)) => Ok(Setpoint::Input(input(inputs, name, place, "setpoint_input")?)),
        _ => Err(ConfigError::at(place.clone(), "exactly one of `setpoint` and `setpoint_input` is needed")),
    }
}

impl InputConfig {
    fn spec(&self) -> Result<InputSpec, ParamError> {
        let spec = InputSpec::new(&self.name, self.stale_after_ms)?;
        self.range.map_or(Ok(spec.clone()), |[low, high]| spec.range(low, high))
    }
}

impl OutputConfig {
    fn add_to(&self, builder: &mut ControlBuilder, place: &Place) -> Result<(), ConfigError> {
        let spec = self.spec(&builder.inputs, place)?;
        builder.output(spec).map(drop).map_err(|error| ConfigError::param(place, &error))
    }

    fn spec(&self, inputs: &Inputs, place: &Place) -> Result<OutputSpec, ConfigError> {
        let law = match (&self.pid, &self.switch, &self.ramp, self.value) {
            (Some(pid), None, None, None) => pid.law(inputs, &place.key("pid"))?,
            (None, Some(switch), None, None) => switch.law(inputs, &place.key("switch"))?,
            (None, None, Some(ramp), None) => ramp.law(inputs, &place.key("ramp"))?,
            (None, None, None, Some(value)) if value.is_finite() => Law::Fixed(value),
            (None, None, None, Some(value)) => {
                let error = ParamError::new("value", "a finite number", value);
                return Err(ConfigError::param(place, &error));
            }
            _ => {
                let problem = "an output needs exactly one of `pid`, `switch`, `ramp`, `value`";
                return Err(ConfigError::at(place.clone(), problem));
            }
        };
        let spec = OutputSpec::new(&self.name, law).safe(self.safe);
        spec.map_err(|error| ConfigError::param(place, &error))
    }
}

impl PidConfig {
    fn law(&self, inputs: &Inputs, place: &Place) -> Result<Law, ConfigError> {
        let pid = self.pid(place)?;
        let setpoint = setpoint(self.setpoint, self.setpoint_input.as_ref(), inputs, place)?;
        let input = input(inputs, &self.input, place, "input")?;
        Ok(Law::Pid { pid, input, setpoint, bad_input: self.bad_input })
    }

    fn pid(&self, place: &Place) -> Result<Pid, ConfigError> {
        let foreign = match self.form {
            PidForm::Isa => [("kp", self.kp), ("ki", self.ki), ("kd", self.kd)],
            PidForm::Parallel => [("k", self.k), ("ti_s", self.ti_s), ("td_s", self.td_s)],
        };
        if let Some((key, _)) = foreign.iter().find(|(_, value)| value.is_some()) {
            let problem = "not a parameter of this form: isa has k, ti_s, td_s, parallel has kp, ki, kd";
            return Err(ConfigError::at(place.key(key), problem));
        }
        self.build().map_err(|error| ConfigError::param(place, &error))
    }

    fn build(&self) -> Result<Pid, ParamError> {
        let missing = |param| move || ParamError::new(param, "given", "nothing");
        let mut pid = match self.form {
            PidForm::Isa => {
                let k = self.k.ok_or_else(missing("k"))?;
                Pid::isa(k, self.ti_s.unwrap_or(f64::INFINITY), self.td_s.unwrap_or(0.0))?
            }
            PidForm::Parallel => {
                let kp = self.kp.ok_or_else(missing("kp"))?;
                Pid::parallel(kp, self.ki.unwrap_or(0.0), self.kd.unwrap_or(0.0))?
            }
        };
        pid = pid.setpoint_weights(self.beta.unwrap_or(1.0), self.gamma.unwrap_or(0.0))?;
        pid = pid.proportional_on_measurement(self.proportional_on_measurement);
        pid = pid.anti_windup(match (self.anti_windup, self.tracking_s) {
            (WindupConfig::Clamp, None) => AntiWindup::Clamp,
            (WindupConfig::BackCalculation, None) => AntiWindup::BackCalculation,
            (WindupConfig::BackCalculation, Some(tt_s)) => AntiWindup::TrackingTime(tt_s),
            (WindupConfig::Clamp, Some(tt_s)) => {
                return Err(ParamError::new("tracking_s", "left out with `clamp`", tt_s));
            }
        })?;
        if let Some([min, max]) = self.limits {
            pid = pid.output_limits(min, max)?;
        }
        if let Some(tf_s) = self.filter_s {
            pid = pid.derivative_filter_s(tf_s)?;
        }
        if self.derivative == DerivativeForm::ZeroOrderHold && !pid.filters_derivative() {
            return Err(ParamError::new(
                "derivative",
                "left out without a filter (`filter_s`, `td_s`)",
                "zero_order_hold",
            ));
        }
        pid = pid.derivative_form(self.derivative);
        if let Some(rate) = self.rate_per_s {
            pid = pid.output_rate(Ramp::per_s(rate)?);
        }
        if let Some(rate) = self.setpoint_rate_per_s {
            pid = pid.setpoint_ramp(Ramp::per_s(rate)?);
        }
        self.dt_max_s.map_or(Ok(pid), |dt_s| pid.dt_max_s(dt_s))
    }
}

impl SwitchConfig {
    fn law(&self, inputs: &Inputs, place: &Place) -> Result<Law, ConfigError> {
        let build = || {
            for (param, value) in [("on", self.on), ("off", self.off)] {
                if !value.is_finite() {
                    return Err(ParamError::new(param, "a finite number", value));
                }
            }
            let switch = HysteresisSwitch::new(self.on_at, self.off_at)?;
            switch.min_on_ms(self.min_on_ms)?.min_off_ms(self.min_off_ms)
        };
        let switch = build().map_err(|error| ConfigError::param(place, &error))?;
        let input = input(inputs, &self.input, place, "input")?;
        Ok(Law::Switch { switch, input, on_off: (self.on, self.off), bad_input: self.bad_input })
    }
}

impl RampConfig {
    fn law(&self, inputs: &Inputs, place: &Place) -> Result<Law, ConfigError> {
        let ramp =
            Ramp::per_s(self.rate_per_s).map_err(|error| ConfigError::at(place.key("rate_per_s"), error))?;
        let setpoint = setpoint(self.setpoint, self.setpoint_input.as_ref(), inputs, place)?;
        Ok(Law::Ramp { ramp, setpoint })
    }
}

impl InterlockConfig {
    fn add_to(&self, builder: &mut ControlBuilder, place: &Place) -> Result<(), ConfigError> {
        let condition = self.trip_when.build(&builder.inputs, &place.key("trip_when"))?;
        let reset = match (self.reset, self.after_ms) {
            (ResetConfig::Auto, after_ms) => Reset::Auto { after_ms: after_ms.unwrap_or(0) },
            (ResetConfig::Manual, None) => Reset::Manual,
            (ResetConfig::Manual, Some(_)) => {
                return Err(ConfigError::at(place.key("after_ms"), "only an automatic reset has a time"));
            }
        };
        let refused = |error: ParamError| ConfigError::param(place, &error);
        let mut interlock = Interlock::new(condition).and_then(|i| i.reset_by(reset)).map_err(refused)?;
        if let Some(ms) = self.max_bypass_ms {
            interlock = interlock.max_bypass_ms(ms).map_err(refused)?;
        }
        let mut outputs = Vec::new();
        for (index, name) in self.outputs.iter().enumerate() {
            let Some(output) = builder.outputs.iter().position(|output| output.name() == name) else {
                let problem = format_args!("there is no output named \"{name}\"").to_string();
                return Err(ConfigError::at(place.key("outputs").index(index), problem));
            };
            outputs.push(output);
        }
        if outputs.is_empty() {
            return Err(ConfigError::at(place.key("outputs"), "an interlock holds at least one output"));
        }
        builder.interlock(&self.name, interlock, outputs).map_err(refused)
    }
}

impl ConditionConfig {
    fn build(&self, inputs: &Inputs, place: &Place) -> Result<Condition, ConfigError> {
        let list = |of: &[ConditionConfig], key: &'static str| -> Result<Vec<Condition>, ConfigError> {
            let one =
                |(index, one): (usize, &ConditionConfig)| one.build(inputs, &place.key(key).index(index));
            of.iter().enumerate().map(one).collect()
        };
        match self {
            Self { input: Some(name), .. } if self.is_only_a_leaf() => {
                let test = self.test().ok_or_else(|| {
                    ConfigError::at(place.clone(), "an input needs exactly one of `above`, `below`, `is`")
                })?;
                Ok(Condition::Input { input: input(inputs, name, place, "input")?, test })
            }
            Self { all: Some(of), .. } if self.keys() == 1 => Ok(Condition::All(list(of, "all")?)),
            Self { any: Some(of), .. } if self.keys() == 1 => Ok(Condition::Any(list(of, "any")?)),
            Self { not: Some(inner), .. } if self.keys() == 1 => {
                Ok(Condition::Not(Box::new(inner.build(inputs, &place.key("not"))?)))
            }
            Self { at_least: Some(k), of: Some(of), degraded, .. }
                if self.keys() == 2 + usize::from(degraded.is_some()) =>
            {
                let degraded = degraded.unwrap_or_default();
                Ok(Condition::AtLeast { k: *k, of: list(of, "of")?, degraded })
            }
            _ => Err(ConfigError::at(
                place.clone(),
                "a condition is `input` with `above`, `below` or `is`; or `all`, `any` or `not`; or `at_least` with `of`",
            )),
        }
    }

    fn keys(&self) -> usize {
        let Self { input, above, below, is, all, any, not, at_least, of, degraded } = self;
        let given = [
            input.is_some(),
            above.is_some(),
            below.is_some(),
            is.is_some(),
            all.is_some(),
            any.is_some(),
            not.is_some(),
            at_least.is_some(),
            of.is_some(),
            degraded.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }

    fn is_only_a_leaf(&self) -> bool {
        let tests = [self.above.is_some(), self.below.is_some(), self.is.is_some()];
        self.keys() == 1 + tests.into_iter().filter(|given| *given).count()
    }

    fn test(&self) -> Option<Test> {
        match (self.above, self.below, self.is) {
            (Some(limit), None, None) => Some(Test::Above(limit)),
            (None, Some(limit), None) => Some(Test::Below(limit)),
            (None, None, Some(true)) => Some(Test::IsTrue),
            (None, None, Some(false)) => Some(Test::IsFalse),
            _ => None,
        }
    }
}
