#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "a program: it reads and writes files")]
//! `filter-lab`: what a filter does to recorded data.
//!
//! Exit codes: 0 done, 1 the data cannot be read or the result not written, 2 the command line, the rules or the case
//! are wrong.

mod error;
mod replay;
mod run;

use clap::{Parser, Subcommand};
use edge_csv::Visible;
use error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "filter-lab", version, about = "Shows what a filter does to recorded data.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run rules over recorded data: what is kept, how far off it is, what is left out and why
    Run(run::Arguments),
    /// Run one filter of a case file, to compare it with another program
    Replay {
        /// The case: {"id", "kind", "config": {"type", ...}}
        #[arg(long, value_name = "FILE")]
        case: PathBuf,
        /// Readings, `ts_ms,sensor,value,quality`; for a controller `ts_ms,pv,sp,mode,manual_output`
        #[arg(long = "in", value_name = "CSV")]
        input: PathBuf,
        /// The result, in the columns of the kind
        #[arg(long = "out", value_name = "CSV")]
        output: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay { case, input, output } => replay::run(&case, &input, &output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            edge_print::complain!("filter-lab: {}", Visible(&error.to_string()));
            ExitCode::from(match error {
                Error::Data(_) => 1,
                Error::Config(_) => 2,
            })
        }
    }
}

/// Refuses an output that is one of the files which are read.
fn refuse_to_overwrite(output: &Path, read: &[(&Path, &str)]) -> Result<(), Error> {
    let same = |(file, _): &&(&Path, &str)| edge_state::operator_file::is_same_file(file, output);
    match read.iter().find(same) {
        Some((_, what)) => Err(Error::Config(format!("{}: is {what}: write elsewhere", output.display()))),
        None => Ok(()),
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
