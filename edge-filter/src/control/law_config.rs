//! Conversion of a configuration to the law of an output.

use crate::ParamError;
use crate::hysteresis_switch::HysteresisSwitch;
use crate::pid::{AntiWindup, DerivativeForm, Pid, Ramp};
use crate::pipeline::config::checks::Checks;
use crate::pipeline::config::error::Problem;
use crate::pipeline::config::path::Place;

use super::config::{PidConfig, PidForm, RampConfig, SwitchConfig, WindupConfig};
use super::from_config::input;
use super::{Inputs, Law, Setpoint};

fn setpoint(
    value: Option<f64>,
    name: Option<&String>,
    inputs: &Inputs,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Setpoint> {
    if let Some(value) = value.filter(|value| !value.is_finite()) {
        let error = ParamError::new("setpoint", "a finite number", value);
        problems.push(Problem::param(place, &error));
    }
    let number = name.map(|name| input(inputs, name, place, "setpoint_input", problems));
    match (value, number) {
        (Some(value), None) => Some(Setpoint::Value(value)),
        (None, Some(number)) => number.map(Setpoint::Input),
        _ => {
            let problem = "exactly one of `setpoint` and `setpoint_input` is needed";
            problems.push(Problem::at(place.clone(), problem).about(place, &["setpoint", "setpoint_input"]));
            None
        }
    }
}

impl PidConfig {
    pub(super) fn law(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Option<Law> {
        let setpoint = setpoint(self.setpoint, self.setpoint_input.as_ref(), inputs, place, problems);
        let input = input(inputs, &self.input, place, "input", problems);
        let pid = self.pid(place, &mut Checks::new(place, problems))?;
        // Numbers that stand in for those that are wrong: the output's safe value is checked against the limits.
        let (input, setpoint) = (input.unwrap_or(0), setpoint.unwrap_or(Setpoint::Value(0.0)));
        Some(Law::Pid { pid, input, setpoint, bad_input: self.bad_input })
    }

    fn pid(&self, place: &Place, checks: &mut Checks<'_>) -> Option<Pid> {
        let mut pid = self.gains(place, checks)?;
        pid = checks.set(pid, "filter_s", self.filter_s, Pid::derivative_filter_s);
        if self.derivative == DerivativeForm::ZeroOrderHold && checks.are_fine() && !pid.filters_derivative()
        {
            let must_be = "left out without a filter (`filter_s`, `td_s`)";
            let error = ParamError::new("derivative", must_be, "zero_order_hold");
            let keys = ["form", "k", "td_s", "kd", "filter_s"];
            checks.note(Problem::param(place, &error).about(place, &keys));
        }
        pid = pid.derivative_form(self.derivative);
        pid = checks.set(pid, "beta", self.beta, |pid, beta| pid.setpoint_weights(beta, 0.0));
        let beta = self.beta.filter(|beta| (0.0..=1.0).contains(beta)).unwrap_or(1.0);
        pid = checks.set(pid, "gamma", self.gamma, |pid, gamma| pid.setpoint_weights(beta, gamma));
        pid = pid.proportional_on_measurement(self.proportional_on_measurement);
        pid = match (self.anti_windup, self.tracking_s) {
            (WindupConfig::BackCalculation, tracking_s) => {
                let by_time = |pid: Pid, tt_s| pid.anti_windup(AntiWindup::TrackingTime(tt_s));
                checks.set(pid, "tracking_s", tracking_s, by_time)
            }
            (WindupConfig::Clamp, None) => checks.ok(pid.anti_windup(AntiWindup::Clamp))?,
            (WindupConfig::Clamp, Some(tt_s)) => {
                let error = ParamError::new("tracking_s", "left out with `clamp`", tt_s);
                checks.note(Problem::param(place, &error).about(place, &["anti_windup"]));
                pid
            }
        };
        pid = checks.set(pid, "limits", self.limits, |pid, [min, max]| pid.output_limits(min, max));
        pid = checks.set(pid, "rate_per_s", self.rate_per_s, |pid, rate| {
            Ramp::per_s(rate).map(|rate| pid.output_rate(rate))
        });
        pid = checks.set(pid, "setpoint_rate_per_s", self.setpoint_rate_per_s, |pid, rate| {
            Ramp::per_s(rate).map(|rate| pid.setpoint_ramp(rate))
        });
        Some(checks.set(pid, "dt_max_s", self.dt_max_s, Pid::dt_max_s))
    }

    /// Returns the controller with its gains. Each gain is first checked alone, so that one error does not hide the next.
    fn gains(&self, place: &Place, checks: &mut Checks<'_>) -> Option<Pid> {
        let isa = [("k", self.k), ("ti_s", self.ti_s), ("td_s", self.td_s)];
        let parallel = [("kp", self.kp), ("ki", self.ki), ("kd", self.kd)];
        let (own, foreign) = match self.form {
            PidForm::Isa => (isa, parallel),
            PidForm::Parallel => (parallel, isa),
        };
        let given = |(_, value): &(&str, Option<f64>)| value.is_some();
        for (key, _) in foreign.iter().filter(|key| given(key)) {
            let problem = "not a parameter of this form: isa has k, ti_s, td_s, parallel has kp, ki, kd";
            checks.note(Problem::at(place.key(key), problem).about(place, &["form"]));
        }
        let [(gain, _), ..] = own;
        // A gain of the other form was meant for it.
        if !own.first().is_some_and(given) && !foreign.iter().any(given) {
            let error = ParamError::new(gain, "given", "nothing");
            checks.note(Problem::param(place, &error).about(place, &["form"]));
        }
        let mut pid = Pid::parallel(0.0, 0.0, 0.0).ok()?;
        let before = checks.are_fine();
        for (key, value) in own {
            pid = checks.set(pid, key, value, |_, value| match key {
                "k" => Pid::isa(value, f64::INFINITY, 0.0),
                "ti_s" => Pid::isa(1.0, value, 0.0),
                "td_s" => Pid::isa(1.0, f64::INFINITY, value),
                _ => Pid::parallel(value, 0.0, 0.0),
            });
        }
        if !(before && checks.are_fine()) {
            return Some(pid);
        }
        let [first, second, third] = own.map(|(_, value)| value);
        let (first, third) = (first.unwrap_or(0.0), third.unwrap_or(0.0));
        let together = match self.form {
            PidForm::Isa => Pid::isa(first, second.unwrap_or(f64::INFINITY), third),
            PidForm::Parallel => Pid::parallel(first, second.unwrap_or(0.0), third),
        };
        checks.ok(together.map_err(|error| error.renamed(gain))).or(Some(pid))
    }
}

impl SwitchConfig {
    pub(super) fn law(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Option<Law> {
        let input = input(inputs, &self.input, place, "input", problems);
        let values = [("on_at", self.on_at), ("off_at", self.off_at), ("on", self.on), ("off", self.off)];
        for (key, value) in values.into_iter().filter(|(_, value)| !value.is_finite()) {
            problems.push(Problem::param(place, &ParamError::new(key, "a finite number", value)));
        }
        if self.on_at == self.off_at {
            let error = ParamError::new("off_at", "another value than `on_at`", self.off_at);
            problems.push(Problem::param(place, &error).about(place, &["on_at"]));
        }
        // Where these two are wrong, others stand in for them.
        let switch =
            HysteresisSwitch::new(self.on_at, self.off_at).or_else(|_| HysteresisSwitch::new(1.0, 0.0));
        let mut checks = Checks::new(place, problems);
        let mut switch = switch.ok()?;
        switch = checks.set(switch, "min_on_ms", Some(self.min_on_ms), HysteresisSwitch::min_on_ms);
        switch = checks.set(switch, "min_off_ms", Some(self.min_off_ms), HysteresisSwitch::min_off_ms);
        Some(Law::Switch { switch, input: input?, on_off: (self.on, self.off), bad_input: self.bad_input })
    }
}

impl RampConfig {
    pub(super) fn law(&self, inputs: &Inputs, place: &Place, problems: &mut Vec<Problem>) -> Option<Law> {
        let setpoint = setpoint(self.setpoint, self.setpoint_input.as_ref(), inputs, place, problems);
        let ramp = Ramp::per_s(self.rate_per_s).map_err(|error| error.renamed("rate_per_s"));
        let ramp = Checks::new(place, problems).ok(ramp);
        Some(Law::Ramp { ramp: ramp?, setpoint: setpoint? })
    }
}
