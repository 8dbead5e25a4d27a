//! Command line of `edge-gateway`: subcommands, exit codes, and texts for standard output.

mod answer_in_pieces;
mod backup;
mod check;
mod check_online;
mod control_client;
mod diag;
mod drill;
mod export_file;
mod flash_wear_line;
mod fleet;
mod free_disk;
mod hub_access;
mod hub_visit;
mod import;
mod measured_load;
mod mule;
mod parked;
mod passwd;
mod queue_key;
mod restore;
mod route;
mod run_command;
mod screen;
mod signers;
mod standard_output;
mod status;
mod tap;
mod test;
mod trusted_clock;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use control_loop::OneLine;

use crate::config::effective::Effective;
use crate::config::reference::Page;
use crate::config::{Config, Severity};
use crate::open_files::OpenFiles;
use crate::run;
use check::{Load, Meaning};

#[derive(Parser)]
#[command(
    name = "edge-gateway",
    version,
    about = "Keeps sensor data through an outage: MQTT in, filter, durable queue, MQTT out."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Load of the site for which costs are predicted.
#[derive(Args)]
struct LoadArguments {
    /// Take rate and payload from what the running gateway has measured, over the last day at most
    #[arg(long, conflicts_with_all = ["rate", "payload", "effective"])]
    measured: bool,
    /// Directory of the queue, as for run; wins over the file's
    #[arg(long, value_name = "DIR", conflicts_with = "effective")]
    state: Option<PathBuf>,
    /// Messages per second for the prediction, of all sensors together; of a message with several readings, the readings
    #[arg(long, value_name = "N", default_value_t = Load::USUAL.messages_per_s, value_parser = rate)]
    rate: f64,
    /// Bytes of a raw message's payload
    #[arg(long, value_name = "BYTES", default_value_t = Load::USUAL.payload_bytes, value_parser = clap::value_parser!(u64).range(0..=262_144))]
    payload: u64,
    /// Number of sensors that send these messages
    #[arg(long, value_name = "N", default_value_t = Load::USUAL.sensors, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    sensors: u32,
    /// Bytes of a sensor's topic, which JSON, CBOR and Protobuf batches carry; at least those of the route's `match` with a short name in it
    #[arg(long, value_name = "BYTES", default_value_t = Load::USUAL.topic_bytes, value_parser = clap::value_parser!(u16).range(0..=4_096))]
    topic: u16,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.001..=100_000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.001 to 100000".to_owned())
}

#[derive(Subcommand)]
enum Command {
    /// Take messages in, keep them, bring them to the hub; until SIGTERM or SIGINT.
    Run(run_command::Arguments),
    /// Say what is wrong with a configuration, or what it means; with --online also what the hub grants. Starts nothing.
    Check {
        /// gateway.toml
        file: PathBuf,
        /// Print instead the one configuration that is made of the file, what it includes and the environment, with the origin of each key: a gateway.toml of its own
        #[arg(long)]
        effective: bool,
        /// Print what is wrong alone, and nothing of what the configuration means: without the simulations of its costs, for the start of a service
        #[arg(long, conflicts_with_all = ["effective", "measured", "rate", "payload", "sensors", "topic"])]
        findings: bool,
        /// Also connect to each address of the hub, as ID-check, and say what it grants. Exit code 1 if it refuses something, 69 if it is not reached
        #[arg(long, conflicts_with = "effective")]
        online: bool,
        /// With --online also publish an empty message to each topic, or below each prefix, that the gateway publishes to
        #[arg(long, requires = "online")]
        publish: bool,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Say which route takes messages on a topic, and where they go
    Route(route::Arguments),
    /// Run the cases of a configuration (`[[test]]`) through its routes and filters, in virtual time. Starts nothing.
    Test(test::Arguments),
    /// Make a gateway.toml from a mosquitto.conf and a telegraf.conf, on standard output. What is left out is listed
    Import(import::Arguments),
    /// Print the reference of the configuration files as Markdown, or as a JSON Schema: every key with bounds, default and meaning
    Reference {
        /// File whose keys are printed
        #[arg(value_enum, default_value_t = Page::Gateway)]
        page: Page,
    },
    /// Prove it here: an outage, a kill -9 and a half-open link on loopback, with a verdict and a report
    Drill(outage_drill::Arguments),
    /// Say how a running gateway is: verdict, losses, room left, and what needs a person
    Status(status::Arguments),
    /// Show live samples of messages on their way through a running gateway: as they came, filtered, stored, or sent
    Tap(tap::Arguments),
    /// Say how all gateways are, from what the hub keeps of them (`[status] to_hub`); the worst first
    Fleet(fleet::Arguments),
    /// Write an archive about a gateway for whoever helps with it: configuration without secrets, status, metrics, sizes; no payloads
    Diag(diag::Arguments),
    /// Write a copy of what waits in a running gateway to a file, for another gateway; stops and consumes nothing
    Backup(backup::Arguments),
    /// Make the queue of a stopped gateway from a copy that `backup` wrote, in a state directory without one
    Restore(restore::Arguments),
    /// Carry what waits at a site without a link to its hub on a stick, and bring the receipt back
    Mule(mule::Arguments),
    /// Look after what the hub refuses, at a running gateway
    Parked(parked::Arguments),
    /// Set a user's password for `[local] password_file`, read from standard input
    Passwd(passwd::Arguments),
}

/// Runs the subcommand that this process's arguments name. Ends the process with exit code 2 if they name none.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Run(arguments) => run_command::run(&arguments),
        Command::Check { file, effective: true, .. } => with(&file, |config| {
            let env = |name: &str| std::env::var(name).ok();
            print(&Effective { sources: &config.sources, env: &env }.to_string())
        }),
        Command::Check { file, findings, load, online, publish, .. } => with(&file, |config| {
            let state = load.state.as_deref().or(config.state.as_deref());
            warn(config, state);
            let printed = if findings { Ok(()) } else { print_meaning(config, state, &load) };
            let checked = || {
                let key = state.map_or(Ok(()), |state| queue_key::check(config, state));
                signers::check(config).and(key)
            };
            match (printed.and_then(|()| checked()), online) {
                (Ok(()), true) => check_online::run(config, publish),
                (Ok(()), false) => ExitCode::SUCCESS,
                (Err(failed), _) => failed,
            }
        }),
        Command::Reference { page } => print(&page.text()),
        Command::Route(arguments) => with(&arguments.file, |config| route::run(&arguments, config)),
        Command::Test(arguments) => with(&arguments.file, |config| test::run(&arguments, config)),
        Command::Import(arguments) => import::run(&arguments),
        Command::Drill(arguments) => drill::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Tap(arguments) => tap::run(&arguments),
        Command::Fleet(arguments) => fleet::run(&arguments),
        Command::Diag(arguments) => diag::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Mule(arguments) => mule::run(&arguments),
        Command::Parked(arguments) => parked::run(&arguments),
        Command::Passwd(arguments) => passwd::run(&arguments),
    }
}

/// Reads a configuration, and prints its mistakes on standard error.
fn load(file: &Path) -> Result<Config, ExitCode> {
    let (config, findings) = match Config::load(file) {
        Ok((config, findings)) => (Some(config), findings),
        Err(findings) => (None, findings),
    };
    edge_print::write_error(format_args!("{findings}"));
    match config.filter(|_| findings.count(Severity::ErrorInCheck) == 0) {
        Some(config) => Ok(config),
        None => {
            edge_print::complain!("{}. Nothing was started.", findings.counted());
            Err(ExitCode::from(2))
        }
    }
}

/// Passes a configuration without errors to `answer`. Returns the exit code.
fn with(file: &Path, answer: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    match load(file) {
        Ok(config) => answer(&config),
        Err(code) => code,
    }
}

fn print(text: &str) -> ExitCode {
    standard_output::print(text).err().unwrap_or(ExitCode::SUCCESS)
}

/// Prints warnings about this machine on standard error.
fn warn(config: &Config, state: Option<&Path>) {
    let room = state.and_then(|state| free_disk::warning(config, state));
    for warning in room.into_iter().chain(trusted_clock::warning(config)) {
        edge_print::complain!("warning: {}", OneLine(&warning));
    }
}

fn print_meaning(config: &Config, state: Option<&Path>, site: &LoadArguments) -> Result<(), ExitCode> {
    let (clock, files) = (run::wall_clock(config).sync(), OpenFiles::of_this_process());
    let LoadArguments { rate: messages_per_s, payload: payload_bytes, sensors, topic: topic_bytes, .. } =
        *site;
    let mut load = Load { messages_per_s, payload_bytes, sensors, topic_bytes, measured: None };
    if site.measured {
        measured_load::measure(config, site.state.as_deref(), &mut load)?;
    }
    let queue = state.and_then(|state| queue_key::line(config, state)).unwrap_or_default();
    let wear = state.and_then(flash_wear_line::line).unwrap_or_default();
    standard_output::print(&format!("{}{queue}{wear}", Meaning(config, clock, files, load)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_short_name_of_a_list_is_one() {
        let parsed = Arguments::try_parse_from(["edge-gateway", "parked", "ls", "g.toml"]);
        assert!(parsed.is_ok(), "{}", parsed.err().unwrap());
    }

    #[test]
    fn manual_pages_and_completions_are_whole() {
        assert_eq!(edge_manual::make(Arguments::command()), [""; 0]);
    }
}
