//! `edge-gateway mule settle`: hands a receipt to the running gateway, which releases exactly the rows that it names.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::super::control_client::{Failed, StateArguments, ask_on, open, tell};
use crate::mule::receipt;
use crate::run::status::outputs::terminal::printable;

/// Time limit of the answer: the gateway reads each row that the receipt names.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Receipt that `mule ingest` wrote
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    #[command(flatten)]
    gateway: StateArguments,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let state = arguments.gateway.dir().map_err(|text| (text, 2));
    tell(state.and_then(|state| settle(&state, &arguments.receipt)))
}

fn settle(state: &Path, path: &Path) -> Result<String, (String, u8)> {
    let text = receipt::read(path).map_err(|error| (format!("{}: {error}", path.display()), 1))?;
    let gateway = open(state).map_err(Failed::with_code)?;
    // The text ends its last line itself.
    let request = format!("settle {}\n{}", text.len(), text.trim_end_matches('\n'));
    let done = ask_on(gateway, &request, ANSWER_WITHIN, |_| Ok(())).map_err(Failed::with_code)?;
    Ok(format!("{}\n", printable(&done)))
}
