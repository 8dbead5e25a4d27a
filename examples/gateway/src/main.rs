#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! `edge-gateway`: MQTT in, filter, durable queue, MQTT out.
//!
//! Exit codes: 0 done or stopped, 1 failed while running, warnings (`import --strict`) or a bad answer (`status`, `fleet`), 2 the configuration or the command
//! line is wrong, 69 no running gateway answers (`parked`, `status`, `tap`), or no hub (`fleet`).

use std::process::ExitCode;

fn main() -> ExitCode {
    edge_gateway::command_line::run()
}
