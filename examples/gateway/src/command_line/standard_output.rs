//! Printing of the subcommands' answers on standard output.

use std::process::ExitCode;

/// Writes a command's answer. A reader that ends early, such as `head`, is no failure.
///
/// # Errors
/// The answer cannot be written, which was reported on standard error.
pub(crate) fn print(text: &str) -> Result<(), ExitCode> {
    edge_print::print(text).map_err(|error| {
        edge_print::complain!("edge-gateway: {error}");
        ExitCode::FAILURE
    })
}
