#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! The gateway as a library: MQTT in, filter, durable queue, MQTT out, with each part to be replaced.
//!
//! [`Gateway::builder`] runs a whole gateway inside another program; that program can supply its own filters, ingest and batch encoding.
//! [`command_line`] is the program `edge-gateway`, of which `main.rs` only calls it.

pub mod command_line;

mod asking;
mod builder;
mod cases;
mod check;
mod check_online;
mod config;
mod diag;
mod drill;
mod embedded;
mod fleet;
mod hub_visit;
mod import;
mod measured_load;
mod open_files;
mod parked;
mod passwd;
mod route_command;
mod run;
mod run_command;
mod screen;
mod standard_output;
mod status_command;
mod tap_command;
mod test_command;

pub use builder::Builder;
pub use config::Format;
pub use embedded::Gateway;
pub use run::RunError as Error;
pub use run::filters::reading_row::ReadingRow as Reading;
pub use run::replaced_parts::{PackedBatch, Packer};
pub use run::status::verdict::{Status, Verdict};
