#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! `edge-decode`: batches of readings to lines, lines to batches, an MQTT hub to lines.
//!
//! Exit codes: 0 done or stopped, 1 something could not be read or written, 2 the command line is wrong.

mod arguments;
mod decode;
mod encode;
mod format_name;
mod frames;
mod input;
mod json_text;
mod packer;
mod print;
mod size;
mod stats;
mod subscribe;
mod tables;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use edge_csv::Visible;

use arguments::{Arguments, Command};

/// Early end of a command.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Failure of a file, a stream or the hub, in words.
    #[error("{0}")]
    Failed(String),
    /// The reader of our output has gone, which is no failure.
    #[error("nobody reads the output any more")]
    NoReader,
}

impl Failure {
    /// Makes the failure of a file or stream.
    fn io(what: impl std::fmt::Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NoReader,
            _ => Self::Failed(format!("{what}: {error}")),
        }
    }
}

/// Outcome of a command that came to its end: whether everything could be read.
type Outcome = Result<bool, Failure>;

/// Writes a line on standard error. Foreign text in it, a topic or a sensor's name, drives no terminal.
fn tell(line: impl std::fmt::Display) {
    edge_print::complain!("edge-decode: {}", Visible(&line.to_string()));
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Decode(options) => decode::run(&options),
        Command::Encode(options) => encode::run(&options),
        Command::Subscribe(options) => subscribe::run(&options),
    };
    match outcome {
        Ok(true) | Err(Failure::NoReader) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            tell(&failure);
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}
