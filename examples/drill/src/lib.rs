#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! An outage on one machine, with nothing installed, and a verdict that could have been "lost".
//!
//! ```text
//!  sensors ──MQTT──▶ gateway (child process, killed and started again) ──▶ relay (late, cut, half-open) ──▶ hub
//!     └── acks.jsonl                                                                       hub.jsonl ──┘
//!                                   verdict = judge(acks, hub) ──▶ report.json, report.html
//! ```
//! The gateway is `edge-gateway`, or any command line that takes MQTT in on one port and brings it to another: [`CommandLine`]. The program
//! `outage-drill` drills the latter alone.
//!
//! Data and decisions are pure: `story`, `series`, `forecast`, `verdict`, `report`, `foreign`. Shells: `relay`, `hub`, `sensor`, `gateway`, `own`,
//! `work`, `mosquitto`, and `conductor`, which plays the story.

mod clock;
mod conductor;
mod forecast;
mod foreign_gateway;
mod gateway;
mod hub;
mod metrics;
mod mosquitto;
mod mqtt;
mod own_gateway;
mod progress;
mod record;
mod relay;
mod report;
mod rng;
mod sensor;
mod series;
mod story;
mod tables;
mod verdict;
mod work_folder;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use conductor::{Played, Setup};
use forecast::shown;
pub use forecast::{Forecast, Forecaster, Outage, Published, Traffic};
pub use foreign_gateway::CommandLine;
use gateway::Candidate;
pub use own_gateway::{Addresses, Inlet, OwnGateway};
use record::Records;
use report::Report;
pub use rng::Rng;
use story::{SECONDS_DEFAULT, SECONDS_MAX, SECONDS_MIN, Story};

/// Command of the program, for its report.
const COMMAND: &str = "cargo run --profile quick -p outage-drill --";

/// Options of the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
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
    /// Drill another gateway: words with {local_port}, {hub_port} and {state}, of which the process itself is killed. It may put a prefix
    /// before topics. Judged from outside alone
    #[arg(long, value_name = "CMD", conflicts_with = "mosquitto")]
    gateway: Option<CommandLine>,
    /// Let the sensors send plain numbers, for such a gateway that reads its messages: they may arrive in compact batches that name their sensors by
    /// their topics
    #[arg(long, requires = "gateway")]
    numbers: bool,
}

#[derive(Parser)]
#[command(
    name = "outage-drill",
    version,
    about = "An outage, a kill -9 and a half-open link for a gateway of yours, with a verdict on what it lost."
)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

/// Runs the program `outage-drill` with these words, the first of which is its name: the drill of a gateway that `--gateway` names.
///
/// Ends the process with exit code 2 if they are no command line of it.
pub fn command_line(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    run(&Program::parse_from(words).arguments, None)
}

/// Runs the drill and prints its verdict. 0: every promise held; 1: one did not, or the drill could not run.
///
/// `own`: the gateway that is drilled if the arguments name no other.
#[must_use]
pub fn run(arguments: &Arguments, own: Option<&OwnGateway>) -> ExitCode {
    match drill(arguments, own) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            edge_print::complain!("the drill could not be run: {error}");
            ExitCode::from(1)
        }
    }
}

fn drill(arguments: &Arguments, own: Option<&OwnGateway>) -> io::Result<bool> {
    let (candidate, name) = match (&arguments.gateway, own) {
        (Some(command), _) => (Candidate::Foreign(command.clone()), command.to_string()),
        (None, Some(own)) => {
            (Candidate::Own(own.clone()), format!("edge-gateway {}", env!("CARGO_PKG_VERSION")))
        }
        (None, None) => {
            return Err(io::Error::other("there is no gateway to be drilled: name one with --gateway"));
        }
    };
    let seconds = arguments.seconds.clamp(SECONDS_MIN, SECONDS_MAX);
    if seconds != arguments.seconds {
        edge_print::complain!(
            "--seconds {} is outside {SECONDS_MIN} to {SECONDS_MAX}: running {seconds}",
            arguments.seconds
        );
    }
    let seed = arguments.seed.unwrap_or_else(|| clock::Clock::start().unix_ms().unsigned_abs() % 1_000_000);
    edge_print::complain!("drill with seed {seed}: {seconds} s and the drain");
    let story = Story::new(seed, seconds);
    // The state stays beside the report until the verdict is known: after a failure it is evidence.
    let work = arguments.report.join("work");
    work_folder::clear(&work)?;
    let mosquitto = arguments.mosquitto.then_some(arguments.report.as_path());
    let setup = Setup { candidate: &candidate, numbers: arguments.numbers, work: &work, mosquitto };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut played = runtime.block_on(conductor::play(story, setup))?;
    if let Some(dir) = &arguments.record {
        played.records.write(dir)?;
        // The verdict is that of the files: whoever computes it again has the same ground.
        played.records = Records::read(dir)?;
    }
    let report = judge(played, name, again(own.map_or(COMMAND, |own| own.command), arguments, seconds, seed));
    report.write(&arguments.report)?;
    let mut text = verdict_text(&report, &arguments.report);
    if report.passed() {
        work_folder::remove(&work)?;
    } else {
        let _ = writeln!(text, "The gateway's store and log are kept in {}", work.display());
    }
    edge_print::print(&text)?;
    Ok(report.passed())
}

fn judge(played: Played, gateway: String, command: String) -> Report {
    let verdict = verdict::judge(&played.records, &played.timeline, &played.published);
    Report {
        story: played.story,
        records: played.records,
        timeline: played.timeline,
        verdict,
        observed: played.observed,
        samples: played.samples,
        events: played.events,
        forecast: played.forecast,
        started_at: played.started_at,
        gateway,
        stack: played.stack,
        command,
    }
}

/// Returns the command that runs the same drill again.
fn again(command: &str, arguments: &Arguments, seconds: u64, seed: u64) -> String {
    let length = if seconds == SECONDS_DEFAULT { String::new() } else { format!(" --seconds {seconds}") };
    let brokers = if arguments.mosquitto { " --mosquitto" } else { "" };
    let gateway =
        arguments.gateway.as_ref().map_or_else(String::new, |gateway| format!(" --gateway \"{gateway}\""));
    let numbers = if arguments.numbers { " --numbers" } else { "" };
    format!("{command} --seed {seed}{length}{brokers}{numbers}{gateway}")
}

fn verdict_text(report: &Report, dir: &Path) -> String {
    // Writing to a text does not fail.
    let mut text = String::new();
    let verdict = &report.verdict;
    let word = if report.passed() { "PASSED" } else { "FAILED" };
    let _ = writeln!(
        text,
        "{word}  published: {}  acknowledged: {}  lost: {}  came twice: {} ({} recognisable)",
        verdict.published,
        verdict.acknowledged,
        verdict.lost.len(),
        verdict.duplicates,
        verdict.duplicates_recognised
    );
    let observed = &report.observed;
    let _ = writeln!(
        text,
        "  link    {} bytes both ways, with topics, acknowledgments and what was sent twice; the payloads as JSON: {}",
        observed.wan_up_bytes.saturating_add(observed.wan_down_bytes),
        observed.json_bytes
    );
    for check in verdict.checks(observed) {
        let word = if check.kept { "kept  " } else { "BROKEN" };
        let _ = writeln!(
            text,
            "  {word}  promise {}  {}: {} (bound {})",
            check.promise, check.name, check.measured, check.bound
        );
    }
    for figure in report.compared() {
        let ratio = figure.ratio().map_or_else(String::new, |ratio| format!(", ratio {ratio:.2}"));
        let _ = writeln!(
            text,
            "  sizing  {}: predicted {}, measured {}{ratio}",
            figure.name,
            shown(figure.predicted, figure.unit),
            shown(figure.measured, figure.unit)
        );
    }
    let _ = writeln!(text, "report: {}", dir.join(report::HTML_FILE).display());
    text
}

#[cfg(test)]
mod tests;
