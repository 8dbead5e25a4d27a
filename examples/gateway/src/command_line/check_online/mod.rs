//! `edge-gateway check FILE --online`: connects to each address of the hub as the gateway would, under an identifier of its own, and reports what
//! the hub grants. It stores nothing, and publishes only if it is told to.

#![allow(clippy::disallowed_methods, reason = "a command: the runtime and the clock")]

mod needed;
mod report;
mod visit;

use std::process::ExitCode;

use super::control_client::UNAVAILABLE;
use super::standard_output;
use crate::config::Config;
use crate::run::RunError;
use needed::Needed;
use report::{Failure, Report};

/// Visits each address, and prints a report of each as soon as it is complete. The exit code is 0 if every address grants what the configuration
/// needs, 69 if one cannot be reached, 1 if one refuses something, 2 if a key or certificate cannot be used.
pub(crate) fn run(config: &Config, publishes: bool) -> ExitCode {
    match visit_all(config, publishes) {
        Ok(code) | Err(Stop::Told(code)) => code,
        Err(Stop::Unusable(error)) => {
            edge_print::complain!("edge-gateway: {error}");
            ExitCode::from(2)
        }
    }
}

/// Reason to stop before every address was visited.
enum Stop {
    Unusable(RunError),
    /// Standard output cannot be written, which was reported.
    Told(ExitCode),
}

fn visit_all(config: &Config, publishes: bool) -> Result<ExitCode, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop::Unusable(RunError::Configuration(error.to_string())))?;
    let needed = Needed::of(config, publishes);
    let (mut worst, mut before) = (0, "\n");
    for address in std::iter::once(&config.hub.url).chain(&config.hub.further_urls) {
        let visit = visit::visit(config, address, &needed);
        let outcome = runtime.block_on(visit).map_err(Stop::Unusable)?;
        let report = Report { config, address, needed: &needed, outcome: &outcome };
        standard_output::print(&format!("{before}{report}")).map_err(Stop::Told)?;
        before = "";
        let code = match report.failure() {
            None => 0,
            Some(Failure::Refused) => 1,
            Some(Failure::NotReached) => UNAVAILABLE,
        };
        worst = worst.max(code);
    }
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    Ok(ExitCode::from(worst))
}
