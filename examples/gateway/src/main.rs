#![forbid(unsafe_code)]
//! `edge-gateway`: MQTT in, filter, durable queue, MQTT out.
//!
//! Exit codes: 0 done or stopped, 1 failed while running or warnings (`import --strict`), 2 the configuration or the command line is wrong, 69 no
//! running gateway answers (`parked`).

use std::process::ExitCode;

fn main() -> ExitCode {
    edge_gateway::command_line::run()
}
