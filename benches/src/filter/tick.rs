//! Cost of a pipeline of 10 000 sensors when nothing happens, when everything is due at once, and at rest.

use std::time::{Duration, Instant};

use edge_filter::{Pipeline, Quality, Reading, Value};

use crate::measure::{Figure, median};

pub(crate) const FIGURES: [&str; 4] = [
    "filter.tick_ns.10k_none_due",
    "filter.tick_ms.10k_due",
    "filter.rss_kib.10k.deadband",
    "filter.rss_kib.10k.swinging_door",
];

const ROUNDS: usize = 7;
const TICKS: u32 = 10_000;

pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let (mut none_due, mut due) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut pipeline = pipeline("deadband = { absolute = 0.5 }", names)?;
        let start = Instant::now();
        for now in 0..TICKS {
            pipeline.tick(2_000 + i64::from(now % 1_000), &mut |_| ());
        }
        none_due.push(start.elapsed() / TICKS);
        let (start, mut emits) = (Instant::now(), 0);
        pipeline.tick(100_000, &mut |_| emits += 1);
        due.push(start.elapsed());
        if emits != names.len() {
            return Err(format!("{emits} of {} sensors became stale", names.len()));
        }
    }
    let seconds = |times: Vec<Duration>| median(times).as_secs_f64();
    let [none, all, ..] = FIGURES;
    print(none, seconds(none_due) * 1e9, "ns", ROUNDS);
    print(all, seconds(due) * 1e3, "ms", ROUNDS);
    Ok(())
}

/// Memory of a pipeline at rest. To be called first: later, memory that was freed would be used again.
pub(crate) fn rest(names: &[String]) -> Result<(), String> {
    let [.., deadband, door] = FIGURES;
    let stages = [(deadband, "deadband = { absolute = 0.5 }"), (door, "swinging_door = { deviation = 0.5 }")];
    let mut kept = Vec::new();
    for (name, stage) in stages {
        let before = resident_kib()?;
        kept.push(pipeline(stage, names)?);
        print(name, resident_kib()? - before, "KiB", 1);
    }
    drop(kept);
    Ok(())
}

fn print(name: &str, value: f64, unit: &'static str, runs: usize) {
    let figure = name.to_owned();
    Figure { figure, value, unit, baseline: String::new(), ratio: None, runs }.print();
}

fn pipeline(stage: &str, names: &[String]) -> Result<Pipeline, String> {
    let rules = format!(
        "[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }}, {{ stale = {{ timeout_ms = 30000 }} }} ]"
    );
    let mut pipeline = Pipeline::from_toml(&rules).map_err(|error| error.to_string())?;
    for name in names {
        let sensor = pipeline.intern(name);
        let reading = Reading { sensor, time: 1_000, value: Value::F64(20.0), quality: Quality::GOOD };
        let _ = pipeline.process(reading, 1_000, &mut |_| ());
    }
    Ok(pipeline)
}

/// Field 2 of `statm`, in pages of 4 KiB: what the system counts.
fn resident_kib() -> Result<f64, String> {
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.map(|pages| pages * 4.0).ok_or_else(|| "statm".to_owned())
}
