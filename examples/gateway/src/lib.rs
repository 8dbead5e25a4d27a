#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! The gateway as a library: MQTT in, filter, durable queue, MQTT out, with each part to be replaced.
//!
//! [`Gateway::builder`] runs a whole gateway inside another program; that program can supply its own filters, ingest and batch
//! encoding, and change the routes while it runs ([`Gateway::reload`]).
//! [`command_line`] is the program `edge-gateway`, of which `main.rs` only calls it.

pub mod command_line;

mod builder;
mod config;
mod embedded;
mod mule;
mod open_files;
mod run;
mod test_cases;

pub use builder::Builder;
/// Libraries whose types are arguments and results here, in the version that the gateway was built with.
pub use {edge_bridge, edge_codec, edge_filter};

pub use config::Format;
pub use embedded::Gateway;
pub use run::Error;
pub use run::configuration::program_reload::ReloadOutcome;
pub use run::filters::reading_row::Reading;
pub use run::replaced_parts::{PackedBatch, Packer};
pub use run::status::verdict::{Status, Verdict};
