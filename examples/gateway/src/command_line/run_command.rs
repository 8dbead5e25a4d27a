//! `edge-gateway run`: starts with the file's configuration or, if that has mistakes, with the last one that was in force.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control_loop::OneLine;

use crate::config::Config;
use crate::run;
use crate::run::Start;
use crate::run::configuration::last_configuration;
use crate::run::configuration::refusal::Refusal;

#[derive(Args)]
pub(crate) struct Arguments {
    /// gateway.toml
    file: PathBuf,
    /// Directory of the queue; wins over `[gateway] state`
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Ends with exit code 2 where the configuration has mistakes or does not start, instead of going on with the one that was in force last
    #[arg(long)]
    strict: bool,
}

/// Runs until a signal.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { file, state, strict } = arguments;
    let (config, refused) = match Config::load(file) {
        Ok((config, findings)) => {
            edge_print::write_error(format_args!("{}", findings.for_a_run()));
            (config, None)
        }
        Err(findings) => {
            edge_print::write_error(format_args!("{findings}"));
            let Some(kept) = kept(file, state.as_deref()).filter(|_| !strict) else {
                edge_print::complain!("{}. Nothing was started.", findings.counted());
                return ExitCode::from(2);
            };
            edge_print::complain!(
                "{}. Starts with the configuration that was in force last.",
                findings.counted()
            );
            (kept, Some(Refusal::mistakes(&findings)))
        }
    };
    match run::run(Start { file, config, refused, state: state.as_deref(), is_strict: *strict }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            edge_print::complain!("edge-gateway: {}", OneLine(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Returns the configuration that was in force last, if the state directory is known.
fn kept(file: &Path, state: Option<&Path>) -> Option<Config> {
    let state = match state {
        Some(state) => state.to_owned(),
        None => Config::state_in(file).ok()??,
    };
    match last_configuration::kept(&state, file) {
        Ok(kept) => kept.map(|(config, _)| config),
        Err(why) => {
            edge_print::complain!(
                "The configuration that was in force last is of no use: {}.",
                OneLine(&why)
            );
            None
        }
    }
}
