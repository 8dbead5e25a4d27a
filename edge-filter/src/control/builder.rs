//! Builder of a controller from code, without serde.

use super::alarms::ControlAlarms;
use super::interlocks::Interlocks;
use super::part_names::PartNames;
use super::{Controller, InputSpec, Inputs, Law, NS_PER_MS, Output, OutputSpec, Setpoint};
use crate::alarm::LimitAlarm;
use crate::error::{ParamError, interval};
use crate::interlock::{Condition, Interlock};

/// Builds a [`Controller`]: inputs first, then what refers to them by their numbers.
///
/// ```
/// use edge_filter::Quality;
/// use edge_filter::control::{Controller, InputSpec, Law, LoopBadInput, OutputSpec, Setpoint};
/// use edge_filter::interlock::{Condition, Interlock, Reset, Test};
/// use edge_filter::pid::Pid;
///
/// let mut builder = Controller::builder().period_ms(10)?;
/// let temp = builder.input(InputSpec::new("oven/temp", 500)?.range(-40.0, 400.0)?)?;
/// let pid = Pid::isa(2.0, 120.0, 0.0)?.output_limits(0.0, 100.0)?;
/// let (setpoint, bad_input) = (Setpoint::Value(180.0), LoopBadInput::Safe);
/// let law = Law::Pid { pid, input: temp, setpoint, bad_input };
/// let heater = builder.output(OutputSpec::new("oven/heater", law).safe(0.0)?)?;
/// let hot = Condition::Input { input: temp, test: Test::Above(220.0) };
/// let interlock = Interlock::new(hot)?.reset_by(Reset::Auto { after_ms: 0 })?;
/// builder.interlock("too hot", interlock, vec![heater])?;
/// let mut controller = builder.build();
///
/// controller.set_input(temp, 25.0, Quality::GOOD, 0);
/// controller.scan(10_000_000, &mut |_| ());
/// assert_eq!(controller.outputs()[heater].value(), 100.0);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ControlBuilder {
    pub(super) inputs: Inputs,
    outputs: Vec<Output>,
    pub(super) output_names: PartNames,
    interlocks: Interlocks,
    interlock_names: PartNames,
    alarms: ControlAlarms,
    period_ns: u64,
    watchdog_ns: Option<u64>,
}

impl Default for ControlBuilder {
    fn default() -> Self {
        ControlBuilder {
            inputs: Inputs::default(),
            outputs: Vec::new(),
            output_names: PartNames::default(),
            interlocks: Interlocks::default(),
            interlock_names: PartNames::default(),
            alarms: ControlAlarms::default(),
            period_ns: 10 * NS_PER_MS,
            watchdog_ns: None,
        }
    }
}

/// Most parts of a kind, since an event carries their numbers in 16 bits.
const PARTS_MAX: usize = 1 << 16;

/// Longest period in milliseconds. Five of them, the default watchdog, are less than [`WATCHDOG_MS_MAX`].
const PERIOD_MS_MAX: i64 = 3_600_000;

const WATCHDOG_MS_MAX: i64 = 86_400_000;

impl ControlBuilder {
    /// Sets the time between two scans in milliseconds. Default 10 ms.
    ///
    /// # Errors
    /// If the time is less than 1 ms, or more than an hour, because nothing is controlled between two scans.
    pub fn period_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        if ms > PERIOD_MS_MAX {
            return Err(ParamError::new("period_ms", "3600000 ms (one hour) or less", ms));
        }
        self.period_ns = interval("period_ms", ms)?.unsigned_abs().saturating_mul(NS_PER_MS);
        Ok(self)
    }

    /// Sets the time without a scan after which a watchdog acts, in milliseconds. Default: five periods; less than one period counts as one.
    ///
    /// # Errors
    /// If the time is less than 1 ms, or more than a day: the outputs of a loop that hangs stay as they are for that long, so a longer time is
    /// as good as no watchdog.
    pub fn watchdog_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        if ms > WATCHDOG_MS_MAX {
            return Err(ParamError::new("watchdog_ms", "86400000 ms (one day) or less", ms));
        }
        self.watchdog_ns = Some(interval("watchdog_ms", ms)?.unsigned_abs().saturating_mul(NS_PER_MS));
        Ok(self)
    }

    /// Adds an input. Returns its number.
    ///
    /// # Errors
    /// If there is an input of that name.
    pub fn input(&mut self, spec: InputSpec) -> Result<usize, ParamError> {
        room(self.inputs.len())?;
        self.inputs.add(spec)
    }

    /// Adds an output. Returns its number.
    ///
    /// # Errors
    /// If there is an output of that name, its law refers to an input that does not exist, or its PID controller cannot reach its safe state.
    pub fn output(&mut self, spec: OutputSpec) -> Result<usize, ParamError> {
        room(self.outputs.len())?;
        self.output_names.check(&spec.name)?;
        let of = |setpoint: &Setpoint| match setpoint {
            Setpoint::Input(input) => Some(*input),
            Setpoint::Value(_) => None,
        };
        let inputs = match &spec.law {
            Law::Fixed(_) => [None, None],
            Law::Pid { input, setpoint, .. } => [Some(*input), of(setpoint)],
            Law::Switch { input, .. } => [Some(*input), None],
            Law::Ramp { setpoint, .. } => [of(setpoint), None],
        };
        inputs.into_iter().flatten().try_for_each(|input| self.has_input(input))?;
        let output = Output::new(spec)?;
        let number = self.output_names.add(output.name());
        self.outputs.push(output);
        Ok(number)
    }

    /// Adds an interlock that holds these outputs in their safe states.
    ///
    /// # Errors
    /// If there is an interlock of that name, or it refers to an input or output that does not exist.
    pub fn interlock(
        &mut self,
        name: impl Into<String>,
        interlock: Interlock,
        outputs: Vec<usize>,
    ) -> Result<(), ParamError> {
        room(self.interlock_names.len())?;
        if let Some(output) = outputs.iter().find(|output| **output >= self.outputs.len()) {
            return Err(ParamError::new("outputs", "outputs that there are", output));
        }
        self.has_inputs(interlock.trip_when())?;
        let name = name.into();
        self.interlock_names.check(&name)?;
        self.interlock_names.add(&name);
        self.interlocks.add(name, interlock, outputs);
        Ok(())
    }

    /// Adds an alarm on an input.
    ///
    /// # Errors
    /// If there is no input of that number.
    pub fn alarm(&mut self, input: usize, alarm: LimitAlarm) -> Result<(), ParamError> {
        room(self.alarms.inputs().len())?;
        self.has_input(input)?;
        self.alarms.add(input, alarm);
        Ok(())
    }

    /// Returns the controller, with every output in its safe state.
    #[must_use]
    pub fn build(self) -> Controller {
        let ControlBuilder { inputs, outputs, interlocks, alarms, period_ns, watchdog_ns, .. } = self;
        let watchdog_ns = watchdog_ns.unwrap_or(period_ns.saturating_mul(5)).max(period_ns);
        Controller { inputs, outputs, interlocks, alarms, period_ns, watchdog_ns, last_ns: None, changes: 0 }
    }

    fn has_input(&self, input: usize) -> Result<(), ParamError> {
        let known = input < self.inputs.len();
        if known { Ok(()) } else { Err(ParamError::new("input", "an input that there is", input)) }
    }

    fn has_inputs(&self, condition: &Condition) -> Result<(), ParamError> {
        match condition {
            Condition::Input { input, .. } => self.has_input(*input),
            Condition::Not(inner) => self.has_inputs(inner),
            Condition::All(of) | Condition::Any(of) | Condition::AtLeast { of, .. } => {
                of.iter().try_for_each(|one| self.has_inputs(one))
            }
        }
    }
}

fn room(used: usize) -> Result<(), ParamError> {
    if used < PARTS_MAX { Ok(()) } else { Err(ParamError::new("name", "one of at most 65536", used + 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::LoopBadInput;
    use crate::interlock::{Reset, Test};
    use crate::pid::Pid;

    #[test]
    fn parts_of_each_kind_are_bounded() -> Result<(), ParamError> {
        let mut builder = Controller::builder();
        let input = builder.input(InputSpec::new("a", 100)?)?;
        let interlock = Interlock::new(Condition::Input { input, test: Test::Above(1.0) })?;
        for part in 0..PARTS_MAX {
            if part > 0 {
                builder.input(InputSpec::new(part.to_string(), 100)?)?;
            }
            builder.output(OutputSpec::new(part.to_string(), Law::Fixed(0.0)))?;
            builder.interlock(part.to_string(), interlock.clone(), Vec::new())?;
            builder.alarm(input, LimitAlarm::new())?;
        }
        assert!(builder.input(InputSpec::new("b", 100)?).is_err());
        assert!(builder.output(OutputSpec::new("b", Law::Fixed(0.0))).is_err());
        assert!(builder.interlock("b", interlock, Vec::new()).is_err());
        assert!(builder.alarm(input, LimitAlarm::new()).is_err());
        Ok(())
    }

    #[test]
    fn an_interlock_is_not_reset_before_its_condition() -> Result<(), ParamError> {
        let interlock = Interlock::new(Condition::Input { input: 0, test: Test::Above(1.0) })?;
        let after = |after_ms| interlock.clone().reset_by(Reset::Auto { after_ms });
        assert!(after(-1).is_err() && after(0).is_ok());
        Ok(())
    }

    #[test]
    fn an_output_tells_that_its_controller_leaves_a_lasting_deviation() -> Result<(), ParamError> {
        let (setpoint, bad_input) = (Setpoint::Value(1.0), LoopBadInput::Safe);
        let law = |pid| Law::Pid { pid, input: 0, setpoint, bad_input };
        let lacks = |law| Output::new(OutputSpec::new("a", law)).map(|output| output.lacks_integral());
        assert!(lacks(law(Pid::parallel(1.0, 0.0, 1.0)?))?);
        assert!(!lacks(law(Pid::parallel(1.0, 0.1, 0.0)?))? && !lacks(Law::Fixed(0.0))?);
        Ok(())
    }

    #[test]
    #[cfg(feature = "config")]
    fn a_configuration_read_in_another_way_makes_the_same_controller() {
        let text = "[[input]]\nname = \"a\"\nstale_after_ms = 9\n[[output]]\nname = \"b\"\nvalue = 1.0\n\
                    [[interlock]]\nname = \"c\"\noutputs = [\"b\"]\ntrip_when = { input = \"a\", above = 2 }\n\
                    [[alarm]]\nmatch = \"a\"\nhigh = { limit = 3 }\n";
        let made = toml::from_str(text).map(|config| Controller::from_config(&config)).ok();
        let made = made.and_then(Result::ok).map(|controller| format!("{controller:?}"));
        let read = Controller::from_toml(text).ok().map(|controller| format!("{controller:?}"));
        assert!(made.is_some() && made == read, "{made:?}\n{read:?}");
    }

    #[test]
    #[cfg(feature = "config")]
    fn the_watchdog_waits_as_long_as_configured_else_for_five_scans() {
        for (times, watchdog_ms) in [("", 100), ("watchdog_ms = 70", 70), ("watchdog_ms = 20", 20)] {
            let controller = Controller::from_toml(&format!("[control]\nperiod_ms = 20\n{times}\n"));
            assert_eq!(controller.map(|c| c.watchdog_ns() / NS_PER_MS).ok(), Some(watchdog_ms));
        }
    }

    #[test]
    fn a_name_is_given_to_one_part_of_a_kind() -> Result<(), ParamError> {
        let mut builder = Controller::builder();
        let input = builder.input(InputSpec::new("same", 100)?)?;
        let output = builder.output(OutputSpec::new("same", Law::Fixed(0.0)))?;
        let interlock = Interlock::new(Condition::Input { input, test: Test::Above(1.0) })?;
        builder.interlock("same", interlock.clone(), vec![output])?;
        assert!(builder.input(InputSpec::new("same", 100)?).is_err());
        assert!(builder.output(OutputSpec::new("same", Law::Fixed(0.0))).is_err());
        assert!(builder.interlock("same", interlock, vec![output]).is_err());
        let controller = builder.build();
        assert_eq!((controller.outputs().len(), controller.interlocks().count()), (1, 1));
        Ok(())
    }
}
