//! Tolerances to choose from, each with its price: the rules themselves run over the recording.
//!
//! What a tolerance saves depends on its ratio to the noise, of which the median step between readings is the measure. The search for
//! ten times fewer is made for each stage by itself, on a coarse grid of tolerances up to half the range and then on a fine one
//! below the tightest that does, since stages differ by a factor in what they need. What is kept does not fall steadily with the tolerance:
//! the fine grid goes on below the next of the coarse one, as far as half of the tightest that does. A discrete signal has no tolerance.

mod by_sensor;
mod steps;
mod trial;

use super::reader::{Reader, Record, Source};
use crate::error::Error;
use std::fmt::Write as _;

use by_sensor::{BySensor, Sensor};
use steps::Steps;
use trial::{Running, Stage, Trials};

/// Tolerances of the table, in median steps.
const TOLERANCES: [f64; 6] = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0];
/// Ratio of a tolerance of the coarse grid to the next smaller one.
const COARSE: f64 = 1.25;
/// Most tolerances of the coarse grid, which are more than 10 decades.
const COARSE_MAX: usize = 110;
/// Number of tolerances of the fine grid for one step of the coarse grid.
const FINE: u32 = 20;
/// Number of steps of the coarse grid that the fine grid covers: down to about half of the tolerance at which it begins.
const FINE_OVER: u32 = 3;
/// Share of the range above which a tolerance is for a person to decide on, in percent.
const COARSE_TOLERANCE_PERCENT: f64 = 5.0;

/// Number of sensors whose trials run in one pass over the recording.
const SENSORS_AT_A_TIME: usize = 64;

/// Reads the recording for the steps, for the prices, and for the searches on both grids.
pub(super) fn table(input: &Source<'_>) -> Result<String, Error> {
    let mut steps = BySensor::<Steps>::new();
    each_record(input, |record| {
        let number = record.value.as_f64().filter(|v| v.is_finite() && !record.quality.is_bad());
        match (number, steps.get_mut(record.sensor, record.unit)) {
            (Some(value), Some(steps)) => steps.add(value),
            (Some(value), None) => {
                let mut first = Steps::default();
                first.add(value);
                steps.insert(record.sensor, record.unit, first);
            }
            (None, _) => {}
        }
    })?;
    let continuous = || steps.iter().filter(|(_, steps)| !steps.is_discrete());
    let priced = run(input, steps.iter().map(|(sensor, steps)| (sensor, priced(steps))))?;
    let coarse = run(input, continuous().map(|(sensor, steps)| (sensor, coarse(steps))))?;
    let fine = run(input, continuous().filter_map(|(sensor, _)| Some((sensor, fine(coarse.get(sensor)?)))))?;
    let (mut table, mut rules) = (String::new(), String::new());
    for (sensor, steps) in steps.iter() {
        let found =
            |trials: &BySensor<Trials>, stage| trials.get(sensor).and_then(|t| t.first_tenfold(stage));
        let best: Vec<_> = Stage::ALL
            .into_iter()
            .filter_map(|stage| Some((stage, found(&fine, stage).or(found(&coarse, stage))?)))
            .collect();
        if let Some(priced) = priced.get(sensor) {
            let _ = describe(&mut table, sensor, steps, priced, &best);
        }
        let _ = rule(&mut rules, sensor, steps, &best);
    }
    Ok(format!(
        "{table}# Rules to paste, the tightest tolerance found for any stage that makes ten times fewer:\n\n{rules}"
    ))
}

/// Calls `take` with every reading of the recording.
fn each_record(input: &Source<'_>, mut take: impl FnMut(&Record<'_>)) -> Result<(), Error> {
    let mut reader = Reader::open(input)?;
    while let Some(record) = reader.next_record()? {
        take(&record);
    }
    Ok(())
}

/// Runs rules over the recording, for so many sensors at a time that the memory of pipelines does not grow with their number; each time reads the whole recording.
fn run<'s>(
    input: &Source<'_>,
    wanted: impl Iterator<Item = (Sensor<'s>, Vec<(Stage, f64)>)>,
) -> Result<BySensor<Trials>, Error> {
    let (mut wanted, mut done) = (wanted.peekable(), BySensor::new());
    while wanted.peek().is_some() {
        let mut running = BySensor::new();
        for (sensor, wanted) in wanted.by_ref().take(SENSORS_AT_A_TIME) {
            running.insert(sensor.name, sensor.unit, Running::new(wanted));
        }
        each_record(input, |record| {
            if let Some(running) = running.get_mut(record.sensor, record.unit) {
                running.take(record);
            }
        })?;
        running.finish_into(&mut done, Running::finish);
    }
    Ok(done)
}

/// Returns what a discrete signal gets, else each stage with each tolerance of the table. None is above half the range: the advice below the table ends there.
fn priced(steps: &Steps) -> Vec<(Stage, f64)> {
    if steps.is_discrete() {
        return vec![(Stage::OnChange, 0.0)];
    }
    let tolerances = TOLERANCES.iter().map(|factor| rounded(factor * steps.unit()));
    let tolerances = tolerances.filter(|tolerance| *tolerance <= steps.range() / 2.0);
    tolerances.flat_map(|tolerance| Stage::ALL.map(|stage| (stage, tolerance))).collect()
}

/// Returns the coarse grid of tolerances, from half the range down to a tenth of the smallest step.
fn coarse(steps: &Steps) -> Vec<(Stage, f64)> {
    let least = steps.quantum.unwrap_or(0.0) / 10.0;
    // Less by as much as the rounding may add.
    let most = steps.range() / 2.0 * (1.0 - 5e-4);
    let down = std::iter::successors(Some(most), |tolerance| Some(tolerance / COARSE));
    let down = down.take_while(|tolerance| *tolerance >= least).take(COARSE_MAX).map(rounded);
    down.flat_map(|tolerance| Stage::ALL.map(|stage| (stage, tolerance))).collect()
}

/// Returns the fine grid for each stage: tolerances below the tightest one of the coarse grid that keeps ten times fewer readings, or below half the range if none does.
fn fine(coarse: &Trials) -> Vec<(Stage, f64)> {
    let mut grid = Vec::new();
    for stage in Stage::ALL {
        let widest = coarse.trials.iter().find(|trial| trial.stage == stage).map(|trial| trial.tolerance);
        let Some(top) = coarse.first_tenfold(stage).or(widest) else { continue };
        let part = |n: u32| top / COARSE.powf(f64::from(n) / f64::from(FINE));
        grid.extend((0..=FINE * FINE_OVER).map(|n| (stage, rounded(part(n)))));
    }
    grid
}

/// Rounds a tolerance to four significant digits, so that the printed one is the one that was tried.
fn rounded(tolerance: f64) -> f64 {
    format!("{tolerance:.3e}").parse().unwrap_or(tolerance)
}

fn describe(
    table: &mut String,
    sensor: Sensor<'_>,
    steps: &Steps,
    priced: &Trials,
    best: &[(Stage, f64)],
) -> std::fmt::Result {
    let (low, high) = steps.span.unwrap_or((0.0, 0.0));
    let (readings, median, smallest) = (steps.readings, steps.median(), steps.quantum.unwrap_or(0.0));
    writeln!(
        table,
        "{sensor}: {readings} readings from {low} to {high}, median step {median:.6}, smallest {smallest:.6}"
    )?;
    let all = priced.readings;
    if steps.is_discrete() {
        let what = if steps.changes == 0 { "never moves" } else { "a few values, each change counts" };
        let kept = priced.trials.first().map_or(all, |trial| trial.kept);
        writeln!(table, "  {what}: on_change keeps {kept} of {all}")?;
        return writeln!(table, "{}", beside(priced, readings));
    }
    writeln!(
        table,
        "  {:>12} {:>12} {:>14} {:>13}",
        "tolerance", "deadband", "swinging door", "segment hold"
    )?;
    let times = |trial: &trial::Trial| format!("{:.1}x", all as f64 / trial.kept.max(1) as f64);
    for trials in priced.trials.chunks_exact(Stage::ALL.len()) {
        if let [deadband, door, segment] = trials {
            let tolerance = deadband.tolerance;
            let [deadband, door, segment] = [deadband, door, segment].map(times);
            writeln!(table, "  {tolerance:>12} {deadband:>12} {door:>14} {segment:>13}")?;
        }
    }
    for stage in Stage::ALL {
        match best.iter().find(|(found, _)| *found == stage) {
            Some((_, tolerance)) => writeln!(
                table,
                "  ten times fewer: {}, which is {:.2} % of the range seen",
                stage.rule(*tolerance),
                tolerance / (high - low) * 100.0
            )?,
            None => writeln!(table, "  no {} up to half the range makes ten times fewer", stage.name())?,
        }
    }
    writeln!(table, "{}", beside(priced, readings))
}

/// Returns a line for each sort of readings that pass whatever the tolerance.
fn beside(trials: &Trials, numbers: u64) -> String {
    let mut lines = String::new();
    let bad = trials.readings.saturating_sub(numbers);
    if bad > 0 {
        let _ = writeln!(lines, "  {bad} more readings are bad or no numbers; what is sent of them counts");
    }
    let after_gap = trials.after_gap;
    if after_gap > 0 {
        let _ = writeln!(
            lines,
            "  {after_gap} come more than an hour after the one before and pass whatever the tolerance (max_gap_ms of the stage time_guard)"
        );
    }
    lines
}

/// A rule for one sensor.
fn rule(rules: &mut String, sensor: Sensor<'_>, steps: &Steps, best: &[(Stage, f64)]) -> std::fmt::Result {
    let tightest = best.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let percent = |tolerance: f64| tolerance / steps.range() * 100.0;
    let too_coarse = tightest.map(|best| percent(best.1)).filter(|share| *share > COARSE_TOLERANCE_PERCENT);
    let (stage, why) = match tightest {
        Some((stage, tolerance)) => (stage.rule(*tolerance), ""),
        None if steps.is_discrete() => ("on_change = {}".to_owned(), "  # a few values"),
        None => ("on_change = {}".to_owned(), "  # no tolerance up to half the range makes ten times fewer"),
    };
    let why_not = match () {
        () if sensor.name.contains(['+', '#']) => Some("a name with a wildcard cannot be matched alone"),
        () if !sensor.is_only => Some("a rule is for all units of a name"),
        () => None,
    };
    if let Some(why_not) = why_not {
        return writeln!(rules, "# {sensor}: {why_not}: {{ {stage} }}\n");
    }
    let off = match too_coarse {
        None => "",
        Some(share) => {
            writeln!(
                rules,
                "# Off, since this tolerance is {share:.1} % of the range seen: take it only if that is fine enough for you."
            )?;
            "# "
        }
    };
    let name = toml_text(sensor.name);
    writeln!(rules, "{off}[[rule]]\n{off}match = {name}\n{off}stages = [ {{ {stage} }} ]{why}\n")
}

/// A basic string of TOML.
fn toml_text(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if edge_csv::is_hidden(c) => {
                let (form, digits) = if u32::from(c) > 0xffff { ('U', 8) } else { ('u', 4) };
                let _ = write!(quoted, "\\{form}{:0digits$x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_the_rules_as_they_were() {
        for name in ["a \"b\" \\c", "\u{1b}\u{202e}\u{feff}", "\u{e0041}x\u{1fffe}"] {
            let rules =
                format!("[[rule]]\nmatch = {}\nstages = [ {{ on_change = {{}} }} ]\n", toml_text(name));
            assert!(!toml_text(name).chars().any(edge_csv::is_hidden), "{rules}");
            let pipeline = edge_filter::Pipeline::from_toml(&rules)
                .map(|pipeline| pipeline.rules().map(|(pattern, _)| pattern.to_string()).collect::<Vec<_>>());
            assert_eq!(pipeline.as_deref(), Ok(&[name.to_owned()][..]));
        }
    }
}
