#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! `control-loop run [--config FILE] [--seconds N]`, `control-loop check FILE`: alarms, interlocks and control loops
//! that never wait for the network or the disk.
//!
//! Exit codes: 0 done or stopped, 1 failed while running, 2 the configuration or the command line is wrong.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads its configuration and waits for its end")]

use clap::{Parser, Subcommand};
use control_loop::net::{DemoHub, Message};
use control_loop::plant::{Actuators, Plant};
use control_loop::{App, Config, HubConfig, OneLine, Spool};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

#[derive(Parser)]
#[command(name = "control-loop", version, about = "Local control beside a store-and-forward bridge.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run control loops; without a configuration a demonstration with a simulated plant and hub
    Run {
        /// control.toml; its outputs go to local MQTT subscribers
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Stop after so many seconds, with a line for each; the demonstration after 20
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    },
    /// Name everything that is wrong with a configuration, each with its line; nothing is started
    Check {
        /// control.toml
        file: PathBuf,
    },
}

/// Line about SIGHUP.
const HANGUP: &str = "SIGHUP: the configuration is not read again, control goes on";

/// Failure of the program: exit code, and the errors in words, each for a line of its own.
struct Failed(u8, Vec<String>);

impl Failed {
    fn new(code: u8, error: &dyn Display) -> Self {
        Self(code, vec![error.to_string()])
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config: Some(file), seconds } => run(&file, seconds),
        Command::Run { config: None, seconds } => demonstrate(seconds.unwrap_or(20)),
        Command::Check { file } => check(&file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(code, errors)) => {
            errors.iter().for_each(|error| complain(error));
            ExitCode::from(code)
        }
    }
}

/// Writes a line on standard error, which stays one line whatever strings of a file it quotes.
fn complain(line: &str) {
    edge_print::complain!("control-loop: {}", OneLine(line));
}

/// Reads a configuration, and reports each mistake in a line.
fn read(file: &Path) -> Result<Config, Failed> {
    let failed = |error: &dyn Display| format!("{}: {error}", file.display());
    let text =
        edge_state::operator_file::read_rules(file).map_err(|error| Failed(2, vec![failed(&error)]))?;
    Config::parse(&text)
        .map_err(|error| Failed(2, error.problems().iter().map(|problem| failed(problem)).collect()))
}

fn check(file: &Path) -> Result<(), Failed> {
    let config = read(file)?;
    warn_about(&config);
    let loops = config.loops;
    let (inputs, outputs) = (loops.controller.inputs().len(), loops.controller.outputs().len());
    edge_print::say!("{}: fine: {inputs} inputs, {outputs} outputs; nothing was started", file.display());
    Ok(())
}

fn warn_about(config: &Config) {
    config.warnings().iter().for_each(|warning| complain(&format!("warning: {warning}")));
}

/// Runs a real plant: outputs by MQTT, the hub of the file.
fn run(file: &Path, seconds: Option<u64>) -> Result<(), Failed> {
    let mut config = read(file)?;
    warn_about(&config);
    let hub = config.hub.take();
    let place = file.parent().unwrap_or(Path::new("."));
    config.state = config.state.map(|dir| place.join(dir));
    let spool = hub.as_ref().map_or(Spool::Nowhere, |hub| Spool::Dir(place.join(&hub.spool)));
    if hub.is_none() {
        complain("no [hub]: alarms and trips stay here");
    }
    if hub.is_none() && config.state.is_none() {
        complain("no [state] dir: setpoints and alarms do not survive a restart");
    }
    let actuators = Actuators::new(config.loops.controller.outputs().len());
    // Before anything runs: a signal that comes early is not lost.
    let until = Until::new(seconds.unwrap_or_default())?;
    let app = App::start(config, hub, spool, actuators.handle(), actuators.handle());
    let app = app.map_err(|error| Failed::new(1, &error))?;
    edge_print::say!("control-loop: sensors publish to {}", app.address());
    match seconds {
        Some(_) => until.report(&app, |_| String::new()),
        // A service runs for years, and its log is no place for a line per second.
        None => until.wait(),
    }
    Ok(())
}

/// Runs a simulated plant and hub in this process.
fn demonstrate(seconds: u64) -> Result<(), Failed> {
    let config = Config::demonstration().map_err(|error| Failed::new(2, &error))?;
    let hub = DemoHub::start(|message: Message| {
        if message.topic.starts_with("event/") {
            edge_print::say!("  at the hub: {} {}", message.topic, message.payload);
        }
    });
    let hub = hub.map_err(|error| Failed::new(1, &error))?;
    let spool = std::env::temp_dir().join(format!("control-loop-{}", std::process::id()));
    let to_hub = HubConfig::new(format!("mqtt://{}", hub.address()), "control-loop", &spool);
    let names: Vec<String> =
        config.loops.controller.outputs().iter().map(|output| output.name().to_owned()).collect();
    let actuators = Actuators::new(names.len());
    let until = Until::new(seconds)?;
    let app = App::start(config, to_hub, Spool::Dir(spool.clone()), actuators.handle(), actuators.handle());
    let app = app.map_err(|error| Failed::new(1, &error))?;
    edge_print::say!("control-loop: a simulated plant publishes to {}; not a safety function", app.address());
    let plant = Plant::start(app.address(), actuators.clone()).map_err(|error| Failed::new(1, &error))?;
    until.report(&app, |_| {
        let values = names.iter().enumerate();
        values.map(|(n, name)| format!("  {name} {:6.2}", actuators.get(n))).collect()
    });
    drop((plant, app, hub));
    // A temporary directory that stays is only a few kilobytes.
    let _ = std::fs::remove_dir_all(spool);
    Ok(())
}

/// End of the program: a time, SIGTERM or SIGINT. SIGHUP, as a terminal that closes sends it, ends nothing.
struct Until {
    seconds: u64,
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Until {
    fn new(seconds: u64) -> Result<Until, Failed> {
        let failed = |error: std::io::Error| Failed::new(1, &format_args!("signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let _inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let hangup = signal(SignalKind::hangup()).map_err(failed)?;
        drop(_inside);
        Ok(Until { seconds, runtime, terminate, interrupt, hangup })
    }

    /// Waits for a signal that ends the program.
    fn wait(mut self) {
        while !self.is_over(Instant::now() + Duration::from_secs(3_600)) {}
    }

    /// Waits for this moment. Returns whether a signal ends the program before.
    fn is_over(&mut self, at: Instant) -> bool {
        let (terminate, interrupt, hangup) = (&mut self.terminate, &mut self.interrupt, &mut self.hangup);
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => return false,
                    _ = terminate.recv() => return true,
                    _ = interrupt.recv() => return true,
                    _ = hangup.recv() => complain(HANGUP),
                }
            }
        })
    }

    /// Prints a line per second, until the end.
    fn report(mut self, app: &App, outputs: impl Fn(u64) -> String) {
        let (stats, net) = (app.loop_stats(), app.net_stats());
        let start = Instant::now();
        for second in 1..=self.seconds {
            let at = start + Duration::from_secs(second);
            if self.is_over(at) {
                return;
            }
            let queue = match net.is_queue_open() {
                true => format!("queued for the hub {:4}", net.queued()),
                false => "no queue for the hub".to_owned(),
            };
            edge_print::say!(
                "{second:4} s  scans {:6}  missed {:3}  period error p99.9 {:5.2} ms  received {:6}  {queue}{}",
                stats.scans(),
                stats.missed(),
                stats.period_error.quantile_ns(0.999) as f64 / 1e6,
                stats.received(),
                outputs(second),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn manual_pages_and_completions_are_whole() {
        assert_eq!(edge_manual::make(Arguments::command()), [""; 0]);
    }
}
