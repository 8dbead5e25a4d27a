//! `filter.ns.{STAGE}.{one,10k_id,10k_str}[.rare]`: nanoseconds per reading of each reducing stage, beside the plainest loop.
//!
//! `one`: the stage alone, one sensor; `10k_id`: the stage alone, 10 000 sensors in turn, states in a vector by number;
//! both beside `naive`, a loop that compares with the last kept value of one sensor. `10k_str`: a whole pipeline (time
//! guard, range, the stage, stale) asked by name; there `naive` is one lookup of the same names in a std
//! `HashMap<String, u32>`: it has its own copy of each name, as the pipeline does and as an application's map must, since
//! the names that are asked for come with messages and go with them.
//! Readings are a walk in steps of about the tolerance, so about half of them are kept; with `.rare` each is the one before but
//! for one of ten, which is beyond the tolerance: 9 of 10 are suppressed, and the loop has little to do but compare.

mod dilute;
mod stages;
mod tick;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use edge_filter::{Outcome, Pipeline, Quality, Reading, Value};

use crate::measure::{Candidate, Figure, interleaved};
use stages::{Run, STAGES};

pub(crate) const SENSORS: usize = 10_000;
/// Of one round; each has others, or the processor would learn them by heart. Short enough that most rounds run
/// undisturbed on a machine that does other things.
const READINGS: usize = 20_000;
const ROUNDS: usize = 101;

pub(crate) fn list() -> Vec<String> {
    let mut names = Vec::new();
    for stage in STAGES {
        for how in ["one", "10k_id", "10k_str"] {
            names.extend(SERIES.map(|(series, _)| format!("filter.ns.{}.{how}{series}", stage.name)));
        }
    }
    names.extend(tick::FIGURES.map(str::to_owned));
    names.extend(dilute::FIGURES.map(str::to_owned));
    names
}

pub(crate) fn run() -> Result<(), String> {
    let names: Vec<String> = (0..SENSORS)
        .map(|i| format!("plant/area{:02}/line{:03}/machine{i:05}/temperature", i % 20, i % 300))
        .collect();
    tick::rest(&names)?;
    for (series, step) in SERIES {
        let values = walk(step);
        for stage in STAGES {
            by_number(stage.name, &format!("one{series}"), 1, (stage.run)(1), &values)?;
            by_number(stage.name, &format!("10k_id{series}"), SENSORS, (stage.run)(SENSORS), &values)?;
        }
        for stage in STAGES {
            by_name(stage.name, &format!("10k_str{series}"), stage.toml, &names, &values)?;
        }
    }
    tick::run(&names)?;
    dilute::run(&walk(often))
}

/// From a random number of -1 to 1 to the step to the next value.
type Step = fn(f64) -> f64;

const SERIES: [(&str, Step); 2] = [("", often), (".rare", rarely)];

/// Beyond a tolerance of 0.5 every other time.
fn often(random: f64) -> f64 {
    random
}

/// One time in ten, and then beyond it.
fn rarely(random: f64) -> f64 {
    if random.abs() < 0.9 { 0.0 } else { random.signum() }
}

fn walk(step: Step) -> Vec<f64> {
    let (mut state, mut value) = (0x5EED_u64, 50.0);
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value += step((state >> 40) as f64 / f64::from(1 << 23) - 1.0);
        value
    };
    // The first round warms up.
    (0..READINGS * (1 + ROUNDS)).map(step).collect()
}

fn naive(values: &[f64]) -> usize {
    let (mut last, mut kept) = (f64::INFINITY, 0);
    for &value in values {
        if (value - last).abs() > 0.5 {
            last = value;
            kept += 1;
        }
    }
    kept
}

/// The readings of one round after the other, and the time of its first; every sensor has a reading a second.
fn rounds(values: &[f64], sensors: usize) -> impl Iterator<Item = (&[f64], i64)> {
    let span_ms = (READINGS / sensors) * 1000;
    black_box(values).chunks(READINGS).zip((0..).step_by(span_ms))
}

fn by_number(stage: &str, how: &str, sensors: usize, mut ours: Run, values: &[f64]) -> Result<(), String> {
    let (mut naives, mut stages, mut kept) = (rounds(values, sensors), rounds(values, sensors), 0);
    let mut candidates = [
        Candidate {
            name: "naive",
            run: Box::new(|| {
                black_box(naives.next().map(|(round, _)| naive(round)));
                Ok(())
            }),
        },
        Candidate {
            name: stage,
            run: Box::new(|| {
                kept += stages.next().map_or(0, |(round, start)| ours(round, start));
                Ok(())
            }),
        },
    ];
    let times = interleaved(&mut candidates, 1, ROUNDS)?;
    drop(candidates);
    print(format!("filter.ns.{stage}.{how}"), &times, kept)
}

fn by_name(stage: &str, how: &str, toml: &str, names: &[String], values: &[f64]) -> Result<(), String> {
    let rules = format!(
        "[[rule]]\nmatch = \"#\"\nstages = [ {{ gross_range = {{ fail = [-1e6, 1e6] }} }}, {{ {toml} }}, {{ stale = {{ timeout_ms = 3600000 }} }} ]"
    );
    let mut pipeline = Pipeline::from_toml(&rules).map_err(|error| error.to_string())?;
    let map: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
    let (mut rounds, mut kept) = (rounds(values, names.len()), 0_usize);
    let mut candidates = [
        Candidate {
            name: "naive",
            run: Box::new(|| {
                for _ in 0..READINGS / names.len() {
                    let numbers = names.iter().filter_map(|name| map.get(name.as_str()));
                    black_box(numbers.map(|number| u64::from(*number)).sum::<u64>());
                }
                Ok(())
            }),
        },
        Candidate {
            name: stage,
            run: Box::new(|| {
                let Some((round, start)) = rounds.next() else { return Ok(()) };
                for (row, time) in round.chunks(names.len()).zip((start..).step_by(1000)) {
                    for (name, &value) in names.iter().zip(row) {
                        let (sensor, value) = (pipeline.intern(name), Value::F64(value));
                        let reading = Reading { sensor, time, value, quality: Quality::GOOD };
                        let outcome = pipeline.process(reading, time, &mut |_| kept += 1);
                        kept += usize::from(matches!(outcome, Outcome::Emit(_)));
                    }
                }
                Ok(())
            }),
        },
    ];
    let times = interleaved(&mut candidates, 1, ROUNDS)?;
    drop(candidates);
    print(format!("filter.ns.{stage}.{how}"), &times, kept)
}

fn print(figure: String, times: &[Duration], kept: usize) -> Result<(), String> {
    if kept == 0 {
        return Err(format!("{figure}: nothing was kept"));
    }
    let ns = |index: usize| times.get(index).map_or(f64::NAN, |t| t.as_secs_f64() * 1e9 / READINGS as f64);
    let (naive, ours) = (ns(0), ns(1));
    let ratio = Some(ours / naive);
    Figure { figure, value: ours, unit: "ns", baseline: "naive".to_owned(), ratio, runs: ROUNDS }.print();
    Ok(())
}
