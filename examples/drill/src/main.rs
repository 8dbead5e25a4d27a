#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! `outage-drill --gateway "CMD"`: the drill of somebody else's gateway.
//!
//! Exit codes: 0 every promise held, 1 one did not, or the drill could not run, 2 the command line is wrong.

#![allow(clippy::disallowed_methods, reason = "a program: its command line")]

use std::process::ExitCode;

fn main() -> ExitCode {
    outage_drill::command_line(std::env::args_os())
}
