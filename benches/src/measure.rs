//! Interleaved rounds and medians: a shared machine drifts, a ratio of neighbours in time does not.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

/// One figure, printed as one JSON object per line.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// Name of the figure that `ratio` compares with; empty when the figure stands alone.
    pub(crate) baseline: String,
    /// Ours by the baseline, in the direction in which more is better for rates and less is better for sizes.
    pub(crate) ratio: Option<f64>,
    pub(crate) runs: usize,
}

impl Figure {
    pub(crate) fn print(&self) {
        let program = env::current_exe().unwrap_or_default();
        match serde_json::to_string(&Line { figure: self, profile: profile(&program) }) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("{}: {error}", self.figure),
        }
    }
}

/// Printed form of a figure.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    profile: &'a str,
}

/// Name of the Cargo profile: that of the folder in which Cargo puts the program.
fn profile(program: &Path) -> &str {
    program.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or("")
}

/// Something that can be done once and timed.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) run: Box<dyn FnMut() -> Result<(), String> + 'a>,
}

/// Median time of one call of each candidate, called in turn `rounds` times after `warm_up` uncounted turns.
pub(crate) fn interleaved(
    candidates: &mut [Candidate<'_>],
    warm_up: usize,
    rounds: usize,
) -> Result<Vec<Duration>, String> {
    let mut times: Vec<Vec<Duration>> = candidates.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..warm_up + rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (candidate.run)().map_err(|error| format!("{}: {error}", candidate.name))?;
            if round >= warm_up {
                times.push(start.elapsed());
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Geometric mean.
pub(crate) fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len().max(1) as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median([5, 1, 3].map(Duration::from_secs).to_vec()), Duration::from_secs(3));
        assert_eq!(profile(Path::new("target/quick/edge-benches")), "quick");
        assert!((geomean(&[1.0, 4.0]) - 2.0).abs() < 1e-12);
    }
}
