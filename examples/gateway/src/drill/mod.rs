//! `edge-gateway drill`: an outage on one machine, with nothing installed, and a verdict that could have been "lost".
//!
//! ```text
//!  sensors ──MQTT──▶ gateway (child process, killed and started again) ──▶ relay (late, cut, half-open) ──▶ hub
//!     └── acks.jsonl                                                                       hub.jsonl ──┘
//!                                   verdict = judge(acks, hub) ──▶ report.json, report.html
//! ```
//! Data and decisions are pure: `story`, `series`, `verdict`, `report`. Shells: `relay`, `hub`, `sensor`, `gateway`,
//! `mosquitto`, and `conductor`, which plays the story.

mod clock;
mod conductor;
mod gateway;
mod hub;
mod metrics;
mod mosquitto;
mod mqtt;
mod progress;
mod record;
mod relay;
mod report;
pub(crate) mod rng;
mod sensor;
mod series;
mod story;
mod tables;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conductor::{Played, Setup};
use record::Records;
use report::Report;
use story::{SECONDS_DEFAULT, SECONDS_MAX, SECONDS_MIN, Story};

/// The options of the command line.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Length of the story without the drain, 30 to 3600
    #[arg(long, value_name = "N", default_value_t = SECONDS_DEFAULT)]
    seconds: u64,
    /// Decides the moment of the kill; without it a new one is drawn and printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Directory for report.json and report.html
    #[arg(long, value_name = "DIR", default_value = "./drill-report")]
    report: PathBuf,
    /// Also keep every acknowledged message and every arrival, as acks.jsonl and hub.jsonl
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Use real Mosquitto as hub and as local broker; their configurations are left in the report folder
    #[arg(long)]
    mosquitto: bool,
}

/// Runs the drill and prints its verdict. 0: every promise held; 1: one did not, or the drill could not run.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match drill(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("the drill could not be run: {error}");
            ExitCode::from(1)
        }
    }
}

fn drill(arguments: &Arguments) -> io::Result<bool> {
    let seconds = arguments.seconds.clamp(SECONDS_MIN, SECONDS_MAX);
    if seconds != arguments.seconds {
        eprintln!(
            "--seconds {} is outside {SECONDS_MIN} to {SECONDS_MAX}: running {seconds}",
            arguments.seconds
        );
    }
    let seed = arguments.seed.unwrap_or_else(|| clock::Clock::start().unix_ms().unsigned_abs() % 1_000_000);
    eprintln!("drill with seed {seed}: {seconds} s and the drain");
    let story = Story::new(seed, seconds);
    // The state stays beside the report until the verdict is known: after a failure it is evidence.
    let work = arguments.report.join("work");
    gateway::clear(&work)?;
    let program = std::env::current_exe()?;
    let mosquitto = arguments.mosquitto.then_some(arguments.report.as_path());
    let setup = Setup { program: &program, work: &work, mosquitto };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut played = runtime.block_on(conductor::play(story, setup))?;
    if let Some(dir) = &arguments.record {
        played.records.write(dir)?;
        // The verdict is that of the files: whoever computes it again has the same ground.
        played.records = Records::read(dir)?;
    }
    let report = judge(played, command(seconds, seed, arguments.mosquitto));
    report.write(&arguments.report)?;
    print_verdict(&report, &arguments.report);
    if report.passed() {
        std::fs::remove_dir_all(&work)?;
    } else {
        println!("The gateway's store and log are kept in {}", work.display());
    }
    Ok(report.passed())
}

fn judge(played: Played, command: String) -> Report {
    let verdict = verdict::judge(&played.records, &played.timeline, &played.published);
    Report {
        story: played.story,
        records: played.records,
        timeline: played.timeline,
        verdict,
        observed: played.observed,
        samples: played.samples,
        events: played.events,
        started_at: played.started_at,
        stack: played.stack,
        command,
    }
}

fn command(seconds: u64, seed: u64, mosquitto: bool) -> String {
    let length = if seconds == SECONDS_DEFAULT { String::new() } else { format!(" --seconds {seconds}") };
    let brokers = if mosquitto { " --mosquitto" } else { "" };
    format!("cargo run --profile quick -p edge-gateway -- drill --seed {seed}{length}{brokers}")
}

fn print_verdict(report: &Report, dir: &Path) {
    let verdict = &report.verdict;
    let word = if report.passed() { "PASSED" } else { "FAILED" };
    println!(
        "{word}  published: {}  acknowledged: {}  lost: {}  came twice: {} ({} recognisable)",
        verdict.published,
        verdict.acknowledged,
        verdict.lost.len(),
        verdict.duplicates,
        verdict.duplicates_recognised
    );
    let observed = &report.observed;
    println!(
        "  link    {} bytes both ways, with topics, acknowledgments and what was sent twice; the payloads as JSON: {}",
        observed.wan_up_bytes.saturating_add(observed.wan_down_bytes),
        observed.json_bytes
    );
    for check in verdict.checks(observed) {
        let word = if check.kept { "kept  " } else { "BROKEN" };
        println!(
            "  {word}  promise {}  {}: {} (bound {})",
            check.promise, check.name, check.measured, check.bound
        );
    }
    println!("report: {}", dir.join(report::HTML_FILE).display());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a test this program is the test runner, which takes `run FILE --state DIR` for a mistake and ends.
    #[test]
    fn negative_control_a_gateway_that_does_not_start_is_a_failed_drill_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("report");
        let arguments =
            Arguments { seconds: 1, seed: None, report: report.clone(), record: None, mosquitto: false };
        let error = drill(&arguments).unwrap_err().to_string();
        assert!(error.contains("the gateway has ended") && error.contains("state"), "{error}");
        assert_eq!(run(&arguments), ExitCode::from(1));
        assert!(report.join("work/gateway.toml").exists() && !report.join(report::HTML_FILE).exists());
    }

    #[test]
    fn the_command_that_is_printed_runs_the_same_story_again() {
        assert_eq!(command(40, 7, false), "cargo run --profile quick -p edge-gateway -- drill --seed 7");
        assert_eq!(
            command(60, 7, true),
            "cargo run --profile quick -p edge-gateway -- drill --seed 7 --seconds 60 --mosquitto"
        );
    }
}
