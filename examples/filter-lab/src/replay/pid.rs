//! A controller in the loop of a recording.

use super::case::Config;
use crate::error::Error;
use edge_csv::{Lines, TimeUnit, places};
use edge_filter::Quality;
use edge_filter::pid::{AntiWindup, DerivativeForm, Pid, PidInput, PidMode, PidState};
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn table(config: &Config<'_>, input: &Path) -> Result<String, Error> {
    let pid = controller(config)?;
    let dt_s = config.maybe_number("dt_s")?;
    let mut lines = Lines::open(input)?.time_unit(Some(TimeUnit::Milliseconds));
    let header = lines.header()?;
    let places = places(&lines, &header, ["ts_ms", "pv", "sp", "mode", "manual_output"])?;
    let (mut state, mut table, mut index) = (PidState::default(), String::from("idx,output\n"), 0_usize);
    while let Some(cells) = lines.cells(&header)? {
        let [Some(time), Some(pv), Some(sp), Some(mode), Some(manual)] = places.map(|place| cells.get(place))
        else {
            continue;
        };
        let mode = match mode.text.trim() {
            "auto" => PidMode::Auto,
            "manual" => PidMode::Manual(manual.number()?),
            _ => return Err(mode.must_be("auto or manual").into()),
        };
        let input = PidInput { pv: pv.number()?, quality: Quality::GOOD, setpoint: sp.number()?, mode };
        let output = match dt_s {
            Some(dt_s) => pid.step(&mut state, &input, dt_s),
            None => pid.update(&mut state, &input, time.time()?),
        };
        let _ = writeln!(table, "{index},{output}");
        index += 1;
    }
    Ok(table)
}

fn controller(config: &Config<'_>) -> Result<Pid, Error> {
    let refused = |error| config.refused(&error);
    config.choice("form", &[("parallel", ())])?;
    let gain = |key| Ok::<_, Error>(config.maybe_number(key)?.unwrap_or(0.0));
    let mut pid = Pid::parallel(config.number("Kp")?, gain("Ki")?, gain("Kd")?)
        .and_then(|pid| pid.anti_windup(AntiWindup::Clamp))
        .map_err(refused)?
        .proportional_on_measurement(config.maybe_flag("proportional_on_measurement")?.unwrap_or(false));
    let gamma = config.choice("derivative_on", &[("measurement", 0.0), ("error", 1.0)])?;
    pid = pid.setpoint_weights(1.0, gamma).map_err(refused)?;
    if let Some(tf_s) = config.maybe_number("Tf")? {
        pid = pid.derivative_filter_s(tf_s).map_err(refused)?;
    }
    let (backward, held) = (DerivativeForm::BackwardDifference, DerivativeForm::ZeroOrderHold);
    let forms = [("backward_difference", backward), ("zero_order_hold", held)];
    pid = pid.derivative_form(config.choice("derivative", &forms)?);
    match config.maybe_limits("output_limits")? {
        (None, None) => Ok(pid),
        (low, high) => pid.output_limits(low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX)).map_err(refused),
    }
}
