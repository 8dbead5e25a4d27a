//! What a pipeline of 10 000 sensors costs when nothing happens, when everything is due at once, and at rest.

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
    let figure = |name: &str, value: f64, unit| Figure {
        figure: name.to_owned(),
        value,
        unit,
        baseline: String::new(),
        ratio: None,
        runs: ROUNDS,
    };
    let seconds = |times: Vec<Duration>| median(times).as_secs_f64();
    let [none, all, deadband, door] = FIGURES;
    figure(none, seconds(none_due) * 1e9, "ns").print();
    figure(all, seconds(due) * 1e3, "ms").print();
    for (name, stage) in
        [(deadband, "deadband = { absolute = 0.5 }"), (door, "swinging_door = { deviation = 0.5 }")]
    {
        let before = resident_kib()?;
        let kept = pipeline(stage, names)?;
        let kib = resident_kib()? - before;
        drop(kept);
        figure(name, kib, "KiB").print();
    }
    Ok(())
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

/// Field 2 of `statm`: what the system counts. Freed memory of earlier figures is used again, so this is at most what
/// 10 000 sensors take.
fn resident_kib() -> Result<f64, String> {
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.map(|pages| pages * 4.0).ok_or_else(|| "statm".to_owned())
}
