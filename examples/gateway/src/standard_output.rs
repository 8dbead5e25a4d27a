//! Standard output of the commands.

use crate::standard_error;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Writes a command's answer. A reader that ends early, such as `head`, is no failure.
///
/// # Errors
/// The answer cannot be written, which was reported on standard error.
pub(crate) fn print(text: &str) -> Result<(), ExitCode> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            standard_error::complain!("edge-gateway: standard output: {error}");
            Err(ExitCode::FAILURE)
        }
        _ => Ok(()),
    }
}
