#![forbid(unsafe_code)]
//! `edge-gateway`: MQTT in, filter, durable queue, MQTT out.
//!
//! Exit codes: 0 done or stopped, 1 failed while running, 2 the configuration or the command line is wrong.

mod check;
#[expect(dead_code, reason = "run, which reads the rest, follows")]
mod config;
#[cfg(test)] // its subcommand comes with `run`, which it starts
mod drill;
#[cfg(test)] // its subcommand comes with the sockets
#[expect(dead_code, reason = "the sockets, which use the rest, follow")]
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::{Config, Findings, Severity};

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

#[derive(Subcommand)]
enum Command {
    /// Say what is wrong with a configuration, or what it means. Starts nothing.
    Check {
        /// gateway.toml
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Check { file } => check(&file),
    }
}

/// Reads a configuration, says what is wrong with it on standard error.
fn load(file: &Path) -> Result<Config, ExitCode> {
    let summary = |findings: &Findings| {
        let (errors, warnings) = (findings.count(Severity::Error), findings.count(Severity::Warning));
        eprint!("{findings}");
        (errors, warnings)
    };
    match Config::load(file) {
        Ok((config, findings)) => {
            summary(&findings);
            Ok(config)
        }
        Err(findings) => {
            let (errors, warnings) = summary(&findings);
            eprintln!("{errors} errors, {warnings} warnings. Nothing was started.");
            Err(ExitCode::from(2))
        }
    }
}

fn check(file: &Path) -> ExitCode {
    match load(file) {
        Ok(config) => {
            print!("{}", check::Meaning(&config));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
