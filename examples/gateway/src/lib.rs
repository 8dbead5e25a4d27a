#![forbid(unsafe_code)]
//! The gateway as a library: MQTT in, filter, durable queue, MQTT out.
//!
//! [`command_line`] is the program `edge-gateway`, of which `main.rs` only calls it.

pub mod command_line;

mod check;
mod config;
mod drill;
mod open_files;
mod parked;
mod run;
